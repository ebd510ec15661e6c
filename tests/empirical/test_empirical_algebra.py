"""Empirical kernels are kernel objects: they add and multiply with others, and are known by identity."""

from __future__ import annotations

import copy
import pickle
from typing import Any

import numpy as np
import pytest
import torch

import neural_kernels as nk
from empirical_modules import build
from neural_kernels.exact.kernel import Kernel

KINDS = [nk.EmpiricalNTK, nk.TraceNTK, nk.PseudoNTK]


@pytest.mark.parametrize("kind", KINDS)
def test_sums_products_and_multiples(kind: Any) -> None:
    """Entry by entry, also where entries are matrices over outputs; of cross matrices and diagonals too."""
    module, x = build("mlp", 6)
    first, second = kind(module), kind(module, parameters=nk.LastLayers(1))
    for combined, expected in (
        (first + second, lambda *batches: first(*batches) + second(*batches)),
        (first * second, lambda *batches: first(*batches) * second(*batches)),
        (2 * first + 0.5, lambda *batches: 2 * first(*batches) + 0.5),
    ):
        assert isinstance(combined, Kernel)
        assert torch.equal(combined(x), expected(x))
        assert torch.equal(combined(x[:2], x[2:]), expected(x[:2], x[2:]))
        torch.testing.assert_close(combined.diag(x), expected(x)[range(6), range(6)], rtol=1e-12, atol=1e-12)


def test_sums_with_kernels_of_infinite_networks() -> None:
    module, x = build("mlp", 6)
    numbers = x.numpy()
    total = nk.PseudoNTK(module) + nk.Laplace(0.5) * nk.NTK(nk.mlp(2))
    expected = nk.PseudoNTK(module)(numbers) + nk.Laplace(0.5)(numbers) * nk.NTK(nk.mlp(2))(numbers)
    np.testing.assert_allclose(total(numbers), expected, rtol=1e-12)
    np.testing.assert_allclose(total.diag(numbers), np.diagonal(expected), rtol=1e-10)


@pytest.mark.parametrize("n", [3, 6])
def test_matrices_over_outputs_are_not_broadcast(n: int) -> None:
    """Of as many examples as outputs the shapes would fit, and entries mean nothing."""
    module, x = build("mlp", n)
    for combined in (nk.EmpiricalNTK(module) + nk.Laplace(), nk.EmpiricalNTK(module) * nk.PseudoNTK(module)):
        for call in (combined, combined.diag):
            with pytest.raises(ValueError, match="neither add nor multiply"):
                call(x)


@pytest.mark.parametrize("kind", KINDS)
def test_equality_and_copies(kind: Any) -> None:
    """Two kernels of a module are not equal, for nothing tells whether they see the same parameters."""
    module, x = build("mlp", 4)
    kernel = kind(module)
    assert kernel == kernel
    assert kernel != kind(module)
    assert kernel + 1 == kernel + 1
    assert hash(kernel) != hash(kind(module))
    for same in (copy.deepcopy(kernel), pickle.loads(pickle.dumps(kernel)), pickle.loads(pickle.dumps(kernel + 0))):
        assert torch.equal(same(x), kernel(x))
        assert same != kernel
