"""Empirical kernels against plain autograd: one backward pass for every example and output."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

import neural_kernels as nk
from empirical_modules import CASES, FORWARD, build
from neural_kernels.empirical.module.batches import count_of, pieces
from neural_kernels.empirical.module.model import call


def oracle(module: nn.Module, batch: Any, forward: Any = None, names: Any = None) -> Tensor:
    """Entries (n, n, o, o) from gradients, example by example and output by output."""
    own = [p for name, p in module.named_parameters() if p.requires_grad and (names is None or name in names)]
    gradients = []
    for _, example in pieces(batch, slice(0, count_of(batch)), 1):
        outputs = (forward or call)(module, example).reshape(-1)
        for output in outputs:
            parts = torch.autograd.grad(output, own, retain_graph=True, allow_unused=True, materialize_grads=True)
            gradients.append(torch.cat([part.flatten() for part in parts]))
    matrix = torch.stack(gradients) @ torch.stack(gradients).T
    o = len(outputs)
    return matrix.view(len(matrix) // o, o, -1, o).transpose(1, 2)


def off(result: Tensor, expected: Tensor) -> float:
    return float((result - expected).norm() / expected.norm())


@pytest.mark.parametrize("method", ["factored", "jacobian"])
@pytest.mark.parametrize("name", CASES)
def test_equals_plain_autograd(name: str, method: Any) -> None:
    module, x = build(name)
    forward = FORWARD.get(name)
    expected = oracle(module, x, forward)
    o = expected.shape[2]
    options = {"forward": forward, "method": method}
    probe = torch.randn(o, 2, dtype=torch.float64)
    assert off(nk.EmpiricalNTK(module, **options)(x), expected) <= 1e-10
    assert off(nk.TraceNTK(module, **options)(x), expected.diagonal(dim1=2, dim2=3).mean(-1)) <= 1e-10
    assert off(nk.PseudoNTK(module, **options)(x), expected.sum((2, 3)) / o) <= 1e-10
    assert off(nk.EmpiricalNTK(module, outputs=1, **options)(x), expected[:, :, 1, 1]) <= 1e-10
    combined = torch.einsum("ak,nmab,bl->nmkl", probe, expected, probe)
    assert off(nk.EmpiricalNTK(module, outputs=probe, **options)(x), combined) <= 1e-10


@pytest.mark.parametrize("name", CASES)
def test_rectangles_diagonals_and_products(name: str) -> None:
    module, x = build(name, 6)
    forward = FORWARD.get(name)
    expected = oracle(module, x, forward)
    (_, head), (_, tail) = pieces(x, slice(0, 6), 4)
    for kind, whole in (
        (nk.EmpiricalNTK, expected),
        (nk.TraceNTK, expected.diagonal(dim1=2, dim2=3).mean(-1)),
        (nk.PseudoNTK, expected.sum((2, 3)) / expected.shape[2]),
    ):
        kernel = kind(module, forward=forward)
        assert off(kernel(head, tail), whole[:4, 4:]) <= 1e-10
        assert off(kernel.diag(x), torch.stack([whole[i, i] for i in range(6)])) <= 1e-10
        vector = torch.randn(6, *whole.shape[3:], 2, dtype=torch.float64)
        assert off(kernel.matvec(vector, x), _product(whole, vector)) <= 1e-10
        assert off(kernel.matvec(vector[:2], head, tail), _product(whole[:4, 4:], vector[:2])) <= 1e-10


def _product(entries: Tensor, vector: Tensor) -> Tensor:
    return entries @ vector if entries.ndim == 2 else torch.einsum("nmkl,mlv->nkv", entries, vector)


@pytest.mark.parametrize("name", CASES)
def test_single_precision(name: str) -> None:
    """As near to the kernel in double precision as the same kernel from whole gradients is, or to 1e-4."""
    module, x = build(name)
    forward = FORWARD.get(name)
    expected = nk.EmpiricalNTK(module, forward=forward)(x)
    single = torch.utils._pytree.tree_map(lambda leaf: leaf.float() if _real(leaf) else leaf, x)
    result = nk.EmpiricalNTK(module.float(), forward=forward)(single)
    assert result.dtype == torch.float32
    assert off(result.double(), expected) <= 1e-4


def _real(leaf: Any) -> bool:
    return isinstance(leaf, Tensor) and leaf.is_floating_point()
