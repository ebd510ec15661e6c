"""Inputs that do not vary tell nothing; predicted is the prior, the targets' mean or the classes' frequencies."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import neural_kernels as nk
from neural_kernels import solvers

RNG = np.random.default_rng(0)
X, NEW = np.ones((40, 3)), RNG.normal(size=(5, 3))
Y, WEIGHTS = RNG.normal(size=40), RNG.integers(0, 4, 40).astype(float)
ALPHAS = pytest.mark.parametrize("alpha", [0.1, [0.1], [1e-2, 0.1, 1.0]], ids=["number", "one of a list", "list"])
REGRESSORS: dict[str, Any] = {
    "kernel": lambda alpha: nk.NeuralKernelRegressor(alpha=alpha),
    "nngp": lambda alpha: nk.NeuralKernelRegressor(kernel="nngp", alpha=alpha),
    "spectral": lambda alpha: nk.NeuralKernelRegressor(alpha=alpha, solver=solvers.Spectral()),
    "features": lambda alpha: nk.NeuralFeatureRegressor(alpha=alpha, n_components=8, random_state=0),
    "random features": lambda alpha: nk.NeuralFeatureRegressor(
        alpha=alpha, n_components=64, method=nk.RandomFeatures(), random_state=0
    ),
}
CLASSIFIERS: dict[str, Any] = {
    "kernel": lambda alpha: nk.NeuralKernelClassifier(alpha=alpha),
    "spectral": lambda alpha: nk.NeuralKernelClassifier(alpha=alpha, solver=solvers.Spectral()),
    "features": lambda alpha: nk.NeuralFeatureClassifier(alpha=alpha, n_components=8, random_state=0),
}


@ALPHAS
@pytest.mark.parametrize("kind", REGRESSORS)
@pytest.mark.parametrize("weights", [None, WEIGHTS], ids=["plain", "weighted"])
def test_regressors_predict_the_mean(kind: str, weights: np.ndarray | None, alpha: Any) -> None:
    model = REGRESSORS[kind](alpha).fit(X, Y, sample_weight=weights)
    np.testing.assert_allclose(model.predict(NEW), np.average(Y, weights=weights), atol=1e-12)
    several = REGRESSORS[kind](alpha).fit(X, np.stack([Y, 2 * Y], 1), sample_weight=weights)
    expected = np.average(Y, weights=weights) * np.array([1, 2])
    np.testing.assert_allclose(several.predict(NEW), np.tile(expected, (5, 1)), atol=1e-12)
    assert model.alpha_ in np.atleast_1d(alpha)


@ALPHAS
@pytest.mark.parametrize("kind", CLASSIFIERS)
@pytest.mark.parametrize("classes", [2, 4])
@pytest.mark.parametrize("weights", [None, WEIGHTS], ids=["plain", "weighted"])
def test_classifiers_predict_the_frequencies(kind: str, classes: int, weights: np.ndarray | None, alpha: Any) -> None:
    labels = np.arange(40) ** 2 % 5 % classes if classes == 4 else np.arange(40) % 3 % 2
    model = CLASSIFIERS[kind](alpha).fit(X, labels, sample_weight=weights)
    expected = [np.average(labels == c, weights=weights) for c in model.classes_]
    np.testing.assert_allclose(model.predict_proba(NEW), np.tile(expected, (5, 1)), atol=1e-10)
    assert (model.predict(NEW) == model.classes_[np.argmax(expected)]).all()


@ALPHAS
@pytest.mark.parametrize("kind", REGRESSORS)
def test_one_sample_is_predicted_everywhere(kind: str, alpha: Any) -> None:
    model = REGRESSORS[kind](alpha).fit(X[:1], Y[:1])
    np.testing.assert_allclose(model.predict(NEW), Y[0], atol=1e-12)
    weighted = REGRESSORS[kind](alpha).fit(RNG.normal(size=(3, 3)), Y[:3], sample_weight=[0, 2, 0])
    np.testing.assert_allclose(weighted.predict(NEW), Y[1], atol=1e-12)


def test_constant_columns_beside_others_change_nothing() -> None:
    x = RNG.normal(size=(40, 1))
    model = nk.NeuralKernelClassifier(alpha=[0.1, 1.0]).fit(x, Y > 0)
    assert model.loo_scores_ is not None
    assert np.ptp(model.loo_scores_) > 0


def test_a_search_over_columns_takes_rare_ones() -> None:
    """A one-hot column may be constant in a fold."""
    from sklearn.model_selection import cross_val_score

    rare = np.zeros((40, 1))
    rare[3] = 1
    scores = cross_val_score(nk.NeuralKernelClassifier(alpha=[0.1, 1.0]), rare, np.arange(40) % 2, error_score="raise")
    assert np.isfinite(scores).all()
