"""Models with rows added and removed equal those fitted to the rows that are left."""

from __future__ import annotations

import pickle
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal
from scipy import sparse
from sklearn.base import clone

import neural_kernels as nk
from neural_kernels.solvers import Cholesky, ConjugateGradient, Spectral

NET = nk.mlp(2, bias_var=0.1)
NEW = np.random.default_rng(9).normal(size=(6, 3))
CLOSE: dict[str, Any] = {"rtol": 1e-9, "atol": 1e-9}


def _table(n: int, seed: int, outputs: int | None = None) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Rows, some of them copies and some of weight 0."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n, 3))
    x[rng.random(n) < 0.2] = x[0]
    y = np.sin(x @ np.ones((3, outputs or 1))) + 0.1 * rng.normal(size=(n, outputs or 1))
    weights = np.where(rng.random(n) < 0.1, 0.0, rng.uniform(0.5, 2, n))
    weights[:2] = 1
    return x, y if outputs else y[:, 0], weights


def _assert_refit(model: Any, x: Any, y: np.ndarray, weights: np.ndarray) -> None:
    """As a fit to these rows with the same ridge."""
    refit = clone(model).set_params(alpha=model.alpha_).fit(x, y, weights)
    new = sparse.csr_matrix(NEW) if sparse.issparse(x) else NEW
    assert_allclose(model.ridge_, refit.ridge_, rtol=1e-12)
    outputs = "decision_function" if hasattr(model, "decision_function") else "predict"
    for time in (None, 2.0):
        found, expected = (getattr(which, outputs)(new, time=time) for which in (model, refit))
        assert_allclose(found, expected, **CLOSE)
    assert_array_equal(np.sort(model.support_), np.sort(refit.support_))
    if hasattr(model, "predict_proba"):
        assert_allclose(model.predict_proba(new), refit.predict_proba(new), rtol=1e-6, atol=1e-6)
        return
    for found, expected in zip(model.predict(new, return_std=True), refit.predict(new, return_std=True), strict=True):
        assert_allclose(found, expected, rtol=1e-6, atol=1e-6)  # the noise beside an NTK is the end of a search
    assert_allclose(model.predict_interval(new), refit.predict_interval(new), **CLOSE)
    assert_allclose(model.log_marginal_likelihood_, refit.log_marginal_likelihood_, **CLOSE)
    assert_allclose(model.novelty(new), refit.novelty(new), rtol=1e-7)


@given(st.integers(3, 30), st.integers(0, 99), st.data())
@settings(max_examples=25, deadline=None)
@pytest.mark.parametrize("kernel", ["ntk", nk.Laplace(0.5)], ids=["ntk", "laplace"])
@pytest.mark.parametrize("outputs", [None, 2])
def test_edits_equal_a_fit(kernel, outputs, n, seed, data):
    x, y, w = _table(n, seed, outputs)
    more_x, more_y, more_w = _table(8, seed + 100, outputs)
    more_x[1] = x[0]  # a copy of a row that is there
    model = nk.NeuralKernelRegressor(None if kernel != "ntk" else NET, kernel=kernel, alpha=0.01).fit(x, y, w)
    for _ in range(data.draw(st.integers(1, 3))):
        if data.draw(st.booleans()):
            model.add(more_x, more_y, more_w)
            x, y, w = np.concatenate([x, more_x]), np.concatenate([y, more_y]), np.concatenate([w, more_w])
            more_x = more_x + 1
        gone = data.draw(st.lists(st.integers(0, len(x) - 1), max_size=len(x) - 2, unique=True))
        if len(np.unique(np.delete(x, gone, axis=0)[np.delete(w, gone) > 0], axis=0)) < 2:
            continue
        model.remove(gone)
        x, y, w = np.delete(x, gone, axis=0), np.delete(y, gone, axis=0), np.delete(w, gone)
    _assert_refit(model, x, y, w)


@pytest.mark.parametrize("labels", [2, 3])
def test_a_classifier_is_edited(labels):
    x, y, w = _table(40, 0)
    y = np.array(["low", "middle", "top"])[np.digitize(y, np.quantile(y, np.arange(1, labels) / labels))]
    weights = {name: 1.0 + k for k, name in enumerate(np.unique(y))}
    model = nk.NeuralKernelClassifier(NET, alpha=0.1, class_weight=weights).fit(x[:30], y[:30], w[:30])
    assert model.add(x[30:], y[30:], w[30:]) is model
    _assert_refit(model, x, y, w)
    model.remove([3, 5, 31, -1])
    _assert_refit(model, *(np.delete(part, [3, 5, 31, 39], axis=0) for part in (x, y, w)))
    with pytest.raises(ValueError, match="new class takes a new fit"):
        model.add(x[:1], ["other"])
    with pytest.raises(ValueError, match="classes \\['low'\\]"):
        model.remove(np.flatnonzero(np.delete(y, [3, 5, 31, 39]) == "low"))
    assert set(model.predict(x)) == set(y)  # and is as it was


@pytest.mark.parametrize("solver", [None, Spectral(), Cholesky()], ids=["automatic", "spectral", "cholesky"])
def test_of_every_factorising_solver(solver):
    x, y, w = _table(25, 3)
    model = nk.NeuralKernelRegressor(NET, kernel="nngp", solver=solver).fit(x[:20], y[:20], w[:20])
    scores = model.loo_scores_.copy()
    model.add(x[20:], y[20:], w[20:]).remove(np.arange(25) == 4)
    assert model.solver_ == Cholesky()
    assert_array_equal(model.loo_scores_, scores)
    _assert_refit(model.set_params(solver=Cholesky()), *(np.delete(part, 4, axis=0) for part in (x, y, w)))


def test_a_stored_model_is_edited():
    x, y, w = _table(25, 4)
    model = nk.NeuralKernelRegressor(NET, alpha=0.01).fit(x[:20], y[:20], w[:20])
    again = pickle.loads(pickle.dumps(model)).add(x[20:], y[20:], w[20:])
    _assert_refit(pickle.loads(pickle.dumps(again)), x, y, w)


def test_one_copy_goes_and_the_others_stay():
    x, y, w = np.repeat(NEW, 3, axis=0), np.arange(18.0), np.linspace(1, 2, 18)
    model = nk.NeuralKernelRegressor(NET, alpha=0.01).fit(x, y, w).remove([0, 7])
    assert len(model.support_) == 6
    _assert_refit(model, *(np.delete(part, [0, 7], axis=0) for part in (x, y, w)))


def test_all_rows_are_exchanged():
    x, y, w = _table(30, 5)
    model = nk.NeuralKernelRegressor(NET, alpha=0.01).fit(x[:10], y[:10], w[:10])
    model.add(x[10:], y[10:], w[10:]).remove(np.arange(10))
    _assert_refit(model, x[10:], y[10:], w[10:])


def test_sparse_rows_and_images():
    x, y, w = _table(20, 6)
    rows = sparse.csr_matrix(x)
    model = nk.NeuralKernelRegressor(NET, alpha=0.01).fit(rows[:15], y[:15], w[:15]).add(rows[15:], y[15:], w[15:])
    _assert_refit(model.remove([1]), rows[np.delete(np.arange(20), 1)], np.delete(y, 1), np.delete(w, 1))
    images = np.random.default_rng(0).normal(size=(12, 1, 4, 4))
    found = nk.NeuralKernelRegressor(nk.cnn(1), alpha=0.1).fit(images[:9], y[:9]).add(images[9:], y[9:12]).remove([0])
    expected = nk.NeuralKernelRegressor(nk.cnn(1), alpha=found.alpha_).fit(images[1:], y[1:12])
    assert_allclose(found.predict(images), expected.predict(images), **CLOSE)


def test_float32_stays():
    x, y, _ = _table(20, 7)
    model = nk.NeuralKernelRegressor(NET, alpha=0.01).fit(x[:15].astype(np.float32), y[:15]).add(x[15:], y[15:])
    assert model.X_fit_.dtype == np.float32
    refit = clone(model).set_params(alpha=model.alpha_).fit(x.astype(np.float32), y)
    assert_allclose(model.predict(NEW), refit.predict(NEW), rtol=1e-4, atol=1e-4)


def test_refusals_leave_the_model_as_it_was():
    x, y, w = _table(20, 8)
    model = nk.NeuralKernelRegressor(NET, alpha=0.01).fit(x, y, w)
    before, predicted = dict(vars(model)), model.predict(NEW)
    for rows, error, message in (
        ([20], IndexError, "the model has 20 rows"),
        (np.ones(3, bool), IndexError, "mask of shape"),
        ([0.5], TypeError, "positions"),
        (np.arange(20), ValueError, "no row of positive weight"),
    ):
        with pytest.raises(error, match=message):
            model.remove(rows)
    for rows, targets, message in (
        (x[:2, :2], y[:2], "features"),
        (x[:2], y[:2, None], "shape"),
        (x[:2], [np.nan, 1], "NaN"),
    ):
        with pytest.raises(ValueError, match=message):
            model.add(rows, targets)
    assert vars(model) == before
    assert_array_equal(model.predict(NEW), predicted)
    with pytest.raises(MemoryError, match="memory_budget"):
        model.set_params(memory_budget=100).add(x, y)


def test_what_cannot_be_edited_is_refused_with_advice():
    x, y, _ = _table(20, 8)
    with pytest.raises(ValueError, match="precomputed"):
        nk.NeuralKernelRegressor(kernel="precomputed").fit(x @ x.T + np.eye(20), y).remove([0])
    with pytest.raises(NotImplementedError, match=r"solver=nk\.solvers\.Cholesky"):
        nk.NeuralKernelRegressor(NET, alpha=0.1, solver=ConjugateGradient()).fit(x, y).remove([0])
    with pytest.raises(ValueError, match="balanced"):
        nk.NeuralKernelClassifier(NET, alpha=0.1, class_weight="balanced").fit(x, y > 0).add(x, y > 0)


def test_a_learnt_metric_stays():
    x, y, w = _table(40, 1)
    model = nk.FeatureLearning(nk.NeuralKernelRegressor(NET), iterations=1, power=0.5).fit(x[:30], y[:30], w[:30])
    metric, inner = model.metric_, clone(model.estimator_)
    assert model.add(x[30:], y[30:], w[30:]).remove([0, 35]) is model
    rows, targets, weights = (np.delete(part, [0, 35], axis=0) for part in (x * np.sqrt(metric), y, w))
    refit = inner.set_params(alpha=model.estimator_.alpha_).fit(rows, targets, weights)
    assert_allclose(model.predict(NEW), refit.predict(NEW * np.sqrt(metric)), **CLOSE)
    assert model.metric_ is metric
    features = nk.FeatureLearning(nk.NeuralFeatureRegressor(NET, n_components=8))
    assert not hasattr(features, "add")
