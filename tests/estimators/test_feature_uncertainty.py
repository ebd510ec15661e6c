"""What the regressor on features says of its errors: against the linear model, refits, and held-out rows."""

from __future__ import annotations

import pickle
import tracemalloc
from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.datasets import load_diabetes, make_friedman1
from sklearn.preprocessing import StandardScaler

import neural_kernels as nk

NET = nk.mlp(1, bias_var=0.1)


def regressor(**options: Any) -> nk.NeuralFeatureRegressor:
    return nk.NeuralFeatureRegressor(NET, **({"n_components": 20, "alpha": 0.1, "random_state": 0} | options))


@pytest.fixture
def data() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """60 rows, of which 10 are copies, with two targets, and 6 new ones."""
    rng = np.random.default_rng(0)
    X = rng.standard_normal((66, 3))
    X[50:60] = X[:10]
    y = np.column_stack([np.sin(X[:, 0]) + 3, 10 * X[:, 1] ** 2]) + 0.2 * rng.standard_normal((66, 2))
    return X[:60], y[:60], X[60:]


def judged_amplitude(phi: np.ndarray, y: np.ndarray, ridge: float, beyond: np.ndarray) -> np.ndarray:
    """Squared residuals of rows without them and their copies, each against what is said of it; copies share a sum."""
    result = []
    for i in range(len(y)):
        same = (phi == phi[i]).all(axis=1)
        x, mean = phi[~same], phi[~same].mean(axis=0)
        solved = np.linalg.inv((x - mean).T @ (x - mean) + ridge * np.eye(phi.shape[1]))
        missed = y[same] - y[~same].mean(axis=0) - (phi[i] - mean) @ solved @ (x - mean).T @ y[~same]
        variance = ridge * (np.eye(same.sum()) + 1 / len(x) + (phi[i] - mean) @ solved @ (phi[i] - mean)) + beyond[i]
        result.append(np.einsum("io,ij,jo->o", missed, np.linalg.inv(variance), missed) / same.sum())
    return np.array(result)


@pytest.mark.parametrize("method", [None, nk.RandomFeatures()])
def test_equals_the_process_of_its_features(data, method: Any) -> None:
    X, y, Z = data
    model = regressor(method=method).fit(X, y)
    phi, new = (model.map_(rows)[:, : model.map_.columns] for rows in (X, Z))
    mean, ridge = phi.mean(axis=0), model.ridge_
    solved = np.linalg.inv((phi - mean).T @ (phi - mean) + ridge * np.eye(phi.shape[1]))
    covariance = ridge * ((new - mean) @ solved @ (new - mean).T + 1 / 60)
    lacked, of_rows = (np.maximum(nk.NTK(NET).diag(x) - np.sum(f**2, axis=1), 0) for x, f in ((Z, new), (X, phi)))
    judges = np.delete(np.arange(60), np.flatnonzero((X[:, None] == X[model.map_.learned]).all(axis=2).any(axis=1)))
    common = of_rows[judges].mean()
    covariance += np.diag(np.maximum(lacked - common, 0))
    amplitude = judged_amplitude(phi, y, ridge, np.maximum(of_rows - common, 0))[judges].sum(axis=0) / len(judges)
    assert_allclose(model.amplitude_, amplitude, rtol=1e-8)
    assert_allclose(model.noise_variance_, ridge * amplitude, rtol=1e-8)
    functions = covariance[..., None] * amplitude
    assert_allclose(model.predict(Z, return_cov=True, noise=False)[1], functions, rtol=1e-7, atol=1e-9)
    targets = functions + np.eye(6)[..., None] * ridge * amplitude
    assert_allclose(model.predict(Z, return_cov=True)[1], targets, rtol=1e-7, atol=1e-9)
    mean, std = model.predict(Z, return_std=True)
    assert_array_equal(mean, model.predict(Z))
    gram, centred = (phi - phi.mean(axis=0)) @ (phi - phi.mean(axis=0)).T + ridge * np.eye(60), y - y.mean(axis=0)
    likeliest = np.sum(centred * np.linalg.solve(gram, centred), axis=0) / 60
    logs = -0.5 * (60 * np.log(2 * np.pi * np.e * likeliest) + np.linalg.slogdet(gram)[1])
    assert model.log_marginal_likelihood_ == pytest.approx(logs.sum())
    assert_allclose(std, np.sqrt(np.diagonal(targets).T), rtol=1e-7)


def test_far_from_the_landmarks_nothing_is_known(data) -> None:
    """Their features are all but 0 there, and would say that f is sure to be its mean."""
    X, y, _ = data
    model = regressor(kernel=nk.Laplace(0.3), n_components=40).fit(X, y[:, 0])
    near, far = model.predict(np.array([X[0], np.full(3, 50.0)]), return_std=True, noise=False)[1]
    assert far > 0.8 * np.sqrt(model.amplitude_) > 2 * near


def test_intervals_are_residuals_of_refits(data) -> None:
    """Without copies; all rows judge, as all are landmarks."""
    X, y, Z = data
    X, y = X[:20], y[:20]
    model = regressor().fit(X, y)
    phi, missed = model.map_(X)[:, : model.map_.columns], []
    for i in range(20):
        rest = np.arange(20) != i
        mean, offset = phi[rest].mean(axis=0), y[rest].mean(axis=0)
        scatter = (phi[rest] - mean).T @ (phi[rest] - mean) + model.ridge_ * np.eye(phi.shape[1])
        coefficients = np.linalg.solve(scatter, (phi[rest] - mean).T @ (y[rest] - offset))
        missed.append(np.abs(y[i] - offset - (phi[i] - mean) @ coefficients))
    half = np.sort(missed, axis=0)[int(np.ceil(0.8 * 21)) - 1]
    bounds = model.predict_interval(Z, coverage=0.8)
    assert_allclose(bounds[:, 0], model.predict(Z) - half, rtol=1e-7)
    assert_allclose(bounds[:, 1], model.predict(Z) + half, rtol=1e-7)
    assert_array_equal(np.abs(model.predict_interval(Z, coverage=0.99)), np.inf)


@pytest.mark.parametrize(
    "table",
    [load_diabetes(return_X_y=True), make_friedman1(450, noise=1.0, random_state=0)],
    ids=["diabetes", "friedman"],
)
def test_held_out_targets_are_covered(table: Any) -> None:
    x, y = table
    order = np.random.default_rng(0).permutation(len(y))
    train, test = order[:300], order[300:]
    scaler = StandardScaler().fit(x[train])
    alphas = np.logspace(-3, 1, 9)
    model = nk.NeuralFeatureRegressor(kernel="nngp", n_components=128, alpha=alphas, random_state=0)
    model.fit(scaler.transform(x[train]), 1000 * y[train])
    rows, missed = scaler.transform(x[test]), 1000 * y[test] - model.predict(scaler.transform(x[test]))
    std = model.predict(rows, return_std=True)[1]
    for width, nominal in ((1.645, 0.9), (1.96, 0.95)):
        assert np.mean(np.abs(missed) <= width * std) == pytest.approx(nominal, abs=0.06)
        lower, upper = model.predict_interval(rows, nominal).T
        assert np.mean((lower <= 1000 * y[test]) & (1000 * y[test] <= upper)) == pytest.approx(nominal, abs=0.06)


@pytest.mark.parametrize("alpha", [0.1, [0.01, 0.1]], ids=["one", "several"])
def test_samples_have_the_predicted_distribution(data, alpha: Any) -> None:
    X, y, Z = data
    model = regressor(alpha=alpha).fit(X, y)
    for noise in (True, False):
        mean, covariance = model.predict(Z, return_cov=True, noise=noise)
        samples = model.sample_y(Z, 40_000, random_state=0, noise=noise)
        error = np.sqrt(np.einsum("iik->ik", covariance) / 40_000)
        assert np.all(np.abs(samples.mean(axis=2) - mean) < 5 * error)
        for k in range(2):
            scale = np.sqrt(np.diagonal(covariance[..., k]))
            found = np.cov(samples[:, k]) / np.outer(scale, scale)
            assert_allclose(found, covariance[..., k] / np.outer(scale, scale), atol=0.03)  # 6 deviations


def test_samples_are_functions(data) -> None:
    """The same at any rows, of which there may be many, in blocks too."""
    X, y, _ = data
    model = regressor().fit(X, y)
    rows = np.random.default_rng(1).standard_normal((3000, 3))
    samples = model.sample_y(rows, 2, random_state=3)
    assert samples.shape == (3000, 2, 2)
    assert_allclose(model.sample_y([(rows[:7],), (rows[7:],)], 2, random_state=3), samples, rtol=1e-8)
    assert_allclose(model.sample_y(rows[:50], 2, random_state=3), samples[:50], rtol=1e-8)


def test_streams_samples_shapes_and_pickles(data) -> None:
    X, y, Z = data
    whole, parts = regressor().fit(X, y), regressor()
    for part in (slice(0, 25), slice(25, 26), slice(26, 60)):
        parts.partial_fit(X[part], y[part])
    for model in (parts, pickle.loads(pickle.dumps(whole))):
        assert_allclose(model.predict(Z, return_std=True)[1], whole.predict(Z, return_std=True)[1], rtol=1e-8)
        assert_allclose(model.predict_interval(Z), whole.predict_interval(Z), rtol=1e-8)
    parts.predict_interval(Z)
    parts.partial_fit(X, y + 1)
    again = regressor().fit(np.vstack([X, X]), np.vstack([y, y + 1]))
    assert_allclose(parts.predict_interval(Z), again.predict_interval(Z), rtol=1e-8)
    assert_allclose(parts.predict(Z, return_std=True)[1], again.predict(Z, return_std=True)[1], rtol=1e-8)
    assert whole.sample_y(Z, 4).shape == (6, 2, 4)
    single = regressor().fit(X, y[:, 0])
    assert single.sample_y(Z, 4).shape == (6, 4)
    assert single.predict_interval(Z).shape == (6, 2)
    assert isinstance(single.amplitude_, float)
    assert_allclose(single.predict(Z, return_std=True)[1], whole.predict(Z, return_std=True)[1][:, 0], rtol=1e-8)


def test_what_uncertainty_needs(data) -> None:
    X, y, Z = data
    model = regressor().fit(X, y)
    del model.moments_
    assert model.predict(Z).shape == (6, 2)
    for ask in (lambda: model.predict(Z, return_std=True), lambda: model.predict_interval(Z)):
        with pytest.raises(ValueError, match="moments_ was deleted"):
            ask()
    with pytest.raises(ValueError, match="one of them"):
        regressor().fit(X, y).predict(Z, return_std=True, return_cov=True)
    with pytest.raises(ValueError, match="coverage"):
        regressor().fit(X, y).predict_interval(Z, coverage=1.5)


def test_covariances_keep_within_a_budget(data) -> None:
    X, y, _ = data
    n = 1500
    new = np.random.default_rng(1).standard_normal((n, 3))
    need = 8 * n * (2 * n + 3 * 20)
    model = regressor(memory_budget=need).fit(X, y[:, 0])
    model.predict(new[:5], return_cov=True)  # compiles
    tracemalloc.start()
    covariance = model.predict(new, return_cov=True)[1]
    assert tracemalloc.get_traced_memory()[1] < 1.2 * need
    tracemalloc.stop()
    assert_allclose(np.sqrt(np.diagonal(covariance)), model.predict(new, return_std=True)[1], rtol=1e-8)
    model.memory_budget = need - 1
    with pytest.raises(MemoryError, match="return_std"):
        model.predict(new, return_cov=True)
