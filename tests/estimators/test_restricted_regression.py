"""Features of landmarks are kernel regression restricted to them: its normal equations, solved with 60 digits."""

from __future__ import annotations

from typing import Any

import mpmath as mp
import numpy as np
import pytest
from numpy.testing import assert_allclose

import neural_kernels as nk
from neural_kernels.features.nystrom import LandmarkFeatures

ROWS, LANDMARKS = 120, 24
NTK = nk.NTK(nk.mlp(2, bias_var=0.1))
GAUSSIAN = nk.GammaExponential(0.3, exponent=2.0)


def matrix(array: Any) -> Any:
    return mp.matrix(np.asarray(array).tolist())


def restricted(rows: Any, penalty: Any, y: np.ndarray, weights: np.ndarray, new: np.ndarray) -> np.ndarray:
    """Predictions by (K_nm^T W K_nm + ridge K_mm) b = K_nm^T W y, with an intercept: a column of ones, no penalty."""
    with mp.workdps(60):
        columns = np.column_stack([rows, np.ones(len(y))]).astype(object)
        weighted = matrix((columns * wide(weights)[:, None]).T)
        left = weighted * matrix(columns)
        for i, j in np.ndindex(penalty.rows, penalty.cols):
            left[i, j] += penalty[i, j]
        predicted = matrix(np.column_stack([new, np.ones(len(new))])) * mp.lu_solve(left, weighted * matrix(y))
        return np.array(predicted.tolist(), dtype=np.float64)[:, 0]


def wide(array: np.ndarray) -> np.ndarray:
    return np.vectorize(mp.mpf, otypes=[object])(array)


def fitted(kernel: Any, X: np.ndarray, y: np.ndarray, weights: np.ndarray, alpha: float) -> tuple[Any, np.ndarray]:
    """The model, and its landmarks."""
    model = nk.NeuralFeatureRegressor(
        kernel=kernel, n_components=LANDMARKS, method=nk.Nystrom(), alpha=alpha, random_state=0
    ).fit(X, y, weights)
    (features,) = (module for module in model.map_.modules() if isinstance(module, LandmarkFeatures))
    return model, features.landmarks.numpy()


def rows(scale: float, offset: float) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    X = rng.normal(size=(ROWS + 40, 3))
    y = np.sin(X[:ROWS, 0]) + 0.1 * rng.normal(size=ROWS)
    weights = rng.uniform(0.5, 2.0, size=ROWS)
    X = offset + scale * X
    return X[:ROWS], y, weights, X[ROWS:]


@pytest.mark.filterwarnings("ignore::neural_kernels.ScaleWarning")  # what makes the matrix ill conditioned
@pytest.mark.parametrize("alpha", [1e-1, 1e-3, 1e-6])
@pytest.mark.parametrize(("scale", "offset", "least", "most"), [(1.0, 0.0, 1e2, 1e4), (1e-5, 1.0, 1e7, 1e9)])
def test_predictions_are_those_of_the_restricted_problem(scale, offset, least, most, alpha):
    X, y, weights, new = rows(scale, offset)
    model, landmarks = fitted(NTK, X, y, weights, alpha)
    k_nm, k_mm, k_new = NTK(X, landmarks), NTK(landmarks), NTK(new, landmarks)
    assert least < np.linalg.cond(k_mm) < most
    with mp.workdps(60):
        penalty = matrix(k_mm) * mp.mpf(model.ridge_)
    expected = restricted(k_nm, penalty, y, weights, k_new)
    assert_allclose(model.predict(new), expected, rtol=0, atol=1e-8)


@pytest.mark.parametrize("alpha", [1e-1, 1e-3])
def test_the_jitter_is_all_that_is_added(alpha):
    X, y, weights, new = rows(0.2, 0.0)
    model, landmarks = fitted(GAUSSIAN, X, y, weights, alpha)
    assert 1e9 < np.linalg.cond(GAUSSIAN(landmarks)) < 1e11
    with mp.workdps(60):

        def exact(a: np.ndarray) -> np.ndarray:  # entries of float64 are as far from it as the jitter
            squares = np.square(wide(a)[:, None] - wide(landmarks)).sum(axis=2)
            return np.array([[mp.exp(-mp.mpf(0.3) * square) for square in line] for line in squares], dtype=object)

        k_nm, k_mm, k_new, ridge = exact(X), matrix(exact(landmarks)), exact(new), mp.mpf(model.ridge_)
        jitter = mp.mpf(8 * np.finfo(np.float64).eps * (1 + LANDMARKS)) * mp.eye(LANDMARKS)
        with_it, without = (
            np.abs(model.predict(new) - restricted(k_nm, penalty * ridge, y, weights, k_new)).max()
            for penalty in (k_mm + jitter, k_mm)
        )
    assert with_it < 1e-8
    assert 2e-8 < without < 1e-5
