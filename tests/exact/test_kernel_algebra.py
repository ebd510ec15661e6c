"""Kernels as objects: sums, products and multiples, a user's own function, and what is none."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch
from scipy import sparse
from sklearn.base import clone
from sklearn.gaussian_process.kernels import RBF, WhiteKernel
from sklearn.metrics.pairwise import rbf_kernel

import neural_kernels as nk
from neural_kernels.exact.kernel import CallableKernel, as_kernel

X = np.random.default_rng(0).standard_normal((7, 3))
Z = np.random.default_rng(1).standard_normal((4, 3))
FIRST, SECOND = nk.NTK(nk.mlp(1)), nk.Laplace(0.5)
EXPRESSIONS = {
    "sum": (FIRST + SECOND, lambda a, b: a + b),
    "product": (FIRST * SECOND, lambda a, b: a * b),
    "multiple": (3 * FIRST, lambda a, b: 3 * a),
    "constant": (SECOND + 0.5, lambda a, b: b + 0.5),
    "all": (0.5 * FIRST * SECOND + 2 + FIRST, lambda a, b: 0.5 * a * b + 2 + a),
}


@pytest.mark.parametrize("name", EXPRESSIONS)
def test_expressions_of_kernels(name: str) -> None:
    kernel, expected = EXPRESSIONS[name]
    for others in ((), (Z,)):
        assert np.allclose(kernel(X, *others), expected(FIRST(X, *others), SECOND(X, *others)), rtol=1e-14)
    assert np.allclose(kernel.diag(X), np.diagonal(kernel(X)), rtol=1e-12)
    assert np.linalg.eigvalsh(kernel(X)).min() > -1e-12


def test_results_keep_make_and_precision() -> None:
    kernel = FIRST + 2 * SECOND
    assert kernel(torch.from_numpy(X).float()).dtype == torch.float32
    assert kernel(X.astype(np.float32)).dtype == np.float32
    assert isinstance((FIRST * FIRST)(sparse.csr_matrix(X)), np.ndarray)


def test_kernels_are_values() -> None:
    assert nk.NTK(nk.mlp(1)) + nk.Laplace(0.5) == FIRST + SECOND != FIRST * SECOND
    assert copy.deepcopy(FIRST * 2) == FIRST * 2
    both = FIRST + SECOND
    assert clone(both, safe=False) is both  # pyright: ignore[reportArgumentType, reportCallIssue]
    assert "GammaExponential(gamma=0.5" in repr(FIRST + SECOND)


def test_callables() -> None:
    own, scikit = as_kernel(rbf_kernel), as_kernel(RBF(2.0))
    assert np.allclose(own(X, Z), rbf_kernel(X, Z))
    assert np.allclose(own.diag(np.tile(X, (30, 1))), 1)
    assert np.allclose(scikit(X), RBF(2.0)(X))
    assert np.allclose(scikit.diag(X), 1)
    assert np.allclose((FIRST + rbf_kernel)(X, Z), FIRST(X, Z) + rbf_kernel(X, Z))
    noisy = RBF(2.0) + WhiteKernel(0.3)
    assert np.allclose(as_kernel(noisy)(X), noisy(X))  # which is not noisy(X, X)
    assert as_kernel(FIRST) is FIRST
    assert as_kernel(rbf_kernel).diag(X[:0]).shape == (0,)


@pytest.mark.parametrize("bad", [-1, float("nan"), float("inf")])
def test_multiples_that_are_no_kernel(bad: float) -> None:
    with pytest.raises(ValueError, match="at least 0"):
        bad * FIRST
    with pytest.raises(ValueError, match="at least 0"):
        FIRST + bad


def test_what_is_no_kernel() -> None:
    with pytest.raises(TypeError, match=r"write NTK\(\.\.\.\)"):
        as_kernel(nk.NTK)
    with pytest.raises(TypeError, match="expected a kernel"):
        as_kernel("laplace")
    with pytest.raises(TypeError):
        FIRST + "laplace"
    with pytest.raises(ValueError, match=r"shape \(7, 3\).*shape \(7, 7\)"):
        CallableKernel(lambda x, y: x)(X)


@pytest.mark.parametrize("images", [np.ones((4, 1, 4, 4)), np.ones((3, 2, 5))])
def test_distances_are_of_vectors(images: np.ndarray) -> None:
    """Also where the shapes could be broadcast."""
    for call in (nk.Laplace(), nk.Laplace().diag, nk.GammaExponential(1.0, 2.0)):
        with pytest.raises(ValueError, match=r"takes vectors.*reshape"):
            call(images)
