"""Compiled kernels of sines, cosines and bumps at large norms: against torch's formulas, and where rows coincide."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.sparse
import torch

import neural_kernels as nk
from neural_kernels.exact.gradients import gradients
from neural_kernels.exact.gradients.autograd import by_autograd
from plain_path import is_compiled, plain_kernels

ACTIVATIONS = [nk.Sin(), nk.Sin(2.0, 1.5, 0.3), nk.Cos(), nk.Cos(0.5, 0.7, -0.4), nk.RBF(0.5), nk.Gabor()]
ACTIVATIONS += [nk.Gaussian(), nk.Gaussian(2.0, -0.3)]


def rows(largest: float = 3.0, n: int = 60) -> torch.Tensor:
    """Rows of mixed norms, some coincident or near, some of one direction, one of zeros."""
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(n, 12, dtype=torch.float64, generator=generator)
    x = x * 10 ** ((6 + largest) * torch.rand(n, 1, dtype=torch.float64, generator=generator) - 6)
    x[1], x[3], x[5] = x[0], 1.7 * x[2], 0
    x[6] = x[4] * (1 + 1e-9)
    return x


def distance(kernel: torch.Tensor, reference: np.ndarray) -> float:
    """The largest difference, in units of the diagonal; of rows that vanish behind an odd function, none."""
    root = np.sqrt(np.diag(reference))
    scale = np.outer(root, root)
    return float((np.abs(kernel.numpy() - reference) / np.where(scale > 0, scale, 1)).max())


@pytest.mark.parametrize("activation", ACTIVATIONS, ids=str)
@pytest.mark.parametrize("bias", [0.0, 0.1])
@pytest.mark.parametrize("largest", [3.0, 6.0])
def test_compiled_equals_torch(activation, bias, largest):
    net, x = nk.mlp(2, activation, bias_var=bias), rows(largest)
    assert is_compiled(net, x)
    for kernel, reference in zip(nk.kernels(net, x), plain_kernels(net, x), strict=True):
        assert distance(kernel, reference) < 1e-12
        assert torch.equal(kernel, kernel.T)
        assert abs(kernel[0, 1] / kernel[0, 0] - 1) < 1e-15


@pytest.mark.parametrize("activation", ACTIVATIONS, ids=str)
def test_opposite_rows(activation):
    x = rows()
    x[7] = -x[4]
    x[8] = -x[4] * (1 + 1e-9)
    net = nk.mlp(1, activation)
    for kernel, reference in zip(nk.kernels(net, x), plain_kernels(net, x), strict=True):
        assert distance(kernel, reference) < 1e-12


@pytest.mark.parametrize("activation", [nk.Sin(), nk.Gabor()], ids=str)
def test_single_precision_and_sparse_rows(activation):
    x, net = rows().float(), nk.mlp(2, activation, bias_var=0.1)
    single = nk.NTK(net)(x)
    assert single.dtype == torch.float32
    assert distance(single.double(), plain_kernels(net, x.double())[1]) < 1e-5
    sparse = nk.NTK(net)(scipy.sparse.csr_matrix(rows().numpy()))
    np.testing.assert_allclose(sparse, nk.NTK(net)(rows()).numpy(), rtol=1e-9, atol=1e-12)


def test_what_has_a_kink_sees_near_rows_as_they_are():
    """The root of a rounding error: a kink behind a wave takes the formulas that do not round near rows."""
    x = rows()
    bent = nk.Sequential(nk.Dense(), nk.Sin(), nk.Dense(), nk.ReLU(), nk.Dense())
    assert not is_compiled(bent, x)
    assert is_compiled(nk.Sequential(nk.Dense(), nk.ReLU(), nk.Dense(), nk.Sin(), nk.Dense()), x)
    for kernel, reference in zip(nk.kernels(bent, x), plain_kernels(bent, x), strict=True):
        assert distance(kernel, reference) < 1e-12


def test_gradients_near_rows():
    x = rows()[:8] + 1.0
    kernel, a = nk.NTK(nk.mlp(2, nk.Sin(), bias_var=0.1)), np.ones((8, 1))
    expected = by_autograd(kernel, x.numpy(), x.numpy(), a)
    np.testing.assert_allclose(gradients(kernel, x.numpy(), x.numpy(), a), expected, atol=1e-9 * abs(expected).max())
