"""Gradients of fitted models by their inputs."""

import numpy as np
import pytest
from scipy import sparse
from sklearn.datasets import load_iris

import neural_kernels as nk
from neural_kernels.estimators import input_gradients

RNG = np.random.default_rng(0)
X = RNG.standard_normal((60, 4))
Y = np.sin(X[:, 0]) + 0.5 * X[:, 1] ** 2
NEW = RNG.standard_normal((5, 4))
NET = nk.mlp(2, bias_var=0.1)


def slopes(function, x, step=1e-5):
    ones = np.eye(x.shape[1]) * step
    return np.stack([(function(x + e) - function(x - e)) / (2 * step) for e in ones], axis=-1)


every_model = pytest.mark.parametrize(
    "model",
    [
        nk.NeuralKernelRegressor(NET, alpha=1e-2),
        nk.NeuralKernelRegressor(kernel=nk.Laplace(0.2), alpha=1e-2),
        nk.NeuralFeatureRegressor(NET, n_components=32, alpha=1e-2, random_state=0),
        nk.NeuralFeatureRegressor(NET, n_components=64, method=nk.RandomFeatures(), alpha=1e-2, random_state=0),
    ],
    ids=["kernel", "Laplace", "landmarks", "random features"],
)


@every_model
@pytest.mark.parametrize("outputs", [1, 2])
def test_gradients_are_those_of_predict(model, outputs):
    y = Y if outputs == 1 else np.column_stack([Y, X[:, 2]])
    model.fit(X, y)
    found = model.gradient(NEW)
    assert found.shape == (5, outputs, 4)
    expected = slopes(lambda x: model.predict(x).reshape(5, outputs), NEW)
    np.testing.assert_allclose(found, expected, rtol=1e-6, atol=1e-7)
    outer = np.einsum("noa,nob->ab", found, found) / 5
    np.testing.assert_allclose(model.agop(NEW), outer, rtol=1e-12)
    np.testing.assert_allclose(model.agop(NEW, diag=True), np.diag(outer), rtol=1e-12)
    if model.kernel == "ntk":
        np.testing.assert_allclose(model.gradient(sparse.csr_matrix(NEW)), found, rtol=1e-9)


@pytest.mark.parametrize(
    "model",
    [
        nk.NeuralKernelClassifier(NET, alpha=1e-2),
        nk.NeuralFeatureClassifier(NET, n_components=32, alpha=0.1, random_state=0),
    ],
    ids=["kernel", "landmarks"],
)
def test_classifiers_give_the_gradients_of_their_scores(model):
    x, y = load_iris(return_X_y=True)
    new, model = x[:4] + 0.01, model.fit(x, y)
    np.testing.assert_allclose(model.gradient(new), slopes(model.decision_function, new), rtol=1e-5, atol=1e-6)


def test_the_training_rows_are_the_default():
    model = nk.NeuralKernelRegressor(NET, alpha=1e-2).fit(X, Y)
    np.testing.assert_allclose(model.agop(), model.agop(X.copy()), rtol=1e-6)
    relevance = model.agop(diag=True)
    assert relevance[:2].min() > 3 * relevance[2:].max()
    with pytest.raises(ValueError, match="does not keep its rows"):
        nk.NeuralFeatureRegressor(NET, n_components=16).fit(X, Y).agop()


@every_model
@pytest.mark.filterwarnings("error")
def test_rows_may_lie_in_memory_in_any_way(model):
    expected = model.fit(X, Y).gradient(NEW)
    locked = NEW.copy()
    locked.flags.writeable = False
    for rows in (NEW[::-1].copy()[::-1], locked, NEW.astype(">f8"), np.repeat(NEW, 2, axis=0)[::2], NEW.tolist()):
        np.testing.assert_allclose(model.gradient(rows), expected, rtol=1e-12)


def test_precision_and_images():
    model = nk.NeuralKernelRegressor(NET, alpha=1e-2)
    wide = model.fit(X, Y).gradient(NEW)
    narrow = model.fit(X.astype(np.float32), Y).gradient(NEW.astype(np.float32))
    np.testing.assert_allclose(narrow, wide, atol=1e-4 * np.abs(wide).max())
    images = RNG.standard_normal((12, 1, 4, 4))
    model = nk.NeuralKernelRegressor(nk.cnn(1), alpha=1e-2).fit(images, Y[:12])
    assert model.gradient(images[:2]).shape == (2, 1, 1, 4, 4)
    assert model.agop().shape == (16, 16)


def test_features_of_images_keep_few_positions_at_a_time(monkeypatch):
    images = RNG.standard_normal((12, 1, 4, 4))
    model = nk.NeuralFeatureRegressor(nk.cnn(1), n_components=8, random_state=0).fit(images, Y[:12])
    whole, seen = model.gradient(images), []
    built = type(model._solved().built.map)
    monkeypatch.setattr(built, "__call__", lambda self, x, call=built.__call__: seen.append(len(x)) or call(self, x))
    monkeypatch.setattr(input_gradients, "_BLOCK", 3 * 16 * input_gradients._CHANNELS)
    np.testing.assert_allclose(model.gradient(images), whole, rtol=1e-8, atol=1e-12)
    assert seen == [3, 3, 3, 3]


def test_bad_calls():
    model = nk.NeuralKernelRegressor(kernel="precomputed").fit(X @ X.T, Y)
    with pytest.raises(ValueError, match="need the inputs themselves"):
        model.gradient(X @ X.T)
    with pytest.raises(ValueError, match="4 features"):
        nk.NeuralKernelRegressor(NET).fit(X, Y).gradient(X[:, :3])
