"""One forward pass that remembers what layers read and wrote, and the gradients of outputs by what they wrote."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from neural_kernels.empirical.model import Model


@dataclass
class Use:
    """A call of a layer: what it read and wrote, as the forward pass had them."""

    module: nn.Module
    read: Tensor
    wrote: Tensor
    versions: tuple[int, int]

    def intact(self) -> bool:
        """Whether nothing has written over either of them."""
        return self.versions == (self.read._version, self.wrote._version)


@dataclass(frozen=True)
class Recording:
    """Outputs (n, o), and the calls of layers that led to them."""

    outputs: Tensor
    uses: list[Use]

    def gradients(self, probe: Tensor) -> list[list[Tensor]]:
        """For every column of `probe`, (o, k), the gradients by what each use wrote, all examples at once.

        An example's outputs depend on its own rows alone, so the gradient of their sum holds each example's.
        """
        wrote = [use.wrote for use in self.uses]
        last = probe.shape[1] - 1
        return [
            list(
                torch.autograd.grad(
                    self.outputs,
                    wrote,
                    probe[:, column].expand_as(self.outputs),
                    retain_graph=column < last,
                    allow_unused=True,
                    materialize_grads=True,
                )
            )
            for column in range(last + 1)
        ]


def record(model: Model, modules: Collection[nn.Module], batch: Any, count: int) -> Recording:
    """Run the forward pass, with every parameter held fixed, so that autograd follows what layers write alone.

    Layers that work in place would change what is remembered: the pass is then run again on copies.
    """
    recording = _record(model, modules, batch, count, copies=False)
    if recording is None:
        recording = _record(model, modules, batch, count, copies=True)
    assert recording is not None
    return recording


def _record(model: Model, modules: Collection[nn.Module], batch: Any, count: int, copies: bool) -> Recording | None:
    uses: list[Use] = []

    def remember(module: nn.Module, args: Sequence[Any], kwargs: dict[str, Any], wrote: Tensor) -> Tensor:
        read = args[0] if args else next(iter(kwargs.values()))
        read = read.detach().clone() if copies else read.detach()
        leaf = not wrote.requires_grad
        if leaf:
            wrote = wrote.detach().requires_grad_()
        uses.append(Use(module, read, wrote, (read._version, wrote._version)))
        # Autograd refuses changes of a leaf in place.
        return wrote.clone() if copies or leaf else wrote

    fixed = {name: p.detach() for name, p in model.module.named_parameters()}
    with ExitStack() as stack:
        stack.enter_context(torch.enable_grad())
        for module in modules:
            handle = module.register_forward_hook(remember, with_kwargs=True)
            stack.callback(handle.remove)
        outputs = model.at(fixed, batch, count)
    return Recording(outputs, uses) if copies or all(use.intact() for use in uses) else None
