"""The regressor: against scikit-learn, dense formulas and refits."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_allclose
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.kernel_ridge import KernelRidge

from neural_kernels.activations import ReLU
from neural_kernels.estimators import NeuralKernelRegressor
from neural_kernels.exact import NNGP, NTK
from neural_kernels.layers import Dense, Sequential, mlp
from neural_kernels.solvers import Cholesky, Spectral, ensemble_covariance

NET = mlp(2, bias_var=0.1)
KERNEL = {"ntk": NTK(NET), "nngp": NNGP(NET)}


@pytest.fixture
def data():
    """60 training examples, 9 test examples, a smooth target far from 0."""
    rng = np.random.default_rng(0)
    X = rng.standard_normal((69, 4))
    y = np.sin(X[:, 0]) + X[:, 1] ** 2 + 5 + 0.1 * rng.standard_normal(69)
    return X[:60], y[:60], X[60:]


def with_weights(n):
    weights = np.random.default_rng(1).uniform(0.2, 3.0, n)
    weights[[3, 11]] = 0
    return weights


def ridge_of_scikit_learn(ridge: Any) -> Any:
    return KernelRidge(alpha=ridge, kernel="precomputed")


@pytest.mark.parametrize("solver", [Cholesky(), Spectral()])
@pytest.mark.parametrize("kernel", ["ntk", "nngp"])
@pytest.mark.parametrize("weighted", [False, True])
def test_equals_kernel_ridge_with_the_same_ridge(data, kernel, solver, weighted):
    X, y, Z = data
    w = with_weights(60) if weighted else None
    model = NeuralKernelRegressor(NET, kernel=kernel, alpha=0.01, solver=solver).fit(X, y, sample_weight=w)
    gram = KERNEL[kernel](X)
    offset = np.average(y, weights=w)
    peer = ridge_of_scikit_learn(model.ridge_).fit(gram, y - offset, sample_weight=w)
    assert_allclose(model.ridge_, 0.01 * np.average(np.diagonal(gram), weights=w), rtol=1e-12)
    assert_allclose(model.y_offset_, offset, rtol=1e-12)
    assert_allclose(model.predict(Z), peer.predict(KERNEL[kernel](Z, X)) + offset, rtol=1e-9)


@pytest.mark.parametrize("weighted", [False, True])
def test_selection_is_by_exact_leave_one_out(data, weighted):
    X, y = data[0][:20], np.column_stack([data[1][:20], data[0][:20, 2]])
    w = with_weights(20) if weighted else np.ones(20)
    alphas = [1e-4, 1e-2, 1.0]
    model = NeuralKernelRegressor(NET, alpha=alphas).fit(X, y, sample_weight=w)
    gram, used = KERNEL["ntk"](X), np.flatnonzero(w)
    scale = np.average(np.diagonal(gram), weights=w)
    total = w @ (y - np.average(y, axis=0, weights=w)) ** 2
    scores = []
    for alpha in alphas:
        lost = np.zeros(2)
        for i in used:
            rest = used[used != i]
            relative = alpha * scale / np.average(np.diagonal(gram)[rest], weights=w[rest])
            refit = NeuralKernelRegressor(alpha=relative, kernel="precomputed")
            refit.fit(gram[np.ix_(rest, rest)], y[rest], sample_weight=w[rest])
            lost += w[i] * (y[i] - refit.predict(gram[[i]][:, rest])[0]) ** 2
        scores.append((1 - lost / total).mean())
    assert_allclose(model.loo_scores_, scores, rtol=1e-8)
    assert model.alpha_ == alphas[np.argmax(scores)]
    assert_allclose(model.ridge_, model.alpha_ * scale, rtol=1e-12)
    assert_allclose(model.predict(X), NeuralKernelRegressor(NET, alpha=model.alpha_).fit(X, y, w).predict(X), rtol=1e-9)


@pytest.mark.parametrize("solver", [Cholesky(), Spectral()])
def test_training_time(data, solver):
    X, y, Z = data
    model = NeuralKernelRegressor(NET, alpha=0.01, solver=solver).fit(X, y)
    assert_allclose(model.predict(Z, time=0.0), y.mean(), rtol=1e-12)
    assert_allclose(model.predict(Z, time=np.inf), model.predict(Z))
    assert_allclose(model.predict(Z, time=1e9), model.predict(Z), rtol=1e-9)
    values, vectors = np.linalg.eigh(KERNEL["ntk"](X) + model.ridge_ * np.eye(60))
    trained = (vectors * -np.expm1(-30.0 * values / 60) / values) @ vectors.T @ (y - y.mean())
    assert_allclose(model.predict(Z, time=30.0), KERNEL["ntk"](Z, X) @ trained + y.mean(), rtol=1e-9)


def test_time_counts_outputs(data):
    X, y, Z = data
    one = NeuralKernelRegressor(NET).fit(X, y).predict(Z, time=10.0)
    two = NeuralKernelRegressor(NET).fit(X, np.column_stack([y, -y])).predict(Z, time=20.0)
    assert_allclose(two, np.column_stack([one, -one]), rtol=1e-9)


def test_nngp_spread_is_the_gaussian_process_posterior(data):
    X, y, Z = data
    model = NeuralKernelRegressor(NET, kernel="nngp", alpha=0.01).fit(X, y)
    k, cross, prior = KERNEL["nngp"](X), KERNEL["nngp"](Z, X), KERNEL["nngp"](Z)
    expected = prior - cross @ np.linalg.solve(k + model.ridge_ * np.eye(60), cross.T)
    expected *= model.amplitude_
    mean, std = model.predict(Z, return_std=True, noise=False)
    assert_allclose(mean, model.predict(Z), rtol=1e-12)
    assert_allclose(std, np.sqrt(np.diagonal(expected)), rtol=1e-9)
    assert_allclose(model.predict(Z, return_cov=True, noise=False)[1], expected, atol=1e-12)


def test_shapes_of_uncertainty_are_those_of_scikit_learn(data):
    X, y, Z = data
    peer: Any = GaussianProcessRegressor(alpha=0.1)
    model = NeuralKernelRegressor(NET, kernel="nngp")
    for targets in (y, np.column_stack([y, y])):
        peer.fit(X, targets)
        model.fit(X, targets)
        for wanted in ("return_std", "return_cov"):
            expected, got = peer.predict(Z, **{wanted: True}), model.predict(Z, **{wanted: True})
            assert [a.shape for a in got] == [a.shape for a in expected]


@pytest.mark.parametrize("time", [None, 20.0])
def test_ntk_spread_is_that_of_the_ensemble(data, time):
    X, y, Z = data
    model = NeuralKernelRegressor(NET, alpha=0.01).fit(X, y)
    system = KERNEL["ntk"](X) + model.ridge_ * np.eye(60)
    values, vectors = np.linalg.eigh(system)
    response = 1 / values if time is None else -np.expm1(-time * values / 60) / values
    a = KERNEL["ntk"](Z, X) @ (vectors * response) @ vectors.T
    expected = ensemble_covariance(KERNEL["nngp"](Z), KERNEL["nngp"](Z, X), KERNEL["nngp"](X), a)
    ensemble = model.predict(Z, return_cov=True, time=time, noise=False)[1]
    assert_allclose(ensemble / model.amplitude_, expected, atol=1e-11)
    predictive = model.amplitude_ * expected + model.noise_variance_ * (np.eye(9) + a @ a.T)
    assert_allclose(model.predict(Z, return_cov=True, time=time)[1], predictive, atol=1e-11)
    std = model.predict(Z, return_std=True, time=time)[1]
    assert_allclose(std, np.sqrt(np.diagonal(predictive)), rtol=1e-8)


@pytest.mark.parametrize(("name", "time"), [("None", None), ("0.5", 0.5), ("10.0", 10.0), ("100.0", 100.0)])
@pytest.mark.parametrize("kernel", ["ntk", "nngp"])
def test_covariances_match_golden_values(kernel, name, time):
    golden = np.load(Path(__file__).parents[1] / "data" / "predict_fc.npz")
    hidden = Dense(1.5**2, 0.1**2)
    net = Sequential(hidden, ReLU(), hidden, ReLU(), Dense(1.0, 0.1**2))
    model = NeuralKernelRegressor(net, kernel=kernel, alpha=1e-2).fit(golden["x"], golden["y"])
    cov = model.predict(golden["xt"], return_cov=True, time=time, noise=False)[1] / model.amplitude_
    for output in range(3):  # the golden ntk_dd is 5e-8 off on its diagonal (an arc cosine at 1)
        assert_allclose(cov[..., output], golden[f"ens_reg1e-2_t{name}_{kernel}_cov"], rtol=1e-7, atol=1e-8)


def test_spread_before_training_is_the_prior(data):
    X, y, Z = data
    for kernel in ("ntk", "nngp"):
        model = NeuralKernelRegressor(NET, kernel=kernel).fit(X, y)
        std = model.predict(Z, return_std=True, time=0.0, noise=False)[1]
        assert_allclose(std, np.sqrt(model.amplitude_ * KERNEL["nngp"].diag(Z)), rtol=1e-12)


def test_multi_output_equals_one_by_one(data):
    X, y, Z = data
    both = NeuralKernelRegressor(NET).fit(X, np.column_stack([y, X[:, 0]])).predict(Z)
    assert_allclose(both[:, 0], NeuralKernelRegressor(NET).fit(X, y).predict(Z), rtol=1e-10)
    assert both.shape == (9, 2)
