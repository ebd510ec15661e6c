"""Kernels by degrees against the kernels themselves."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import neural_kernels as nk
from neural_kernels.features.method import Task, UnsuitableError
from neural_kernels.features.monomials.expansion import expansion_of

X = torch.randn(20, 6, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
UNIT = X / torch.linalg.vector_norm(X, dim=1, keepdim=True)


def summed(kernel, x):
    """The kernel that the coefficients give."""
    norms = torch.linalg.vector_norm(x, dim=1)
    squares = expansion_of(Task(kernel, 8, x.shape[1], 0, x.dtype), x).squares(norms / x.shape[1] ** 0.5)
    unit = torch.nan_to_num(x / norms[:, None])
    powers = torch.stack([(unit @ unit.T) ** p for p in range(squares.shape[1])], 2)
    roots = squares.sqrt()
    return (roots[:, None] * roots[None] * powers).sum(2)


@pytest.mark.parametrize(
    ("kernel", "x", "tolerance"),
    [
        (nk.PolynomialKernel(5, 0.3, 0.2), X, 1e-12),
        (nk.PolynomialKernel(4, 0.0), torch.cat([X, torch.zeros(1, 6)]), 1e-12),
        (nk.GammaExponential(0.02, 2.0), X, 0.01),
        (nk.GammaExponential(0.3, 2.0), X, 0.02),
        (nk.NNGP(nk.mlp(1)), X, 0.01),
        (nk.NTK(nk.mlp(1, nk.GELU(), bias_var=0.1)), UNIT, 0.01),
    ],
    ids=["polynomial", "one power", "gaussian", "narrow gaussian", "relu", "gelu on the sphere"],
)
def test_sums_to_the_kernel(kernel, x, tolerance):
    exact = kernel(x)
    error = summed(kernel, x) - exact
    assert error.abs().max() <= tolerance * exact.abs().max()


@pytest.mark.parametrize("kernel", [nk.GammaExponential(0.3, 2.0), nk.GammaExponential(1e-9, 2.0)], ids=repr)
def test_diagonal_of_gaussian_kernels_is_exact(kernel):
    for scale in (0.0, 1e-8, 1.0):
        assert torch.allclose(summed(kernel, scale * X).diagonal(), torch.ones(20, dtype=torch.float64), rtol=1e-12)


@pytest.mark.parametrize(
    ("kernel", "x", "match"),
    [
        (nk.Laplace(), X, "no power series.*nk.Nystrom"),
        (nk.Laplace() + nk.NTK(nk.mlp(1)), X, "no power series.*nk.Nystrom"),
        (nk.GammaExponential(10.0, 2.0), X, "smaller gamma"),
        (nk.PolynomialKernel(40), X, "degree 16 at most"),
        (nk.NTK(nk.mlp(1, bias_var=0.1)), X, "Normalizer"),
        (nk.NTK(nk.cnn(1)), torch.zeros(3, 2, 4, 4), "positions.*nk.RandomFeatures"),
    ],
    ids=["laplace", "sum", "narrow", "high power", "norms", "images"],
)
def test_refusals(kernel, x, match):
    with pytest.raises(UnsuitableError, match=match):
        expansion_of(Task(kernel, 8, x.shape[1], 0, x.dtype, tuple(x.shape[2:])), x)


def test_rows_of_another_norm_are_refused():
    phi = nk.feature_map(nk.mlp(1, nk.GELU()), n_components=8, method=nk.AdaptiveSampling()).fit(UNIT)
    with pytest.raises(ValueError, match="norm"):
        phi(2 * UNIT)


def test_outliers_keep_their_diagonal():
    """Rows further out than those that chose the degree."""
    kernel = nk.GammaExponential(0.05, 2.0)
    task = Task(kernel, 8, 6, 0, X.dtype)
    squares = expansion_of(task, UNIT).squares(torch.tensor([0.1, 10.0, 1e5], dtype=torch.float64))
    assert np.allclose(squares.sum(1), 1.0, rtol=1e-12)
