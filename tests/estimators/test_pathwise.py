"""Samples of the posterior by conjugate gradients: mean and covariance are those of the exact posterior."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy.sparse import csr_matrix

import neural_kernels as nk
from neural_kernels.estimators import pathwise
from neural_kernels.solvers import Cholesky, ConjugateGradient, RPCholesky

RNG = np.random.default_rng(0)
X = RNG.standard_normal((120, 3))
Y = np.column_stack([3 * np.sin(X[:, 0]), X[:, 1] ** 2 + 50]) + 0.3 * RNG.standard_normal((120, 2))
W = RNG.integers(1, 4, 120).astype(float)
Z = np.vstack([RNG.standard_normal((3, 3)), 3 * RNG.standard_normal((2, 3))])
SOLVER = ConjugateGradient(RPCholesky(60), tol=1e-8)


def regressor(net: Any = None, **options: Any) -> nk.NeuralKernelRegressor:
    chosen = {"kernel": "nngp", "alpha": 0.02, "solver": SOLVER} | options
    return nk.NeuralKernelRegressor(net, **chosen)


@pytest.mark.parametrize("noise", [False, True])
@pytest.mark.parametrize("depth", [1, 3])
def test_samples_have_the_distribution_of_the_exact_posterior(
    depth: int, noise: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pathwise, "_MAPS", 8)
    net, count = nk.mlp(depth, bias_var=0.1), 3000
    exact = regressor(net, solver=Cholesky()).fit(X, Y, sample_weight=W)
    mean, covariance = exact.predict(Z, return_cov=True, noise=noise)
    samples = regressor(net).fit(X, Y, sample_weight=W).sample_y(Z, count, random_state=0, noise=noise)
    assert samples.shape == (5, 2, count)
    error = np.sqrt(np.einsum("iik->ik", covariance) / count)
    assert np.all(np.abs(samples.mean(axis=2) - mean) < 4.5 * error)
    for k in range(2):
        scale = np.sqrt(np.diagonal(covariance[..., k]))
        found = np.cov(samples[:, k]) / np.outer(scale, scale)
        assert_allclose(found, covariance[..., k] / np.outer(scale, scale), atol=0.12)  # 4.5 deviations


def test_shapes_and_seeds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pathwise, "_COLUMNS", 256)
    model = regressor().fit(X, Y[:, 0])
    samples = model.sample_y(Z, 3)
    assert samples.shape == (5, 3)
    assert_array_equal(model.sample_y(Z, 3, random_state=0), samples)
    assert np.abs(model.sample_y(Z, 3, random_state=1) - samples).min() > 0
    rows = csr_matrix(np.where(X > 0, X, 0))
    sparse, dense = regressor().fit(rows, Y[:, 0]), regressor().fit(rows.toarray(), Y[:, 0])
    assert_allclose(sparse.sample_y(csr_matrix(Z), 2), dense.sample_y(Z, 2), rtol=1e-4)
    with pytest.raises(ValueError, match="n_samples"):
        model.sample_y(Z, 0)


def test_kernels_without_random_features() -> None:
    model = regressor(kernel=nk.GammaExponential(0.5, 1.0)).fit(X, Y)
    mean, deviation = model.predict(Z, return_std=True)
    samples = model.sample_y(Z, 10_000)  # by a factorised covariance
    assert_allclose((samples.mean(axis=2) - mean) / deviation, 0, atol=0.05)  # 5 deviations
    assert_allclose(samples.std(axis=2), deviation, rtol=0.05)
