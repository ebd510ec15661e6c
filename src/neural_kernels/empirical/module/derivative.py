"""Derivatives of functions of parameters along a direction."""

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
    """The same by two backward passes: J^T w is linear in w, and the gradient by w of its product with d is J d."""
    graph = torch.is_grad_enabled()
    own = {name: value.detach().requires_grad_() for name, value in values.items()}
    with unfused(), plain_kernels(), torch.enable_grad():
        value = function(own)
        weights = torch.zeros_like(value, requires_grad=True)
        pulled = torch.autograd.grad(value, list(own.values()), weights, create_graph=True, materialize_grads=True)
        product = sum(((p * d).sum() for p, d in zip(pulled, direction.values(), strict=True)), weights.new_zeros(()))
        (change,) = torch.autograd.grad(product, weights, create_graph=graph)
    return (value, change) if graph else (value.detach(), change)


@contextmanager
def unfused() -> Iterator[None]:
    """Without kernels for inference alone, which have no derivatives of the kinds needed here."""
    attention = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        with torch.nn.attention.sdpa_kernel([torch.nn.attention.SDPBackend.MATH]):
            yield
    finally:
        torch.backends.mha.set_fastpath_enabled(attention)


@contextmanager
def plain_kernels() -> Iterator[None]:
    """Torch's own operations in the place of oneDNN's, which cannot be differentiated twice (LSTM)."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "TF32 acceleration")  # torch speaks of Intel's GPUs whenever this is set
        with torch.backends.mkldnn.flags(enabled=False):
            yield
