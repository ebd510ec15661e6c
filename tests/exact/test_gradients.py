"""Gradients of predictions against differences and autograd, in float64."""

import numpy as np
import pytest
import torch
from scipy import sparse

import neural_kernels as nk
from neural_kernels.exact import as_kernel
from neural_kernels.exact.gradients import autograd, gradients
from neural_kernels.exact.gradients.autograd import by_autograd

RNG = np.random.default_rng(0)
X, Z, A = RNG.standard_normal((7, 6)), RNG.standard_normal((9, 6)), RNG.standard_normal((9, 2))

IMAGES = RNG.standard_normal((5, 2, 4, 3))

ACTIVATIONS = [
    nk.ReLU(), nk.LeakyReLU(0.1), nk.Abs(), nk.Erf(), nk.GELU(), nk.ELU(), nk.SELU(), nk.Sin(), nk.Cos(),
    nk.Gaussian(), nk.Tanh(), nk.Sigmoid(), nk.Softplus(), nk.SiLU(), nk.HardTanh(), nk.ReLU6(),
    nk.RectifiedMonomial(2), nk.Monomial(3), nk.Polynomial([0.5, 1.0, 0.2]), nk.NormalizedGaussian(),
    nk.Elementwise(torch.atan),
]  # fmt: skip


def differences(kernel, x, step=1e-5):
    """Central differences of fourth order, (n, o, d)."""
    result = np.empty((len(x), A.shape[1], x.shape[1]))
    for c in range(x.shape[1]):
        e = step * np.eye(x.shape[1])[c]
        f = lambda t, e=e: kernel(x + t * e, Z) @ A  # noqa: E731
        result[:, :, c] = (8 * (f(1) - f(-1)) - (f(2) - f(-2))) / (12 * step)
    return result


@pytest.mark.parametrize("pairs", [1, 2, 7])
def test_images_are_compared_a_few_pairs_at_a_time(pairs, monkeypatch):
    kernel, seen = nk.NTK(nk.cnn(1, bias_var=0.1)), []
    whole = gradients(kernel, IMAGES[:3], IMAGES[1:], A[:4])
    counted = lambda x, z: seen.append(len(x) * len(z)) or kernel(x, z)  # noqa: E731
    monkeypatch.setattr(autograd, "_ENTRIES", pairs * 12**2)
    np.testing.assert_allclose(by_autograd(counted, IMAGES[:3], IMAGES[1:], A[:4]), whole, rtol=1e-12, atol=1e-14)
    assert max(seen) <= pairs
    assert sum(seen) == 12


@pytest.mark.parametrize("support", [nk.Laplace(), nk.NTK(nk.mlp(2)), nk.NTK(nk.cnn(1))], ids=["", "rows", "images"])
def test_a_weighted_sum_of_outputs(support):
    x, z = (IMAGES[:3], IMAGES) if support == nk.NTK(nk.cnn(1)) else (X, Z)
    a, along = A[: len(z)], RNG.standard_normal((len(x), 2))
    for kernel in (support, 2 * support + support):
        expected = np.einsum("no,no...->n...", along, gradients(kernel, x, z, a))
        np.testing.assert_allclose(gradients(kernel, x, z, a, along)[:, 0], expected, rtol=1e-10, atol=1e-13)


@pytest.mark.parametrize("activation", ACTIVATIONS, ids=lambda a: type(a).__name__)
@pytest.mark.parametrize("bias", [0.0, 0.3], ids=["", "bias"])
def test_networks_against_autograd(activation, bias):
    net = nk.Sequential(nk.Dense(1.3, bias), activation, nk.Dense(1.1, bias), activation, nk.Dense())
    for kernel in (nk.NTK(net), nk.NNGP(net)):
        found, expected = gradients(kernel, X, Z, A), by_autograd(kernel, X, Z, A)
        np.testing.assert_allclose(found, expected, rtol=0, atol=2e-8 * np.abs(expected).max())


@pytest.mark.parametrize(
    "net",
    [
        nk.mlp(3, bias_var=0.1),
        nk.Sequential(nk.Dense(), nk.Residual(nk.Sequential(nk.ReLU(), nk.Dense(2.0, 0.1))), nk.ReLU(), nk.Dense()),
        nk.Sequential(nk.Dense(), nk.LayerNorm(), nk.GELU(), nk.Dense(), nk.ReLU(), nk.Dense()),
        nk.Sequential(nk.Dense(metric=np.arange(6.0)), nk.ReLU(), nk.Dense(2.0, 0.1), nk.ReLU(), nk.Dense()),
        nk.Sequential(nk.Dense(metric=Z.T @ Z), nk.ReLU(), nk.Dense()),
        nk.Sequential(
            nk.Dense(), nk.Product(nk.Sequential(nk.ReLU(), nk.Dense()), nk.Sequential(nk.Erf(), nk.Dense()))
        ),
    ],
    ids=["mlp", "residual", "layernorm", "diagonal metric", "metric", "product"],
)
def test_networks_against_differences(net):
    kernel = nk.NTK(net)
    expected = differences(kernel, X)
    np.testing.assert_allclose(gradients(kernel, X, Z, A), expected, rtol=0, atol=3e-8 * np.abs(expected).max())


@pytest.mark.parametrize(
    "kernel",
    [
        nk.Laplace(0.3),
        nk.GammaExponential(0.2, 1.5),
        nk.GammaExponential(0.2, 2.0),
        nk.NTK(nk.mlp(2)) + 0.5 * nk.Laplace() + 2.0,
        nk.PolynomialKernel(3),
        nk.Laplace() * nk.NNGP(nk.mlp(1)),
        nk.MetricKernel(nk.Laplace(), np.arange(6.0)) + nk.MetricKernel(nk.NTK(nk.mlp(1)), Z.T @ Z),
    ],
    ids=["Laplace", "between", "Gauss", "sum", "polynomial", "product", "metrics"],
)
def test_other_kernels_against_differences(kernel):
    expected = differences(kernel, X)
    np.testing.assert_allclose(gradients(kernel, X, Z, A), expected, rtol=0, atol=3e-8 * np.abs(expected).max())


@pytest.mark.parametrize("exponent", [0.7, 1.0, 1.5, 2.0])
def test_kernels_of_distances_at_rows_that_are_one(exponent):
    kernel, x, a = nk.GammaExponential(0.3, exponent), np.vstack([X, X[0], 1e6 + X[1:2]]), np.arange(1.0, 10)[:, None]
    np.testing.assert_allclose(gradients(kernel, x, x, a), by_autograd(kernel, x, x.copy(), a), atol=1e-12)
    zero = np.zeros((1, 6))
    expected = differences(kernel, zero)
    found = gradients(kernel, zero, np.vstack([Z, zero]), np.vstack([A, A[:1]]))
    np.testing.assert_allclose(found, expected, atol=1e-8)


@pytest.mark.parametrize("bias", [0.0, 0.3])
def test_a_row_beside_itself(bias):
    """The mean of both sides of the kink: half the gradient of k(x, x), by symmetry."""
    kernel = nk.NTK(nk.mlp(2, bias_var=bias))
    found = gradients(kernel, X, X, np.eye(7))
    rows = torch.tensor(X, requires_grad=True)
    (of_diagonal,) = torch.autograd.grad(kernel.diag(rows).sum(), rows)
    own = found[np.arange(7), np.arange(7)]
    np.testing.assert_allclose(own, of_diagonal.numpy() / 2, rtol=0, atol=2e-7)
    np.testing.assert_allclose(found, gradients(kernel, X, X.copy(), np.eye(7)), rtol=0, atol=1e-9)
    np.testing.assert_allclose(found, by_autograd(kernel, X, X.copy(), np.eye(7)), rtol=0, atol=2e-7)


def test_special_rows_are_finite():
    x = np.vstack([X, X[0], -X[1], 2 * X[2], np.zeros(6), X[3] + 1e-9, 1e120 * X[4], 1e-120 * X[5]])
    for activation in (nk.ReLU(), nk.Tanh(), nk.HardTanh()):
        kernel = nk.NTK(nk.mlp(2, activation, bias_var=0.1))
        rows = x if isinstance(activation, nk.ReLU) else x[:-2]
        found = gradients(kernel, rows, rows, np.ones((len(rows), 1)))
        assert np.isfinite(found).all()
        np.testing.assert_allclose(found[7], found[0], rtol=1e-6)
        assert not found[10].any()


def test_blocks_agree(monkeypatch):
    kernel = nk.NTK(nk.mlp(2, bias_var=0.1))
    whole = gradients(kernel, X, X, np.eye(7))
    others = [(route, nk.Laplace(), X, Z, A) for route in (by_autograd, gradients)]
    at_once = [route(*rest) for route, *rest in others]
    for file in ("networks", "distances", "autograd"):
        monkeypatch.setattr(f"neural_kernels.exact.gradients.{file}._ENTRIES", 20)
    np.testing.assert_allclose(gradients(kernel, X, X, np.eye(7)), whole, rtol=0, atol=1e-9)
    for (route, *rest), expected in zip(others, at_once, strict=True):
        np.testing.assert_allclose(route(*rest), expected, rtol=1e-12)


def test_sparse_rows_and_images():
    kernel = nk.NTK(nk.mlp(2, bias_var=0.1))
    np.testing.assert_allclose(
        gradients(kernel, sparse.csr_matrix(X), sparse.csr_matrix(Z), A), gradients(kernel, X, Z, A), rtol=1e-9
    )
    images, others = RNG.standard_normal((3, 2, 4, 4)), RNG.standard_normal((9, 2, 4, 4))
    kernel = nk.NTK(nk.cnn(1))
    found, step = gradients(kernel, images, others, A), 1e-5
    assert found.shape == (3, 2, 2, 4, 4)
    moved = np.zeros_like(images)
    moved[:, 1, 2, 3] = step
    slope = (kernel(images + moved, others) - kernel(images - moved, others)) @ A / (2 * step)
    np.testing.assert_allclose(found[:, :, 1, 2, 3], slope, atol=1e-8)


def test_a_kernel_without_gradients_is_refused():
    with pytest.raises(TypeError, match="written in torch"):
        gradients(as_kernel(lambda x, z: torch.ones(len(x), len(z))), X, Z, A)
