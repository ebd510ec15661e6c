"""Kernels in scikit-learn's kernel machines and Gaussian processes: whole, as precomputed, and with right gradients."""

from __future__ import annotations

import pickle

import numpy as np
import pytest
from scipy import sparse
from sklearn.base import clone
from sklearn.cluster import SpectralClustering
from sklearn.decomposition import KernelPCA
from sklearn.gaussian_process import GaussianProcessClassifier, GaussianProcessRegressor
from sklearn.gaussian_process.kernels import RBF, ConstantKernel, Kernel, WhiteKernel
from sklearn.kernel_approximation import Nystroem
from sklearn.kernel_ridge import KernelRidge
from sklearn.metrics.pairwise import pairwise_kernels
from sklearn.svm import SVC

import neural_kernels as nk
from neural_kernels.interop import derivatives
from neural_kernels.interop.derivatives import log_derivatives

RNG = np.random.default_rng(0)
X, Z = RNG.standard_normal((24, 3)), RNG.standard_normal((9, 3))
Y = np.sin(2 * X[:, 0]) + 0.5 * X[:, 1]
NET = nk.mlp(2, bias_var=0.1)
KERNELS = {
    "ntk": nk.NTK(NET),
    "nngp": nk.NNGP(NET),
    "laplace": nk.Laplace(0.5),
    "sum": 0.5 * nk.NTK(NET) + nk.Laplace(),
    "product": nk.NNGP(NET) * nk.GammaExponential(0.3, 2.0),
    "affine": 2 * nk.NTK(nk.mlp(1)) + 0.5,
}


@pytest.fixture
def calls(monkeypatch):
    """Numbers of rows of every call of a network's kernel."""
    seen, plain = [], nk.NTK.__call__

    def counted(self, x1, x2=None, out=None):
        seen.append((len(x1), None if x2 is None else len(x2)))
        return plain(self, x1, x2, out)

    monkeypatch.setattr(nk.NTK, "__call__", counted)
    return seen


@pytest.mark.parametrize("wrap", [lambda kernel: kernel, nk.sklearn_kernel], ids=["itself", "converted"])
def test_kernel_machines_as_precomputed(wrap, calls):
    plain = nk.NTK(NET)
    kernel, gram, beside = wrap(plain), plain(X), plain(Z, X)
    labels = Y > 0
    calls.clear()
    np.testing.assert_array_equal(pairwise_kernels(X, metric=kernel), gram)
    np.testing.assert_array_equal(pairwise_kernels(Z, X, metric=kernel), beside)
    ridge = KernelRidge(kernel=kernel).fit(X, Y), KernelRidge(kernel="precomputed").fit(gram, Y)
    np.testing.assert_allclose(ridge[0].predict(Z), ridge[1].predict(beside), rtol=1e-12)
    pca = KernelPCA(3, kernel=kernel).fit(X), KernelPCA(3, kernel="precomputed").fit(gram)
    np.testing.assert_allclose(pca[0].transform(Z), pca[1].transform(beside), rtol=1e-8, atol=1e-10)
    svc = SVC(kernel=kernel).fit(X, labels), SVC(kernel="precomputed").fit(gram, labels)
    np.testing.assert_allclose(svc[0].decision_function(Z), svc[1].decision_function(beside), rtol=1e-8)
    parts = (
        SpectralClustering(2, affinity=kernel, random_state=0),
        SpectralClustering(2, affinity="precomputed", random_state=0),
    )
    np.testing.assert_array_equal(parts[0].fit_predict(X), parts[1].fit_predict(gram))
    features = Nystroem(kernel, n_components=24, random_state=0).fit_transform(X)
    np.testing.assert_allclose(features @ features.T, gram, rtol=1e-6, atol=1e-8)
    assert len(calls) < 20, "once a batch, not once a pair"


@pytest.mark.parametrize("name", KERNELS)
def test_conversion_is_the_kernel(name):
    kernel = KERNELS[name]
    converted = nk.sklearn_kernel(kernel)
    assert isinstance(converted, Kernel)
    np.testing.assert_allclose(converted(X), kernel(X), rtol=1e-13)
    np.testing.assert_allclose(converted(X, Z), kernel(X, Z), rtol=1e-13)
    np.testing.assert_allclose(converted.diag(X), kernel.diag(X), rtol=1e-13)
    for copy in (clone(converted), pickle.loads(pickle.dumps(converted)), converted.clone_with_theta(converted.theta)):
        np.testing.assert_allclose(copy(X), converted(X), rtol=1e-13)
    assert converted.theta.shape == (len(converted.bounds),)
    assert not np.isnan(converted.theta).any()


@pytest.mark.parametrize("name", KERNELS)
def test_gradients_by_theta(name):
    kernel = nk.sklearn_kernel(KERNELS[name])
    kernel = kernel.clone_with_theta(kernel.theta + 0.3 * np.arange(kernel.n_dims))
    gram, gradient = kernel(X, eval_gradient=True)
    np.testing.assert_allclose(gram, kernel(X), rtol=1e-13)
    assert gradient.shape == (24, 24, kernel.n_dims)
    for k in range(kernel.n_dims):
        step = 1e-3 * np.eye(kernel.n_dims)[k]
        at = lambda t, step=step: kernel.clone_with_theta(kernel.theta + t * step)(X)  # noqa: E731
        expected = (8 * (at(1) - at(-1)) - (at(2) - at(-2))) / 12e-3
        np.testing.assert_allclose(gradient[..., k], expected, rtol=0, atol=1e-9 * np.abs(gram).max())


ELEMENTARY = [nk.ReLU(), nk.LeakyReLU(0.1), nk.Abs(), nk.ABReLU(0.5, 2.0), nk.Erf(), nk.GELU(), nk.RectifiedMonomial(2)]


@pytest.mark.parametrize("activation", [*ELEMENTARY, nk.Step(), nk.Tanh()], ids=lambda a: type(a).__name__)
def test_duals_against_differences(activation):
    net = nk.Sequential(
        nk.Dense(1.3, 0.2), activation, nk.Dense(1.1, 0.3), nk.Residual(nk.Sequential(activation, nk.Dense()))
    )
    x, scales = np.vstack([X[:6], X[2], -X[3]]), {"weights": 0.8, "biases": 1.7}
    for kernel in (nk.NTK(net), nk.NNGP(net)):
        for name, found in zip(scales, log_derivatives(kernel, x, scales, list(scales)), strict=True):
            expected = derivatives._by_differences(kernel, x, scales, name)
            np.testing.assert_allclose(found, expected, rtol=0, atol=3e-9 * np.abs(expected).max())


def test_derivatives_in_blocks(monkeypatch):
    kernel, scales = nk.NTK(NET), {"weights": 0.8, "biases": 1.7}
    whole = log_derivatives(kernel, X, scales, ["weights"])[0]
    monkeypatch.setattr(derivatives, "_ENTRIES", 100)
    np.testing.assert_allclose(log_derivatives(kernel, X, scales, ["weights"])[0], whole, rtol=1e-13)


@pytest.mark.parametrize("kind", [nk.NTK, nk.NNGP])
@pytest.mark.parametrize("activation", [nk.ReLU(), nk.Erf()], ids=["ReLU", "Erf"])
def test_marginal_likelihood_and_its_gradient(kind, activation):
    kernel = ConstantKernel(1.3) * nk.sklearn_kernel(kind(nk.mlp(2, activation, bias_var=0.1))) + WhiteKernel(0.05)
    model = GaussianProcessRegressor(kernel, optimizer=None).fit(X, Y)
    theta = kernel.theta + 0.1 * np.arange(kernel.n_dims)
    _, gradient = model.log_marginal_likelihood(theta, eval_gradient=True)
    steps = 1e-4 * np.eye(kernel.n_dims)
    likelihood = model.log_marginal_likelihood
    expected = [(likelihood(theta + step) - likelihood(theta - step)) / 2e-4 for step in steps]
    np.testing.assert_allclose(gradient, expected, rtol=1e-5, atol=1e-5)


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")  # of few rows, optima may be at bounds
def test_gaussian_processes_learn():
    kernel = nk.sklearn_kernel(nk.NNGP(NET), weight_scale_bounds="fixed") + WhiteKernel(0.1)
    noisy = Y + 0.3 * np.random.default_rng(1).standard_normal(len(Y))  # without, the optimum is at a bound
    start = GaussianProcessRegressor(kernel, optimizer=None).fit(X, noisy)
    model = GaussianProcessRegressor(kernel).fit(X, noisy)
    assert model.log_marginal_likelihood_value_ > start.log_marginal_likelihood_value_ + 1
    learnt = model.kernel_.k1
    np.testing.assert_allclose(learnt.to_kernel()(X), learnt(X), rtol=1e-13)
    mean, deviation = model.predict(Z, return_std=True)
    assert np.isfinite([mean, deviation]).all()
    classifier = GaussianProcessClassifier(nk.sklearn_kernel(nk.NNGP(NET), amplitude=100.0), optimizer=None).fit(
        X, Y > 0
    )
    assert classifier.score(X, Y > 0) > 0.9
    assert np.isfinite(classifier.log_marginal_likelihood(classifier.kernel_.theta, eval_gradient=True)[1]).all()


def test_fixed_process_as_precomputed():
    gram, beside = nk.NNGP(NET)(X), nk.NNGP(NET)(Z, X)
    model = GaussianProcessRegressor(nk.sklearn_kernel(nk.NNGP(NET)), alpha=0.1, optimizer=None).fit(X, Y)
    np.testing.assert_allclose(model.predict(Z), beside @ np.linalg.solve(gram + 0.1 * np.eye(24), Y), rtol=1e-9)


def test_algebra_with_their_kernels():
    kernel, plain = nk.sklearn_kernel(nk.NTK(NET)), nk.NTK(NET)
    np.testing.assert_allclose((kernel * RBF())(X), plain(X) * RBF()(X), rtol=1e-13)
    np.testing.assert_allclose((RBF() + kernel)(X, Z), RBF()(X, Z) + plain(X, Z), rtol=1e-13)
    np.testing.assert_allclose((kernel**2)(X), plain(X) ** 2, rtol=1e-13)
    np.testing.assert_allclose((RBF() + plain)(X, Z), RBF()(X, Z) + plain(X, Z), rtol=1e-13)
    theirs = RBF()
    assert nk.sklearn_kernel(theirs) is theirs
    assert not kernel.is_stationary()
    assert nk.sklearn_kernel(nk.Laplace()).is_stationary()


def test_hyperparameters():
    names = lambda kernel: [p.name for p in kernel.hyperparameters if not p.fixed]  # noqa: E731
    assert names(nk.sklearn_kernel(nk.NTK(NET))) == ["amplitude", "bias_scale", "weight_scale"]
    assert names(nk.sklearn_kernel(nk.NTK(nk.mlp(2)))) == ["amplitude", "weight_scale"]
    assert names(nk.sklearn_kernel(nk.Laplace(), gamma_bounds="fixed")) == ["amplitude"]
    assert names(nk.sklearn_kernel(nk.PolynomialKernel(2))) == ["amplitude"]
    scaled = nk.sklearn_kernel(nk.NTK(NET), weight_scale=2.0, bias_scale=3.0).to_kernel()
    first = scaled.kernel.net.layers[0]
    assert (first.weight_var, first.bias_var) == (2.0, pytest.approx(0.3))
    assert "bias_scale=3" in repr(nk.sklearn_kernel(nk.NTK(NET), bias_scale=3.0))


def test_float32_and_sparse_rows():
    kernel = nk.sklearn_kernel(nk.NTK(NET))
    assert kernel(X.astype(np.float32)).dtype == np.float64
    np.testing.assert_allclose(kernel(sparse.csr_matrix(X)), kernel(X), rtol=1e-12)


def test_refusals():
    with pytest.raises(AttributeError, match="sklearn_kernel"):
        GaussianProcessRegressor(nk.NTK(NET)).fit(X, Y)
    with pytest.raises(AttributeError, match="sklearn_kernel"):
        GaussianProcessRegressor(ConstantKernel() * nk.NTK(NET)).fit(X, Y)
    with pytest.raises(ValueError, match="takes no Y"):
        nk.sklearn_kernel(nk.NTK(NET))(X, Z, eval_gradient=True)
    with pytest.raises(TypeError, match="expected a kernel"):
        nk.sklearn_kernel("rbf")
