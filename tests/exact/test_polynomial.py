"""The polynomial kernel against its formula."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy import sparse

import neural_kernels as nk

X, Z = (np.random.default_rng(seed).normal(size=(n, 5)) for seed, n in ((0, 7), (1, 4)))
KERNEL = nk.PolynomialKernel(degree=3, bias=0.5, gamma=0.2)


def test_formula():
    assert np.allclose(KERNEL(X, Z), (0.2 * X @ Z.T + 0.5) ** 3, rtol=1e-13)
    assert np.allclose(KERNEL.diag(X), np.diag(KERNEL(X)), rtol=1e-13)


def test_kinds_and_precisions():
    for convert in (sparse.csr_matrix, torch.from_numpy, np.float32):
        result = KERNEL(convert(X), convert(Z))
        assert np.allclose(np.asarray(result), KERNEL(X, Z), rtol=1e-4 if convert is np.float32 else 1e-12)
    assert KERNEL(X.astype(np.float32)).dtype == np.float32


def test_gradients():
    x = torch.from_numpy(X).requires_grad_()
    assert torch.autograd.gradcheck(lambda x: KERNEL(x, torch.from_numpy(Z)), x)


@pytest.mark.parametrize(
    ("make", "error", "match"),
    [
        (lambda: nk.PolynomialKernel(degree=0), ValueError, "degree"),
        (lambda: nk.PolynomialKernel(bias=-1.0), ValueError, "bias"),
        (lambda: nk.PolynomialKernel(gamma=0.0), ValueError, "gamma"),
        (lambda: KERNEL(np.zeros((2, 3, 4, 4))), ValueError, "Flatten"),
        (lambda: KERNEL(1e200 * X), OverflowError, "Scale"),
    ],
    ids=["degree", "bias", "gamma", "images", "huge"],
)
def test_refusals(make, error, match):
    with pytest.raises(error, match=match):
        make()
