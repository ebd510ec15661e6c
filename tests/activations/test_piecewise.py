"""Compiled kernels of piecewise polynomial activations: against torch's formulas, at every norm, and at the limits."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.sparse
import torch

import neural_kernels as nk
from neural_kernels.engine.normal_tails import MILLS_TERMS, PLACE, clenshaw, exponential
from neural_kernels.exact.compile.piecewise import is_piecewise, mills_series
from plain_path import is_compiled, plain_kernels

ACTIVATIONS = [nk.HardTanh(), nk.HardSigmoid(), nk.HardSwish(), nk.ReLU6(), nk.SoftShrink(), nk.HardShrink(1.0)]
ACTIVATIONS += [nk.Elementwise(lambda x: torch.clamp(x, -0.3, 2.0), kinks=(-0.3, 2.0))]
IDS = [type(activation).__name__ for activation in ACTIVATIONS]


def rows(n: int = 60) -> torch.Tensor:
    """Rows of mixed norms, some coincident, some of one direction."""
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(n, 12, dtype=torch.float64, generator=generator)
    x = x * 10 ** (6 * torch.rand(n, 1, dtype=torch.float64, generator=generator) - 3)
    x[1], x[3] = x[0], 1.7 * x[2]
    return x


@pytest.mark.parametrize("activation", ACTIVATIONS, ids=IDS)
@pytest.mark.parametrize("depth", [1, 2])
def test_compiled_equals_torch(activation, depth):
    net, x = nk.mlp(depth, activation, bias_var=0.1), rows()
    assert is_piecewise(activation)
    assert is_compiled(net, x)
    kernels = nk.kernels(net, x)
    references = [torch.from_numpy(kernel) for kernel in plain_kernels(net, x)]
    for kernel, reference in zip(kernels, references, strict=True):
        root = reference.diagonal().sqrt()
        assert float(((kernel - reference) / (root[:, None] * root)).abs().max()) < 2e-9
        assert torch.equal(kernel, kernel.T)


@pytest.mark.parametrize("activation", ACTIVATIONS, ids=IDS)
def test_coincident_rows_are_one(activation):
    nngp, ntk = nk.kernels(nk.mlp(2, activation, bias_var=0.1), rows())
    for kernel in (nngp, ntk):
        assert abs(kernel[0, 1] / kernel[0, 0] - 1) < 1e-15


def test_opposite_rows_see_nothing_of_each_other():
    x = rows()
    x[1] = -3 * x[0]
    nngp, ntk = nk.kernels(nk.mlp(1, nk.ReLU6()), x)
    for kernel in (nngp, ntk):
        assert abs(kernel[0, 1]) <= 1e-14 * (kernel[0, 0] * kernel[1, 1]).sqrt()


@pytest.mark.parametrize("activation", ACTIVATIONS, ids=IDS)
def test_rows_of_zeros(activation):
    x = rows()
    x[5] = 0
    net = nk.mlp(1, activation)
    kernels = nk.kernels(net, x)
    references = [torch.from_numpy(kernel) for kernel in plain_kernels(net, x)]
    for kernel, reference in zip(kernels, references, strict=True):
        torch.testing.assert_close(kernel[5], reference[5], rtol=1e-12, atol=1e-15)


def test_single_precision_and_sparse_rows():
    x, net = torch.randn(30, 8, generator=torch.Generator().manual_seed(1)), nk.mlp(2, nk.HardSwish(), bias_var=0.1)
    expected = nk.NTK(net)(x.double())
    single = nk.NTK(net)(x)
    assert single.dtype == torch.float32
    torch.testing.assert_close(single.double(), expected, rtol=1e-6, atol=1e-7)
    sparse = nk.NTK(net)(scipy.sparse.csr_matrix(x.double().numpy()))
    np.testing.assert_allclose(sparse, expected.numpy(), rtol=1e-12)


@pytest.mark.parametrize("order", [2, 3, 5])
@pytest.mark.parametrize("depth", [1, 2])
def test_powers_of_the_positive_part(order, depth):
    net = nk.mlp(depth, nk.RectifiedMonomial(order), bias_var=0.1)
    x = rows()
    x = x / x.norm(dim=1, keepdim=True) * (1 + torch.arange(len(x), dtype=x.dtype)[:, None] / 50)
    x[1], x[5], x[7] = x[0], -x[4], x[6] + 1e-9
    assert is_compiled(net, x)
    for kernel, plain in zip(nk.kernels(net, x), plain_kernels(net, x), strict=True):
        root = kernel.diagonal().sqrt()
        assert float(((kernel - torch.from_numpy(plain)) / (root[:, None] * root)).abs().max()) < 1e-13


def test_what_is_not_piecewise():
    assert not is_piecewise(nk.ReLU())
    assert not is_piecewise(nk.Softsign())
    assert not is_piecewise(nk.Elementwise(lambda x: torch.sin((x - 1).abs()), kinks=(1.0,)))
    assert not is_piecewise(nk.Elementwise(torch.tanh, kinks=(0.5,)))


def test_exponentials_and_tails():
    u = torch.cat([torch.zeros(1), torch.logspace(-8, 1.4, 200)]).double()
    e = (u * u / 2).numpy()
    exponential(e, np.empty_like(e))
    np.testing.assert_allclose(e, torch.exp(-u * u / 2).numpy(), rtol=2e-13)
    x = (1 - 2 * PLACE / (PLACE + u)).numpy()
    coefficients = mills_series().numpy()
    assert coefficients.size == MILLS_TERMS
    total = np.empty_like(x)
    clenshaw(coefficients, x, np.empty_like(x), np.empty_like(x), total)
    expected = (PLACE + u) * torch.special.erfcx(u / 2**0.5) / 2
    np.testing.assert_allclose(total, expected.numpy(), rtol=0, atol=1e-14)
