"""Metrics on the windows of the first convolution, learnt from images."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose
from torch.nn import functional

import neural_kernels as nk

NET = nk.cnn(2, pooling="flatten", bias_var=0.1)
RNG = np.random.default_rng(0)
X = RNG.normal(size=(120, 1, 6, 6))
EDGE = np.outer([1.0, 2.0, 1.0], [-1.0, 0.0, 1.0]) / np.sqrt(12)
RESPONSES = functional.conv2d(torch.from_numpy(X), torch.from_numpy(EDGE)[None, None], padding=1).numpy()
Y = np.abs(RESPONSES).mean(axis=(1, 2, 3))


def windows(x):
    return functional.unfold(torch.from_numpy(x), 3, padding=1).reshape(len(x), -1, *x.shape[2:]).numpy()


def pointwise(net):
    first = net.layers[0]
    return nk.Sequential(nk.Conv(1, weight_var=first.weight_var, bias_var=first.bias_var), *net.layers[1:])


@pytest.mark.parametrize("diag", [True, False])
def test_the_metric_is_that_of_gradients_by_windows(diag):
    model = nk.FeatureLearning(nk.NeuralKernelRegressor(NET), iterations=1, diag=diag, power=1.0).fit(X[:40], Y[:40])
    first = nk.NeuralKernelRegressor(pointwise(NET)).fit(windows(X[:40]), Y[:40])
    slopes = np.moveaxis(first.gradient(windows(X[:40])), 2, -1).reshape(-1, 9)
    product = slopes.T @ slopes
    expected = np.diagonal(product) if diag else product
    assert_allclose(model.metric_, expected * (9 / np.trace(product)), rtol=1e-6, atol=1e-8)
    assert model.feature_importances_.shape == (9,)
    assert model.mapped(X[:2]).shape == (2, 9, 6, 6)
    assert model.feature_importances_.sum() == pytest.approx(1)


def test_it_is_the_model_with_that_metric():
    model = nk.FeatureLearning(nk.NeuralKernelRegressor(NET), iterations=1, diag=False, power=0.5).fit(X[:40], Y[:40])
    first = NET.layers[0]
    net = nk.Sequential(nk.Conv(3, bias_var=first.bias_var, metric=model.metric_), *NET.layers[1:])
    alone = nk.NeuralKernelRegressor(net, alpha=model.estimator_.alpha_).fit(X[:40], Y[:40])
    assert_allclose(model.predict(X[40:60]), alone.predict(X[40:60]), rtol=1e-6)
    assert_allclose(model.gradient(X[40:43]), alone.gradient(X[40:43]), rtol=1e-5, atol=1e-9)
    x = torch.from_numpy(X[40:43]).requires_grad_()
    model.predict(x).sum().backward()
    assert_allclose(x.grad, model.gradient(X[40:43])[:, 0], rtol=1e-10)


@pytest.mark.parametrize(
    "estimator",
    [
        nk.NeuralKernelRegressor(NET),
        nk.NeuralFeatureRegressor(nk.cnn(2, bias_var=0.1), n_components=64, random_state=0),
    ],
    ids=["exact", "features"],
)
def test_the_filter_that_counts_is_found(estimator):
    model = nk.FeatureLearning(estimator, iterations=2, diag=False, power=1.0).fit(X, Y)
    strongest = np.linalg.eigh(model.metric_)[1][:, -1]
    assert abs(strongest @ EDGE.ravel()) > 0.9


def test_classifiers_and_files(tmp_path):
    labels = np.where(np.median(Y) < Y, "sharp", "soft")
    learner = nk.FeatureLearning(nk.NeuralFeatureClassifier(nk.cnn(2), n_components=32, random_state=0), iterations=1)
    model = learner.fit(X.astype(np.float32), labels)
    assert len(model.history_) == 3
    assert list(model.classes_) == ["sharp", "soft"]
    nk.save(model, tmp_path / "model.nk")
    again = nk.load(tmp_path / "model.nk")
    np.testing.assert_array_equal(again.predict_proba(X[:9]), model.predict_proba(X[:9]))


@pytest.mark.parametrize("diag", [True, False])
def test_classes_are_differentiated_by_one_sum_an_image(diag):
    x, y = RNG.normal(size=(400, 1, 5, 5)), RNG.integers(4, size=400)
    x += y[:, None, None, None] * np.eye(5)
    plain = nk.NeuralFeatureClassifier(nk.cnn(1, bias_var=0.1), n_components=16, random_state=0)
    model = nk.FeatureLearning(plain, iterations=1, diag=diag, power=1.0).fit(x, y)
    first = nk.NeuralFeatureClassifier(pointwise(nk.cnn(1, bias_var=0.1)), n_components=16, random_state=0)
    slopes = np.moveaxis(first.fit(windows(x), y).gradient(windows(x)), 2, -1).reshape(-1, 9)
    assert len(slopes) == 400 * 4 * 25
    product = slopes.T @ slopes * (9 / np.square(slopes).sum())
    expected = np.diagonal(product) if diag else product
    error = np.linalg.norm(model.metric_ - expected) / np.linalg.norm(expected)
    assert 1e-6 < error < 0.1  # one sum an image in place of four outputs


def test_what_has_no_windows_is_refused():
    measured = nk.Sequential(nk.Conv(3, metric=np.ones(9)), *NET.layers[1:])
    for network in (nk.mlp(2), measured, nk.Sequential(nk.ReLU(), *NET.layers)):
        with pytest.raises(ValueError, match=r"begins with nk\.Conv without a metric"):
            nk.FeatureLearning(nk.NeuralKernelRegressor(network)).fit(X, Y)
    model = nk.FeatureLearning(nk.NeuralKernelRegressor(NET), iterations=0).fit(X[:20], Y[:20])
    with pytest.raises(ValueError, match="fitted to X of shape"):
        model.predict(X[:, :, :5])
    with pytest.raises(ValueError, match="NaN"):
        model.predict(np.full_like(X[:2], np.nan))
