"""Kernels bound to one batch give what they give without, whichever way they take."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy import sparse

import neural_kernels as nk
from neural_kernels.exact.bound import BoundNetwork

NETWORKS = {
    "relu": nk.mlp(3),
    "biases": nk.mlp(3, bias_var=0.1),
    "leaky": nk.mlp(2, nk.LeakyReLU(0.2), bias_var=0.3),
    "residual": nk.Sequential(
        nk.Dense(), nk.Residual(nk.Sequential(nk.ReLU(), nk.Dense(2.0, 0.1))), nk.ReLU(), nk.Dropout(0.1), nk.Dense()
    ),
    "standard": nk.Sequential(
        nk.Dense(parametrization="standard", width=64), nk.ReLU(), nk.Dense(parametrization="standard")
    ),
    "rectified square": nk.Sequential(nk.Dense(), nk.RectifiedMonomial(2), nk.Dense(bias_var=0.1)),
    "metric": nk.Sequential(nk.Dense(metric=(1.0, 4.0, 0.25)), nk.ReLU(), nk.Dense()),
}
WITHOUT = {  # of which more than a standard deviation is needed
    "step": nk.Sequential(nk.Dense(bias_var=0.1), nk.Step(), nk.Dense(bias_var=0.1)),
    "hard tanh": nk.mlp(1, nk.HardTanh()),
    "layer norm": nk.Sequential(nk.Dense(bias_var=0.1), nk.ReLU(), nk.Dense(), nk.LayerNorm(), nk.ReLU(), nk.Dense()),
}


SMOOTH = {  # whose numbers are interpolated, and the norms that are tried
    "series": (nk.mlp(2, nk.GELU(), bias_var=0.1), 0.7, 1.0),
    "odd": (nk.mlp(2, nk.Erf()), 0.3, 1.0),
    "many terms": (nk.mlp(1, nk.Tanh(), bias_var=0.1), 0.1, 1.9),
    "polynomial": (nk.mlp(2, nk.Polynomial((1.0, 0.5, 0.2)), bias_var=0.1), 0.01, 3.0),
    "tables": (nk.mlp(2, nk.Tanh(), bias_var=0.1), 0.1, 5.0),
    "table with a kink": (nk.mlp(2, nk.ELU()), 0.3, 4.0),
    "residual": (nk.Sequential(nk.Dense(), nk.Residual(nk.Sequential(nk.SiLU(), nk.Dense()))), 0.3, 4.0),
}


WAVES = {"wave": nk.mlp(1, nk.Sin(b=0.8, c=0.3), bias_var=0.1), "bump": nk.mlp(1, nk.Gaussian(b=-0.3))}


def _rows(n: int, seed: int, dtype: type = np.float64) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(n, 3)).astype(dtype)


def _assert_equal(found: np.ndarray, expected: np.ndarray) -> None:
    """To rounding: torch's vectorised square roots are not the nearest numbers, and depend on where a row stands."""
    assert found.dtype == expected.dtype
    largest = np.abs(expected).max(initial=0)
    np.testing.assert_allclose(found, expected, rtol=0, atol=10 * np.finfo(expected.dtype).eps * largest)


def _halved(bound: object) -> bool:
    assert isinstance(bound, BoundNetwork)
    return bound._half is not None


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("kernel", [nk.NTK, nk.NNGP])
@pytest.mark.parametrize("name", WAVES)
def test_waves_are_bound_at_any_norm(name, kernel, dtype):
    x1, x2 = _rows(7, 0, dtype), 5 * _rows(20, 1, dtype)
    x1 *= (10.0 ** np.arange(-3, 4)[:, None]).astype(dtype)
    bound = kernel(WAVES[name]).bind(x2)
    assert _halved(bound)
    assert bound._half.complete(np.array([1e9])) is not None
    assert bound._half.complete(np.array([1e31])) is None
    _assert_equal(bound(x1), kernel(WAVES[name])(x1, x2))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("kernel", [nk.NTK, nk.NNGP])
@pytest.mark.parametrize("name", [*NETWORKS, *WITHOUT])
def test_a_bound_kernel_equals_the_kernel(name, kernel, dtype):
    net = (NETWORKS | WITHOUT)[name]
    x1, x2 = _rows(7, 0, dtype), _rows(20, 1, dtype)
    bound = kernel(net).bind(x2)
    assert _halved(bound) == (name in NETWORKS)
    _assert_equal(bound(x1), kernel(net)(x1, x2))
    _assert_equal(bound(x1[3:4]), kernel(net)(x1[3:4], x2))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("kernel", [nk.NTK, nk.NNGP])
@pytest.mark.parametrize("name", SMOOTH)
def test_smooth_activations(name, kernel, dtype):
    net, low, high = SMOOTH[name]
    norms = np.sqrt(3) * np.geomspace(low, high, 30)
    x2 = (norms / np.linalg.norm(_rows(30, 1), axis=1))[:, None] * _rows(30, 1)
    x1 = (0.97 * norms[1:] / np.linalg.norm(_rows(29, 0), axis=1))[:, None] * _rows(29, 0)
    x1, x2 = x1.astype(dtype), x2.astype(dtype)
    bound = kernel(net).bind(x2)
    assert _halved(bound)
    assert bound._half.complete(np.linalg.norm(x1, axis=1) / np.sqrt(3)) is not None
    assert bound._half.complete(np.array([30 * high])) is None
    for rows in (x1, x1[4:5], x1[::-5], 30 * x1[-2:], 1e-3 * x1[:1], np.vstack([x1, 0 * x1[:1]])):
        found, expected = bound(rows), kernel(net)(rows, x2)
        size = np.sqrt(kernel(net).diag(rows)[:, None] * kernel(net).diag(x2))
        assert np.abs(found - expected).max() <= 400 * np.finfo(dtype).eps * size.max()


@pytest.mark.parametrize("name", ["relu", "biases", "rectified square"])
def test_rows_of_zeros_on_either_side(name):
    kernel, x1, x2 = nk.NTK(NETWORKS[name]), _rows(4, 0), _rows(5, 1)
    x1[2], zeros = 0, np.vstack([np.zeros(3), x2])
    for other in (x2, zeros):
        _assert_equal(kernel.bind(other)(x1), kernel(x1, other))


def test_examples_of_another_make_or_precision():
    kernel, x2 = nk.NTK(nk.mlp(2, bias_var=0.1)), _rows(9, 1, np.float32)
    bound = kernel.bind(x2)
    wide, narrow = _rows(4, 0), _rows(4, 0, np.float32)
    assert bound(wide).dtype == np.float64
    _assert_equal(bound(wide), kernel(wide, x2))
    _assert_equal(kernel.bind(x2.astype(np.float64))(narrow), kernel(narrow, x2.astype(np.float64)))
    tensor = bound(torch.from_numpy(narrow))
    assert isinstance(tensor, torch.Tensor)
    _assert_equal(tensor.numpy(), kernel(narrow, x2))
    _assert_equal(bound(sparse.csr_matrix(narrow)), kernel(sparse.csr_matrix(narrow), x2))
    _assert_equal(bound(narrow[:0]), np.empty((0, 9), np.float32))
    single = kernel.bind(x2[0])(narrow[0])
    assert single == pytest.approx(kernel(narrow[0], x2[0]), rel=1e-6)


def test_sparse_rows():
    kernel = nk.NTK(nk.mlp(2, bias_var=0.1))
    x1, x2 = (sparse.random_array((n, 50), density=0.1, format="csr", rng=n) for n in (6, 30))
    assert _halved(kernel.bind(x2))
    _assert_equal(kernel.bind(x2)(x1), kernel(x1, x2))


def test_gradients_pass_through():
    kernel, x2 = nk.NTK(nk.mlp(2, bias_var=0.1)), torch.from_numpy(_rows(5, 1))
    x1 = torch.from_numpy(_rows(2, 0)).requires_grad_()
    found = torch.autograd.grad(kernel.bind(x2)(x1).sum(), x1)[0]
    torch.testing.assert_close(found, torch.autograd.grad(kernel(x1, x2).sum(), x1)[0], rtol=0, atol=0)


@pytest.mark.parametrize(
    "kernel",
    [
        2 * nk.NTK(nk.mlp(2)) + 0.5,
        nk.NTK(nk.mlp(2)) * nk.Laplace(0.3),
        nk.NNGP(nk.mlp(1)) + nk.GammaExponential(0.3, 2.0),
        nk.MetricKernel(nk.NTK(nk.mlp(1)), [1.0, 4.0, 0.25]),
    ],
    ids=["multiple", "product", "sum", "metric"],
)
def test_combinations(kernel):
    x1, x2 = _rows(4, 0), _rows(6, 1)
    _assert_equal(kernel.bind(x2)(x1), kernel(x1, x2))


def test_images_and_graphs():
    rng = np.random.default_rng(0)
    images, more = rng.normal(size=(2, 1, 4, 4)), rng.normal(size=(3, 1, 4, 4))
    kernel = nk.NTK(nk.cnn(1))
    _assert_equal(kernel.bind(more)(images), kernel(images, more))
    net = nk.Sequential(nk.GraphAggregate(), nk.Dense(), nk.ReLU(), nk.Dense(), nk.GlobalSumPool())
    one, two = (nk.Graphs(rng.normal(size=(n, 3, 2)), np.ones((n, 3, 3))) for n in (2, 3))
    _assert_equal(nk.NTK(net).bind(two)(one), nk.NTK(net)(one, two))


def test_errors_are_those_of_the_kernel():
    x2 = _rows(5, 1, np.float32)
    with pytest.raises(MemoryError, match="memory_budget"):
        nk.NTK(nk.mlp(1), memory_budget=8).bind(x2)(_rows(2, 0, np.float32))
    with pytest.raises(OverflowError, match="overflow"):
        nk.NTK(nk.mlp(1)).bind(1e30 * x2)(1e30 * x2)
    with pytest.raises(ValueError, match="features"):
        nk.NTK(nk.mlp(1)).bind(x2)(np.ones((2, 4)))
    with pytest.raises(ValueError, match="NaN"):
        nk.NTK(nk.mlp(1)).bind(x2)(np.full((1, 3), np.nan))
