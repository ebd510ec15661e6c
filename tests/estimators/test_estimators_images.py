"""The estimators on images: scikit-learn's usual ways with 4-d arrays, and what they say where shapes do not fit."""

from __future__ import annotations

import pickle
from typing import Any

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.base import clone
from sklearn.datasets import load_digits
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer

import neural_kernels as nk

CNN = nk.cnn(3)
FLAT = nk.cnn(2, pooling="flatten")  # for what does not depend on pooling, which costs more


def as_images(X: np.ndarray) -> np.ndarray:
    """Rows of 64 pixels."""
    return X.reshape(-1, 1, 8, 8)


def classifier(network: nk.Layer | None = FLAT, **options: Any) -> Any:
    """Of any type, as its fitted attributes are unknown to type checkers."""
    return nk.NeuralKernelClassifier(network, **options)


_digits, _labels = (np.asarray(part) for part in load_digits(return_X_y=True))
ROWS, LABELS = _digits[:150].astype(np.float32) / 8 - 1, _labels[:150]
IMAGES = as_images(ROWS)
X, Z, y, truth = IMAGES[:110], IMAGES[110:], LABELS[:110], LABELS[110:]


def test_fit_predict_score() -> None:
    model = classifier(network=CNN).fit(X, y)
    probability = model.predict_proba(Z)
    assert probability.shape == (40, 10)
    assert_allclose(probability.sum(1), 1, rtol=1e-12)
    assert_array_equal(model.classes_[probability.argmax(1)], model.predict(Z))
    assert model.decision_function(Z).shape == (40, 10)
    assert model.score(Z, truth) > 0.9
    assert_array_equal(model.predict(X), y)
    assert model.X_fit_.shape == X.shape
    assert model.n_features_in_ == 1


@pytest.mark.parametrize("kernel", ["ntk", "nngp"])
def test_precomputed_equals_direct(kernel: str) -> None:
    gram = {"ntk": nk.NTK, "nngp": nk.NNGP}[kernel](FLAT)
    direct = classifier(kernel=kernel).fit(X, y).decision_function(Z)
    precomputed = classifier(kernel="precomputed").fit(gram(X), y).decision_function(gram(Z, X))
    assert_allclose(direct, precomputed, rtol=1e-4, atol=1e-4)


def test_cross_validation() -> None:
    scores = cross_val_score(classifier(CNN), IMAGES[:100], LABELS[:100], cv=2)
    assert np.min(scores) > 0.75


def test_grid_search_over_alpha_and_network() -> None:
    grid = {"alpha": [1e-3, 1e3], "network": [FLAT, nk.cnn(1, nk.Erf(), pooling="flatten")]}
    search: Any = GridSearchCV(classifier(), grid, cv=2).fit(X, y)
    assert np.isfinite(search.cv_results_["mean_test_score"]).all()
    assert search.best_params_["alpha"] == 1e-3
    assert search.score(Z, truth) > 0.85


def test_pipeline_from_flat_rows() -> None:
    pipeline = make_pipeline(FunctionTransformer(as_images), classifier())
    direct = classifier().fit(X, y)
    assert_allclose(pipeline.fit(ROWS[:110], y).predict_proba(ROWS[110:]), direct.predict_proba(Z), rtol=1e-12)
    assert np.min(cross_val_score(pipeline, ROWS, LABELS, cv=2)) > 0.75


def test_clone_and_pickle() -> None:
    model = classifier(alpha=[1e-3, 1e-2]).fit(X, y)
    again = pickle.loads(pickle.dumps(model))
    assert_array_equal(again.predict_proba(Z), model.predict_proba(Z))
    copy: Any = clone(model)
    assert copy.network == FLAT
    assert not hasattr(copy, "X_fit_")
    assert_array_equal(copy.fit(X, y).decision_function(Z), model.decision_function(Z))


def test_weights_are_copies() -> None:
    weights = np.arange(110) % 3
    rows = np.repeat(np.arange(110), weights)
    weighted = classifier().fit(X.astype(np.float64), y, sample_weight=weights)
    repeated = classifier().fit(X[rows].astype(np.float64), y[rows])
    assert len(repeated.support_) == (weights > 0).sum()
    assert_allclose(repeated.predict_proba(Z), weighted.predict_proba(Z), rtol=1e-7)


def test_alpha_by_leave_one_out() -> None:
    model = classifier(CNN, alpha=[1e-3, 1e-1, 1e3]).fit(X[:80], y[:80])
    assert model.loo_scores_.shape == (3,)
    assert model.loo_scores_.argmax() == [1e-3, 1e-1, 1e3].index(model.alpha_)
    assert model.alpha_ < 1e3


@pytest.mark.parametrize("kernel", ["ntk", "nngp"])
def test_regression_with_uncertainty(kernel: str) -> None:
    model = nk.NeuralKernelRegressor(FLAT, kernel=kernel, alpha=1e-4).fit(X, X.mean((1, 2, 3)))
    mean, std = model.predict(Z, return_std=True)
    assert mean.shape == std.shape == (40,)
    assert (std > 0).all()
    assert (model.predict(X, return_std=True)[1] < std.min()).all()  # what was seen is known
    assert_allclose(np.sqrt(np.diag(model.predict(Z, return_cov=True)[1])), std, rtol=1e-3)
    assert (std**2 <= nk.NNGP(FLAT).diag(Z) * 1.0001).all()
    assert np.abs(mean - Z.mean((1, 2, 3))).mean() < np.abs(Z.mean((1, 2, 3)) - X.mean()).mean() / 2


def test_kinds_of_arrays() -> None:
    """Tensors, lists, integers and any layout in memory; NumPy out."""
    pixels = _digits[:150].astype(np.uint8).reshape(-1, 1, 8, 8)
    floats = pixels.astype(np.float32)
    expected = classifier().fit(floats[:110], y).predict_proba(floats[110:])
    last = np.ascontiguousarray(np.moveaxis(floats, 1, -1))
    others: list[Any] = [pixels, torch.from_numpy(floats), floats[..., ::-1][..., ::-1], np.moveaxis(last, -1, 1)]
    for images in others:
        result = classifier().fit(images[:110], y).predict_proba(images[110:])
        assert isinstance(result, np.ndarray)
        assert_allclose(result, expected, rtol=1e-4, atol=1e-6)
    nested = classifier().fit(floats[:110].tolist(), y.tolist()).predict(floats[110:].tolist())
    assert_array_equal(nested, expected.argmax(1))


def test_colours_sequences_and_volumes() -> None:
    rng = np.random.default_rng(0)
    for shape in ((3, 5, 4), (2, 9), (1, 3, 4, 2)):
        data = rng.standard_normal((20, *shape))
        model: Any = nk.NeuralKernelRegressor(nk.cnn(1), alpha=1e-3).fit(data, data[:, 0].reshape(20, -1).mean(1))
        assert model.n_features_in_ == shape[0]
        assert model.predict(data[:3]).shape == (3,)


@pytest.fixture(scope="module")
def fitted() -> Any:
    return classifier().fit(X, y)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (Z[:, :, :7], r"X has shape \(40, 1, 7, 8\), but NeuralKernelClassifier was fitted to .*\(n, 1, 8, 8\)"),
        (np.concatenate([Z, Z], 1), r"\(40, 2, 8, 8\).*\(n, 1, 8, 8\)"),
        (Z[:, 0], r"\(40, 8, 8\).*\(n, 1, 8, 8\).*X\.reshape\(-1, 1, 8, 8\)"),
        (ROWS[110:], r"\(40, 64\).*\(n, 1, 8, 8\).*X\.reshape\(-1, 1, 8, 8\)"),
        (Z[0], r"\(1, 8, 8\).*\(n, 1, 8, 8\).*X\[None\]"),
        (np.moveaxis(Z, 1, -1), r"\(40, 8, 8, 1\).*\(n, 1, 8, 8\).*np\.moveaxis\(X, -1, 1\)"),
        (torch.from_numpy(Z[:, :, :7]), r"\(40, 1, 7, 8\).*\(n, 1, 8, 8\)"),
        (Z[:, :, :7].tolist(), r"\(40, 1, 7, 8\).*\(n, 1, 8, 8\)"),
        (np.where(Z > 0.9, np.nan, Z), "contains NaN"),
        (Z[:0], "0 sample"),
    ],
)
def test_other_shapes_in_prediction(fitted: Any, wrong: Any, message: str) -> None:
    for method in (fitted.predict, fitted.predict_proba, fitted.decision_function):
        with pytest.raises(ValueError, match=message):
            method(wrong)


def test_images_for_a_model_of_vectors() -> None:
    model = classifier(None).fit(ROWS[:110], y)
    with pytest.raises(ValueError, match=r"\(40, 1, 8, 8\).*\(n, 64\).*X\.reshape\(-1, 64\)"):
        model.predict(Z)
    with pytest.raises(ValueError, match="X has 60 features, but NeuralKernelClassifier is expecting 64"):
        model.predict(ROWS[110:, :60])


@pytest.mark.parametrize(
    ("rows", "advice"),
    [
        (ROWS, r"X\.reshape\(-1, 1, 8, 8\)"),
        (np.tile(ROWS, 3), r"X\.reshape\(-1, 3, 8, 8\)"),
        (ROWS[:, :60], r"X\.reshape\(-1, channels, height, width\)"),
    ],
)
def test_flat_images_for_a_network_on_positions(rows: np.ndarray, advice: str) -> None:
    message = rf"got vectors.*X has shape \(150, {rows.shape[1]}\).*\(n, channels, height, width\): {advice}"
    with pytest.raises(ValueError, match=message):
        classifier(CNN).fit(rows, LABELS)


@pytest.mark.parametrize("network", [None, nk.Sequential(nk.Conv(3), nk.ReLU(), nk.Dense())])
def test_networks_that_keep_the_positions(network: nk.Layer | None) -> None:
    """Of which a kernel of all pairs of positions, 200 MB here, is not even begun."""
    with pytest.raises(
        ValueError, match=r"every position of X.*\(110, 1, 8, 8\).*GlobalAvgPool.*reshape\(len\(X\), -1\)"
    ):
        classifier(network).fit(X, y)


def test_images_too_small_for_the_network() -> None:
    with pytest.raises(ValueError, match=r"AvgPool\(window=2\).*shorter than the window"):
        classifier(nk.myrtle(5)).fit(X[:, :, :2], y)


@pytest.mark.parametrize("kernel", ["ntk", "precomputed"])
@pytest.mark.parametrize("estimator", [nk.NeuralKernelClassifier, nk.NeuralKernelRegressor])
def test_graphs_go_in_as_kernels(estimator: Any, kernel: str) -> None:
    rng = np.random.default_rng(0)
    graphs = nk.Graphs(rng.standard_normal((12, 4, 2)), (rng.random((12, 4, 4)) < 0.5).astype(float))
    labels = np.arange(12) % 2
    with pytest.raises(TypeError, match=r'nk\.Graphs.*kernel="precomputed"\) to kernel\(graphs\)'):
        estimator(CNN, kernel=kernel).fit(graphs, labels)
    gram = nk.NTK(nk.Sequential(nk.GraphAggregate(), nk.Dense(), nk.ReLU(), nk.GlobalSumPool(), nk.Dense()))
    model = estimator(kernel="precomputed").fit(gram(graphs), labels)
    assert model.predict(gram(graphs[:3], graphs)).shape == (3,)
    with pytest.raises(TypeError, match="precomputed"):
        model.predict(graphs)
