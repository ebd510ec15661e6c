"""A fit that ends early, by Ctrl-C or by an error, leaves the estimator as it was."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from numpy.testing import assert_array_equal
from sklearn.base import clone
from sklearn.exceptions import NotFittedError

import neural_kernels as nk
from neural_kernels.estimators import inputs, labels, settings
from neural_kernels.estimators import kernel_base as base
from neural_kernels.solvers import CholeskyRidge, SpectralRidge

NET = nk.mlp(1, bias_var=0.1)
RNG = np.random.default_rng(0)
X, Y = RNG.standard_normal((40, 3)), RNG.standard_normal(40)
STEPS = {
    "weights": (inputs, "read_weights"),
    "settings": (settings, "solver"),
    "unit": (base, "robust_mean"),
    "residuals": (SpectralRidge, "loo_residuals"),
    "solution": (SpectralRidge, "solve"),
}


def interrupt(*args, **kwargs):
    raise KeyboardInterrupt


def models():
    return [
        (nk.NeuralKernelRegressor(NET, alpha=[0.1, 1.0], solver=nk.solvers.Spectral()), Y),
        (nk.NeuralKernelClassifier(NET, alpha=[0.1, 1.0], solver=nk.solvers.Spectral()), Y > 0),
    ]


@pytest.mark.parametrize("step", STEPS)
@pytest.mark.parametrize(("model", "y"), models(), ids=["regressor", "classifier"])
def test_an_interrupted_fit_changes_nothing(model, y, step, monkeypatch):
    model, (owner, name) = clone(model), STEPS[step]
    with monkeypatch.context() as patch:
        patch.setattr(owner, name, interrupt)
        with pytest.raises(KeyboardInterrupt):
            model.fit(X, y)
        with pytest.raises(NotFittedError):
            model.predict(X)
    model.fit(X, y)
    before, predictions = dict(vars(model)), model.predict(X)
    with monkeypatch.context() as patch:
        patch.setattr(owner, name, interrupt)
        with pytest.raises(KeyboardInterrupt):
            model.fit(np.hstack([X, X])[:30], y[:30])
    assert vars(model) == before
    assert_array_equal(model.predict(X), predictions)


def test_an_interrupted_calibration_leaves_the_former_classes(monkeypatch):
    model = nk.NeuralKernelClassifier(NET, alpha=0.1).fit(X, np.where(Y > 0, "high", "low"))
    before = model.predict_proba(X)
    monkeypatch.setattr(labels.Calibration, "fit", interrupt)
    with pytest.raises(KeyboardInterrupt):
        model.fit(X, np.arange(40) % 3)
    assert model.classes_.tolist() == ["high", "low"]
    assert_array_equal(model.predict_proba(X), before)


def test_a_failed_fit_changes_nothing():
    model = nk.NeuralKernelRegressor(NET, alpha=0.1).fit(X, Y)
    before = model.predict(X)
    with pytest.raises(np.linalg.LinAlgError):
        model.set_params(kernel=lambda a, b: np.ones((len(a), len(b))), alpha=0.0).fit(X[:20], Y[:20])
    assert_array_equal(model.predict(X), before)


def test_an_interrupted_fit_of_a_linearized_module_changes_nothing(monkeypatch):
    module = torch.nn.Sequential(torch.nn.Linear(3, 8), torch.nn.ReLU(), torch.nn.Linear(8, 1))
    model, x = nk.LinearizedPredictor(module), X.astype(np.float32)
    monkeypatch.setattr(CholeskyRidge, "solve", interrupt)
    with pytest.raises(KeyboardInterrupt):
        model.fit(x, Y)
    with pytest.raises(NotFittedError):
        model.predict(x)
