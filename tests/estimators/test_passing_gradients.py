"""Predictions as functions of torch."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import neural_kernels as nk

RNG = np.random.default_rng(0)
X = RNG.normal(size=(40, 3))
Y = np.sin(X[:, 0]) + X[:, 1] ** 2
LABELS = np.array(["a", "b", "c"])[np.digitize(X[:, 0], [-0.4, 0.4])]
NEW = RNG.normal(size=(4, 3))
FEATURES = {"n_components": 16, "alpha": 0.1, "random_state": 0}
REGRESSORS = [
    nk.NeuralKernelRegressor(alpha=0.1),
    nk.NeuralKernelRegressor(kernel=nk.Laplace(0.5), alpha=0.1),
    nk.NeuralFeatureRegressor(**FEATURES),
    nk.FeatureLearning(nk.NeuralKernelRegressor(alpha=0.1), iterations=1, power=1.0),
]
CLASSIFIERS = [
    nk.NeuralKernelClassifier(alpha=0.1),
    nk.NeuralFeatureClassifier(**FEATURES),
    nk.NeuralFeatureLogisticClassifier(**FEATURES),
    nk.FeatureLearning(nk.NeuralKernelClassifier(alpha=0.1), iterations=1, power=1.0),
]


def check(function, dtype=torch.float64):
    """Values are those of arrays, derivatives those of differences of them."""
    x = torch.tensor(NEW, dtype=dtype, requires_grad=True)
    values = function(x)
    assert values.dtype == dtype
    plain = function(NEW)
    np.testing.assert_allclose(values.detach(), plain, rtol=1e-5 if dtype == torch.float32 else 1e-12)
    weights = RNG.normal(size=plain.shape)
    (values * torch.tensor(weights, dtype=dtype)).sum().backward()
    step = 1e-5
    for j in range(NEW.shape[1]):
        shift = step * np.eye(NEW.shape[1])[j]
        slope = weights * (function(NEW + shift) - function(NEW - shift)) / (2 * step)
        expected = slope.reshape(len(NEW), -1).sum(axis=1)
        np.testing.assert_allclose(x.grad[:, j], expected, rtol=1e-3 if dtype == torch.float32 else 1e-5, atol=1e-5)


@pytest.mark.parametrize("outputs", [1, 2])
@pytest.mark.parametrize("model", REGRESSORS, ids=lambda model: repr(model)[:40])
def test_predict_of_regressors(model, outputs):
    check(model.fit(X, Y if outputs == 1 else np.column_stack([Y, X[:, 2]])).predict)


@pytest.mark.parametrize("labels", [LABELS, LABELS == "a"], ids=["three", "two"])
@pytest.mark.parametrize("model", CLASSIFIERS, ids=lambda model: repr(model)[:40])
def test_decision_function_of_classifiers(model, labels):
    check(model.fit(X, labels).decision_function)


def test_precision_is_kept():
    check(nk.NeuralKernelRegressor(alpha=0.1).fit(X, Y).predict, torch.float32)


def test_a_step_of_descent_goes_down():
    model = nk.NeuralKernelRegressor(alpha=0.1).fit(X, Y)
    x = torch.tensor(NEW, requires_grad=True)
    optimiser = torch.optim.SGD([x], lr=0.01)
    before = model.predict(x).sum()
    before.backward()
    optimiser.step()
    assert model.predict(x).sum() < before


def test_what_passes_no_gradients_says_so():
    x = torch.tensor(NEW, requires_grad=True)
    regressor = nk.NeuralKernelRegressor(alpha=0.1).fit(X, Y)
    classifier = nk.NeuralKernelClassifier(alpha=0.1).fit(X, LABELS)
    learnt = nk.FeatureLearning(nk.NeuralKernelClassifier(alpha=0.1), iterations=1, power=1.0).fit(X, LABELS)
    for refused in (
        lambda: regressor.predict(x, return_std=True),
        lambda: regressor.predict(x, time=1.0),
        lambda: regressor.fit(x, Y[:4]),
        lambda: classifier.predict(x),
        lambda: classifier.predict_proba(x),
        lambda: learnt.predict(x),
        lambda: nk.NeuralFeatures(n_components=8).fit(x),
    ):
        with pytest.raises((TypeError, ValueError), match=r"requires gradients.*X\.detach\(\)"):
            refused()
    assert isinstance(regressor.predict(x.detach()), np.ndarray)
