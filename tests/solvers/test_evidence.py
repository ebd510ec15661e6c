"""Marginal likelihoods, with the amplitude profiled out: against scikit-learn, densities, rows not merged."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_allclose
from scipy.stats import multivariate_normal
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import RBF, ConstantKernel

from neural_kernels.solvers import BlockRidge, Cholesky, Evidence, Solver, Spectral

RIDGES = [0.05, 0.4, 3.0]
N, COPIES = 14, np.array([1, 3, 1, 2, 1, 1, 4, 1, 1, 2, 1, 1, 1, 5])


@pytest.fixture(params=[Cholesky(), Spectral()], ids=lambda solver: type(solver).__name__)
def solver(request: pytest.FixtureRequest) -> Solver:
    return request.param


@pytest.fixture
def data() -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    return rng.standard_normal((N, 3)), rng.standard_normal((N, 2))


def gaussian(X: np.ndarray) -> np.ndarray:
    return np.asarray(RBF(1.5)(X))


def log_density(y: np.ndarray, covariance: np.ndarray) -> float:
    return float(multivariate_normal(np.zeros(len(y)), covariance).logpdf(y))


def test_equals_scikit_learn(solver: Solver, data: tuple[np.ndarray, np.ndarray]) -> None:
    X, y = data
    system = solver.system(gaussian(X))
    for ridge in RIDGES:
        found = system.evidence(y[:, 0], ridge)
        amplitude = float(found.amplitude)
        peer: Any = GaussianProcessRegressor(
            ConstantKernel(amplitude) * RBF(1.5), alpha=amplitude * ridge, optimizer=None
        ).fit(X, y[:, 0])
        assert_allclose(found.log_likelihood, peer.log_marginal_likelihood_value_, rtol=1e-12)


def test_the_amplitude_is_the_likeliest(solver: Solver, data: tuple[np.ndarray, np.ndarray]) -> None:
    X, y = data
    gram = gaussian(X)
    found = solver.system(gram).evidence(y, RIDGES)
    assert found.amplitude.shape == (3, 2)
    assert found.log_likelihood.shape == (3,)
    for ridge, amplitudes, value in zip(RIDGES, found.amplitude, found.log_likelihood, strict=True):
        covariance = gram + ridge * np.eye(N)
        terms = [log_density(column, a * covariance) for column, a in zip(y.T, amplitudes, strict=True)]
        assert_allclose(value, sum(terms), rtol=1e-12)
        for factor in (0.95, 1.05):
            assert log_density(y[:, 0], factor * amplitudes[0] * covariance) < terms[0]


@pytest.mark.parametrize("outputs", [1, 2])
def test_merged_copies_count_as_rows(solver: Solver, data: tuple[np.ndarray, np.ndarray], outputs: int) -> None:
    X, _ = data
    group = np.repeat(np.arange(N), COPIES)
    y = np.random.default_rng(1).standard_normal((len(group), outputs))
    gram = gaussian(X)
    means = np.stack([np.bincount(group, column) for column in y.T], axis=1) / COPIES[:, None]
    scatter = np.square(y - means[group]).sum(axis=0)
    merged = solver.system(gram, COPIES.astype(float)).evidence(means, RIDGES, scatter)
    apart = solver.system(gram[np.ix_(group, group)]).evidence(y, RIDGES)
    assert_allclose(merged.amplitude, apart.amplitude, rtol=1e-9)
    assert_allclose(merged.log_likelihood, apart.log_likelihood, rtol=1e-9)


def test_one_amplitude_for_outputs_bound_by_blocks(solver: Solver) -> None:
    features, y = np.random.default_rng(2).standard_normal((10, 20)), np.random.default_rng(3).standard_normal((5, 2))
    matrix = features @ features.T / 20
    found = BlockRidge(matrix.reshape(5, 2, 5, 2).transpose(0, 2, 1, 3), solver).evidence(y, 0.3)
    covariance = matrix + 0.3 * np.eye(10)
    assert_allclose(found.amplitude, y.ravel() @ np.linalg.solve(covariance, y.ravel()) / 10, rtol=1e-10)
    assert_allclose(found.log_likelihood, log_density(y.ravel(), found.amplitude * covariance), rtol=1e-10)


def test_units_of_the_targets(solver: Solver, data: tuple[np.ndarray, np.ndarray]) -> None:
    X, y = data
    system = solver.system(gaussian(X))
    one, thousand = system.evidence(y, 0.4), system.evidence(1000 * y, 0.4)
    assert_allclose(thousand.amplitude, 1e6 * one.amplitude, rtol=1e-12)
    assert_allclose(thousand.log_likelihood, one.log_likelihood - y.size * np.log(1000), rtol=1e-12)


def test_targets_that_say_nothing(solver: Solver) -> None:
    constant = solver.system(np.eye(3)).evidence(np.zeros(3), [1.0, 2.0])
    assert_allclose(constant.amplitude, 0)
    assert np.isfinite(constant.log_likelihood).all()


def test_copies_without_noise_have_no_density(solver: Solver) -> None:
    system = solver.system(np.eye(2), [2.0, 1.0])
    for scatter in (0.0, 1.0):
        found: Evidence = system.evidence(np.ones(2), [0.0, 1.0], scatter)
        assert found.log_likelihood[0] == -np.inf
        assert np.isfinite(found.log_likelihood[1])


def test_bad_requests(solver: Solver) -> None:
    with pytest.raises(ValueError, match="ridge"):
        solver.system(np.eye(2)).evidence(np.ones(2), [-1.0])
    with pytest.raises(ValueError, match="leave those"):
        solver.system(np.eye(2), [0.0, 1.0]).evidence(np.ones(2), 1.0)
    with pytest.raises(np.linalg.LinAlgError, match="larger ridge"):
        solver.system(np.ones((2, 2))).evidence(np.ones(2), 0.0)
