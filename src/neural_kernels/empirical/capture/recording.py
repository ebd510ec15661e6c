"""One forward pass that remembers what layers read and wrote, and the gradients of outputs by what they wrote."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from copy import deepcopy
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from neural_kernels.empirical.capture.hooks import Site, Spread, Watch
from neural_kernels.empirical.module.model import Model


@dataclass
class Use:
    """What was read and written at a site, as the forward pass had it."""

    site: Site
    read: Tensor
    wrote: Tensor
    versions: tuple[int, int]

    def intact(self) -> bool:
        """Whether nothing has written over either of them."""
        return self.versions == (self.read._version, self.wrote._version)


@dataclass(frozen=True)
class Recording:
    """Outputs (n, o), and what led to them."""

    outputs: Tensor
    uses: list[Use]

    def gradients(self, probe: Tensor) -> Iterator[list[Tensor]]:
        """For every column of `probe`, (o, k), the gradients by what each use wrote, all examples at once.

        An example's outputs depend on its own rows alone, so the gradient of their sum holds each example's.
        """
        last = probe.shape[1] - 1
        for number, column in enumerate(probe.T):
            yield self.gradients_of(column.expand_as(self.outputs), keep=number < last)

    def gradients_of(self, weights: Tensor, keep: bool = True) -> list[Tensor]:
        """The gradients of the sum of all outputs times `weights`."""
        wrote = [use.wrote for use in self.uses]
        if not self.outputs.requires_grad:
            return [torch.zeros_like(x) for x in wrote]
        return list(
            torch.autograd.grad(
                self.outputs, wrote, weights, retain_graph=keep, allow_unused=True, materialize_grads=True
            )
        )


@dataclass(frozen=True)
class Recorder:
    """How a model's forward pass is remembered.

    Parameters
    ----------
    model : Model
    watches : sequence of Watch
    spreads : sequence of Spread
        Parameters that come in by broadcasting.
    common : frozenset of int
        Uses whose results are the same for all examples (positions of tokens, say): every example gets its own.
    """

    model: Model
    watches: Sequence[Watch]
    spreads: Sequence[Spread] = ()
    common: frozenset[int] = frozenset()

    def record(self, batch: Any, count: int) -> Recording:
        """Run the forward pass, every parameter held fixed, so that autograd follows what is written at sites alone.

        Layers that work in place would change what is remembered: the pass is then run again on copies.
        """
        recording = self._record(batch, count, copies=False)
        if not all(use.intact() for use in recording.uses):
            recording = self._record(batch, count, copies=True)
        return recording

    def copied(self) -> Recorder | None:
        """One of a copy of the module that shares its parameters and buffers; None if it cannot be copied."""
        module = self.model.module
        try:
            with torch.random.fork_rng(devices=[]):  # a module may make its copies from scratch
                return deepcopy(self, {id(tensor): tensor for tensor in (*module.parameters(), *module.buffers())})
        except Exception:  # of any kind: parts of a module have their own reasons
            return None

    def _record(self, batch: Any, count: int, copies: bool) -> Recording:
        uses: list[Use] = []

        def note(site: Site, read: Tensor, wrote: Tensor) -> Tensor:
            if len(uses) in self.common:
                read, wrote = (_for_each(x, count) for x in (read, wrote))
            read = read.detach().clone() if copies else read.detach()
            leaf = not wrote.requires_grad
            if leaf:
                wrote = wrote.detach().requires_grad_()
            uses.append(Use(site, read, wrote, (read._version, wrote._version)))
            # Autograd refuses changes of a leaf in place.
            return wrote.clone() if copies or leaf else wrote

        values = {name: p.detach() for name, p in self.model.module.named_parameters()}
        with ExitStack() as stack:
            stack.enter_context(torch.enable_grad())
            for spread in self.spreads:
                value = values[spread.name]
                values[spread.name] = note(spread.site, value, spread.copies(value, count))
            for watch in self.watches:
                stack.callback(watch.attach(note))
            outputs = self.model.at(values, batch, count)
        return Recording(outputs, uses)


def _for_each(common: Tensor, count: int) -> Tensor:
    """A copy for every example, along a first axis that is new or has length 1."""
    own = common if common.ndim > 1 and common.shape[0] == 1 else common[None]
    return own.repeat(count, *[1] * (own.ndim - 1))
