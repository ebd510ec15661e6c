"""Derivatives of functions of parameters along a direction: J d for a function of values by name.

By one pass of `torch.func.jvp` where torch knows the forward derivatives of all operations, else by two backward ones.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
from torch import Tensor
from torch.func import jvp

Function = Callable[[dict[str, Tensor]], Tensor]


def derivative(function: Function, values: dict[str, Tensor], direction: dict[str, Tensor]) -> tuple[Tensor, Tensor]:
    """Return a function's value and its derivative along a direction, which can be differentiated further."""
    try:
        with unfused():
            value, change, *_ = jvp(function, (values,), (direction,))
            return value, change
    except (NotImplementedError, RuntimeError):  # torch knows no forward derivative of some operation
        return _backward_twice(function, values, direction)


def _backward_twice(
    function: Function, values: dict[str, Tensor], direction: dict[str, Tensor]
) -> tuple[Tensor, Tensor]:
    """`derivative` by two backward passes: J^T w is linear in w, and the gradient by w of its product with d is J d."""
    graph = torch.is_grad_enabled()
    leaves = {name: value.detach().requires_grad_() for name, value in values.items()}
    with unfused(), plain_kernels(), torch.enable_grad():
        value = function(leaves)
        weights = torch.zeros_like(value, requires_grad=True)
        pulled = torch.autograd.grad(value, list(leaves.values()), weights, create_graph=True, materialize_grads=True)
        product = sum(((p * d).sum() for p, d in zip(pulled, direction.values(), strict=True)), weights.new_zeros(()))
        (change,) = torch.autograd.grad(product, weights, create_graph=graph)
    return (value, change) if graph else (value.detach(), change)


@contextmanager
def unfused() -> Iterator[None]:
    """Switch off torch's fused attention: it has no forward derivative, and cannot be differentiated twice."""
    attention = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        with torch.nn.attention.sdpa_kernel([torch.nn.attention.SDPBackend.MATH]):
            yield
    finally:
        torch.backends.mha.set_fastpath_enabled(attention)


@contextmanager
def plain_kernels() -> Iterator[None]:
    """Use torch's own operations in place of oneDNN's, which cannot be differentiated twice (LSTM)."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "TF32 acceleration")  # torch speaks of Intel's GPUs whenever this is set
        with torch.backends.mkldnn.flags(enabled=False):
            yield
