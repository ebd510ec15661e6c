"""What the kernel regressor says of its errors: against scikit-learn, refits without a row, and held-out rows."""

from __future__ import annotations

import pickle
from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.datasets import load_diabetes, make_friedman1
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import RBF, ConstantKernel
from sklearn.preprocessing import StandardScaler

import neural_kernels as nk
from neural_kernels.estimators.ensemble_noise import ensemble_variances
from neural_kernels.solvers import Cholesky, Spectral, ensemble_covariance

NET = nk.mlp(2, bias_var=0.1)


@pytest.fixture(params=["nngp", "ntk"])
def kernel(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture
def data() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """40 training examples with two targets, 7 test examples."""
    rng = np.random.default_rng(0)
    X = rng.standard_normal((47, 3))
    y = np.column_stack([np.sin(X[:, 0]) + 3, 10 * X[:, 1] ** 2]) + 0.2 * rng.standard_normal((47, 2))
    return X[:40], y[:40], X[40:]


def repeated(data: tuple[np.ndarray, np.ndarray, np.ndarray]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Every fourth example three times, with other targets."""
    X, y, Z = data
    rows = np.concatenate([np.arange(40), np.repeat(np.arange(0, 40, 4), 2)])
    return X[rows], y[rows] + 0.3 * np.random.default_rng(2).standard_normal((60, 2)), Z


def held_out(load: Any) -> tuple[Any, Any, Any, Any]:
    """Two thirds to fit, a third to test, scaled."""
    x, y = load
    order = np.random.default_rng(0).permutation(len(y))
    train, test = order[: 2 * len(y) // 3], order[2 * len(y) // 3 :]
    scaler = StandardScaler().fit(x[train])
    return scaler.transform(x[train]), y[train], scaler.transform(x[test]), y[test]


TABLES = {
    "diabetes": load_diabetes(return_X_y=True),
    "friedman1": make_friedman1(450, noise=1.0, random_state=0),
}


@pytest.mark.parametrize("table", list(TABLES))
def test_held_out_targets_are_covered(kernel: str, table: str) -> None:
    """Of 150 rows, 90 % and 95 % to within about two standard errors."""
    x, y, x_test, y_test = held_out(TABLES[table])
    model = nk.NeuralKernelRegressor(kernel=kernel, alpha=np.logspace(-3, 1, 9)).fit(x, 1000 * y)
    mean, std = model.predict(x_test, return_std=True)
    for width, nominal in ((1.645, 0.9), (1.96, 0.95)):
        assert np.mean(np.abs(1000 * y_test - mean) <= width * std) == pytest.approx(nominal, abs=0.05)
    for nominal in (0.9, 0.95):
        lower, upper = model.predict_interval(x_test, coverage=nominal).T
        assert np.mean((lower <= 1000 * y_test) & (1000 * y_test <= upper)) == pytest.approx(nominal, abs=0.05)


def test_targets_in_other_units(data, kernel: str) -> None:
    X, y, Z = data
    one = nk.NeuralKernelRegressor(NET, kernel=kernel, alpha=0.01).fit(X, y)
    other = nk.NeuralKernelRegressor(NET, kernel=kernel, alpha=0.01).fit(X, 1000 * y + 5)
    for wanted in ({}, {"noise": False}):
        assert_allclose(
            other.predict(Z, return_std=True, **wanted)[1],
            1000 * one.predict(Z, return_std=True, **wanted)[1],
            rtol=1e-5,
        )
    assert_allclose(other.predict_interval(Z), 1000 * one.predict_interval(Z) + 5, rtol=1e-9)


def test_copies_count_as_rows(data) -> None:
    """scikit-learn's process sees 60 rows where 40 examples were merged."""
    X, y, Z = repeated(data)
    model = nk.NeuralKernelRegressor(kernel=RBF(1.5), alpha=0.05).fit(X, y)
    for k, a in enumerate(model.amplitude_):
        centred = y[:, k] - y[:, k].mean()
        prior: Any = ConstantKernel(a, "fixed") * RBF(1.5, "fixed")
        peer: Any = GaussianProcessRegressor(prior, alpha=a * model.ridge_).fit(X, centred)
        mean, std = peer.predict(Z, return_std=True)
        assert_allclose(model.predict(Z)[:, k] - y[:, k].mean(), mean, rtol=1e-8)
        assert_allclose(model.predict(Z, return_std=True, noise=False)[1][:, k], std, rtol=1e-8)
        assert_allclose(a, centred @ peer.alpha_ * a / 60, rtol=1e-9)


def test_outputs_are_as_one_by_one(data, kernel: str) -> None:
    X, y, Z = data
    both = nk.NeuralKernelRegressor(NET, kernel=kernel, alpha=0.01).fit(X, y)
    for k in range(2):
        one = nk.NeuralKernelRegressor(NET, kernel=kernel, alpha=0.01).fit(X, y[:, k])
        assert isinstance(one.amplitude_, float)
        assert_allclose(both.noise_variance_[k], one.noise_variance_, rtol=1e-6)
        assert_allclose(both.predict(Z, return_std=True)[1][:, k], one.predict(Z, return_std=True)[1], rtol=1e-6)
        assert_allclose(both.predict_interval(Z)[..., k], one.predict_interval(Z), rtol=1e-9)
    assert both.predict(Z, return_cov=True)[1].shape == (7, 7, 2)
    assert both.predict_interval(Z).shape == (7, 2, 2)


def test_a_row_of_the_covariance_is_the_deviation(data, kernel: str) -> None:
    X, y, Z = repeated(data)
    model = nk.NeuralKernelRegressor(NET, kernel=kernel, alpha=0.01).fit(X, y)
    for time in (None, 10.0):
        std = model.predict(Z, return_std=True, time=time)[1]
        covariance = model.predict(Z, return_cov=True, time=time)[1]
        assert_allclose(np.diagonal(covariance).T, std**2, rtol=1e-9)


def smoother(gram: np.ndarray, cross: np.ndarray, weights: np.ndarray, ridge: float) -> np.ndarray:
    return np.linalg.solve(gram + np.diag(ridge / weights), cross.T).T


@pytest.mark.parametrize("solver", [Cholesky(), Spectral()])
def test_ensemble_is_fitted_to_residuals_of_refits(data, solver: Any) -> None:
    """A grid over both variances finds no likelier pair, with the spread of every refit by its definition."""
    X, y, _ = data
    y = y[:, 0] - y[:, 0].mean()
    weights, ridge = np.tile([1.0, 2.0], 20), 0.3
    nngp, ntk = nk.kernels(NET, X)
    a, s = ensemble_variances(solver.system(ntk, weights), nngp, y[:, None], ridge, np.array([0.5]))

    terms = []
    for i in range(40):
        rest = np.arange(40) != i
        left = smoother(ntk[np.ix_(rest, rest)], ntk[[i]][:, rest], weights[rest], ridge)
        spread = ensemble_covariance([nngp[i, i]], nngp[[i]][:, rest], nngp[np.ix_(rest, rest)], left)[0]
        terms.append(((y[i] - left @ y[rest])[0], spread, 1 / weights[i] + np.sum(left**2 / weights[rest])))
    residual, p, q = np.array(terms).T

    def log_likelihood(amplitude: float, noise: float) -> float:
        variance = amplitude * p + noise * q
        merged = 20 * np.log(noise) + 0.5 / noise  # the copies' scatter about 20 means
        return -np.sum(np.log(variance) + residual**2 / variance) - merged

    best = log_likelihood(a[0], s[0])
    for first, second in np.random.default_rng(0).uniform(0.7, 1.4, (200, 2)):
        assert log_likelihood(first * a[0], second * s[0]) <= best + 1e-6


def refits(X: Any, y: Any, Z: Any, alpha: float, groups: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """f_{-i}(Z), and |y_i - f_{-i}(x_i)|, for every row i, of models without it and its copies."""
    ridge = nk.NeuralKernelRegressor(NET, alpha=alpha).fit(X, y).ridge_
    gram, cross = nk.NTK(NET)(X), nk.NTK(NET)(Z, X)
    at_test, missed = [], []
    for i in range(len(X)):
        rest = groups != groups[i]
        mean = y[rest].mean(axis=0)
        dual = np.linalg.solve(gram[np.ix_(rest, rest)] + ridge * np.eye(rest.sum()), y[rest] - mean)
        at_test.append(cross[:, rest] @ dual + mean)
        missed.append(np.abs(y[i] - gram[i, rest] @ dual - mean))
    return np.stack(at_test, axis=1), np.array(missed)


@pytest.mark.parametrize("copies", [False, True])
def test_intervals_are_those_of_refits(data, copies: bool) -> None:
    X, y, Z = repeated(data) if copies else data
    groups = np.unique(X[:, 0], return_inverse=True)[1]
    at_test, missed = refits(X, y, Z, 0.02, groups)
    n = len(X)
    for coverage in (0.5, 0.8, 0.95):
        found = nk.NeuralKernelRegressor(NET, alpha=0.02).fit(X, y).predict_interval(Z, coverage)
        k = int(np.ceil(coverage * (n + 1)))
        assert_allclose(found[:, 0], np.sort(at_test - missed, axis=1)[:, n - k], rtol=1e-6)
        assert_allclose(found[:, 1], np.sort(at_test + missed, axis=1)[:, k - 1], rtol=1e-6)


def test_weights_of_intervals_are_repetitions(data) -> None:
    X, y, Z = data
    counts = np.random.default_rng(3).integers(1, 4, 40)
    rows = np.repeat(np.arange(40), counts)
    repeats = nk.NeuralKernelRegressor(NET, alpha=0.01).fit(X[rows], y[rows])
    weighted = nk.NeuralKernelRegressor(NET, alpha=0.01).fit(X, y, sample_weight=counts)
    assert_allclose(weighted.predict_interval(Z), repeats.predict_interval(Z), rtol=1e-9)
    assert_allclose(weighted.predict(Z, return_std=True)[1], repeats.predict(Z, return_std=True)[1], rtol=1e-6)
    assert weighted.log_marginal_likelihood_ == pytest.approx(repeats.log_marginal_likelihood_)


def test_too_few_rows_for_so_much_coverage(data) -> None:
    X, y, Z = data
    model = nk.NeuralKernelRegressor(NET, alpha=0.01).fit(X[:8], y[:8, 0])
    assert np.isfinite(model.predict_interval(Z, coverage=8 / 9)).all()
    assert_array_equal(np.abs(model.predict_interval(Z, coverage=0.9)), np.inf)


def test_precomputed_kernels_give_intervals(data) -> None:
    X, y, Z = data
    gram = nk.NTK(NET)
    model = nk.NeuralKernelRegressor(kernel="precomputed", alpha=0.01).fit(gram(X), y)
    assert_allclose(
        model.predict_interval(gram(Z, X)), nk.NeuralKernelRegressor(NET, alpha=0.01).fit(X, y).predict_interval(Z)
    )
    with pytest.raises(ValueError, match="use predict_interval"):
        model.predict(gram(Z, X), return_std=True)
    assert np.isfinite(model.log_marginal_likelihood_)
    assert model.amplitude_.shape == (2,)


def test_samples_have_the_predicted_distribution(data, kernel: str) -> None:
    X, y, Z = data
    model = nk.NeuralKernelRegressor(NET, kernel=kernel, alpha=0.01).fit(X, y)
    peer: Any = GaussianProcessRegressor(RBF(1.0, "fixed"), alpha=0.1).fit(X, y)
    assert model.sample_y(Z, 3).shape == peer.sample_y(Z, 3).shape == (7, 2, 3)
    assert_array_equal(model.sample_y(Z, 3, random_state=1), model.sample_y(Z, 3, random_state=1))
    for noise in (True, False):
        mean, covariance = model.predict(Z, return_cov=True, noise=noise)
        samples = model.sample_y(Z, 40_000, random_state=0, noise=noise)
        error = np.sqrt(np.einsum("iik->ik", covariance) / 40_000)
        assert np.all(np.abs(samples.mean(axis=2) - mean) < 5 * error)
        for k in range(2):
            scale = np.sqrt(np.diagonal(covariance[..., k]))
            found = np.cov(samples[:, k]) / np.outer(scale, scale)
            assert_allclose(found, covariance[..., k] / np.outer(scale, scale), atol=0.03)
    single = nk.NeuralKernelRegressor(NET, kernel=kernel, alpha=0.01).fit(X, y[:, 0])
    assert single.sample_y(Z).shape == (7, 1)


def test_state_follows_the_last_fit(data, kernel: str) -> None:
    X, y, Z = data
    model = nk.NeuralKernelRegressor(NET, kernel=kernel, alpha=0.01).fit(X, y)
    model.predict(Z, return_std=True)
    model.predict_interval(Z)
    model.fit(X[:30], y[:30, 0])
    fresh = nk.NeuralKernelRegressor(NET, kernel=kernel, alpha=0.01).fit(X[:30], y[:30, 0])
    for again in (model, pickle.loads(pickle.dumps(model))):
        assert_array_equal(again.predict(Z, return_std=True)[1], fresh.predict(Z, return_std=True)[1])
        assert_array_equal(again.predict_interval(Z), fresh.predict_interval(Z))


def test_blocks_do_not_matter(data, kernel: str) -> None:
    X, y, Z = data
    whole, parts = (nk.NeuralKernelRegressor(NET, kernel=kernel, alpha=0.01).fit(X, y) for _ in range(2))
    parts.memory_budget = 8 * 8 * 40  # one row at a time
    for wanted in (lambda m: m.predict(Z, return_std=True)[1], lambda m: m.predict_interval(Z)):
        assert_allclose(wanted(parts), wanted(whole), rtol=1e-9)


def test_float32(data, kernel: str) -> None:
    X, y, Z = data
    single, double = X.astype(np.float32), X.astype(np.float32).astype(np.float64)
    found = nk.NeuralKernelRegressor(NET, kernel=kernel, alpha=0.01).fit(single, y)
    expected = nk.NeuralKernelRegressor(NET, kernel=kernel, alpha=0.01).fit(double, y)
    std, interval = found.predict(np.float32(Z), return_std=True)[1], found.predict_interval(np.float32(Z))
    assert std.dtype == interval.dtype == np.float64
    assert_allclose(std, expected.predict(np.float64(np.float32(Z)), return_std=True)[1], rtol=1e-3)
    assert_allclose(interval, expected.predict_interval(np.float64(np.float32(Z))), rtol=1e-3)


def test_constant_targets_are_sure(data, kernel: str) -> None:
    X, _, Z = data
    model = nk.NeuralKernelRegressor(NET, kernel=kernel, alpha=0.01).fit(X, np.full(40, 3.0))
    mean, std = model.predict(Z, return_std=True)
    assert_allclose(mean, 3)
    assert_allclose(std, 0)
    assert_allclose(model.predict_interval(Z), 3)
    assert_allclose(model.sample_y(Z), 3)


def test_inputs_that_do_not_vary() -> None:
    """The mean, about which the targets' own spread remains."""
    y = np.random.default_rng(0).standard_normal(200)
    model = nk.NeuralKernelRegressor(NET, kernel="nngp", alpha=1e-3).fit(np.ones((200, 2)), y)
    mean, std = model.predict(np.ones((1, 2)), return_std=True)
    assert_allclose(mean, y.mean())
    assert_allclose(std, y.std(), rtol=0.05)
    lower, upper = model.predict_interval(np.ones((1, 2))).T
    assert np.mean((lower <= y) & (y <= upper)) == pytest.approx(0.9, abs=0.01)
    alone = nk.NeuralKernelRegressor(NET, alpha=0.01).fit(np.ones((1, 2)), y[:1])
    assert_array_equal(np.abs(alone.predict_interval(np.ones((1, 2)))), np.inf)


def test_bad_requests(data) -> None:
    X, y, Z = data
    model = nk.NeuralKernelRegressor(NET, alpha=0.01).fit(X, y)
    for coverage in (1.0, -0.1, np.nan):
        with pytest.raises(ValueError, match="coverage"):
            model.predict_interval(Z, coverage=coverage)
    with pytest.raises(TypeError, match="coverage"):
        model.predict_interval(Z, coverage="0.9")  # pyright: ignore[reportArgumentType]
    with pytest.raises(ValueError, match="n_samples"):
        model.sample_y(Z, 0)
