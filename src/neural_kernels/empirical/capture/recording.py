"""One forward pass that remembers what layers read and wrote, and the gradients of outputs by what they wrote.

A batch goes into a `Recorder`; a `Recording` comes out, from which gradients by the parameters are made.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from copy import deepcopy
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from neural_kernels.empirical.capture.hooks import BroadcastParameter, ModuleHook, ParameterSite
from neural_kernels.empirical.module.model import Model


@dataclass
class RecordedCall:
    """What one call of a layer read and wrote, as the forward pass had it.

    Parameters
    ----------
    site : ParameterSite
    read : Tensor
        The layer's first argument, detached.
    wrote : Tensor
        Its result, by which outputs are differentiated.
    versions : tuple of int
        Torch's counts of changes in place of both, when they were remembered.
    """

    site: ParameterSite
    read: Tensor
    wrote: Tensor
    versions: tuple[int, int]

    def intact(self) -> bool:
        """Whether nothing has written over either of the two since."""
        return self.versions == (self.read._version, self.wrote._version)


@dataclass(frozen=True)
class Recording:
    """The result of one forward pass, and what led to it.

    Parameters
    ----------
    outputs : Tensor, shape (n, o)
    calls : list of RecordedCall
        In the order in which they happened.
    """

    outputs: Tensor
    calls: list[RecordedCall]

    def gradients(self, columns: Tensor) -> Iterator[list[Tensor]]:
        """For every column of `columns`, (o, k), the gradients by what each call wrote, all examples at once.

        An example's outputs depend on its own rows alone, so the gradient of their sum holds each example's.
        """
        last = columns.shape[1] - 1
        for number, column in enumerate(columns.T):
            yield self.gradients_of(column.expand_as(self.outputs), keep=number < last)

    def gradients_of(self, weights: Tensor, keep: bool = True) -> list[Tensor]:
        """The gradients of the sum of all outputs times `weights`, (n, o); `keep` what more of them need."""
        wrote = [call.wrote for call in self.calls]
        if not self.outputs.requires_grad:
            return [torch.zeros_like(x) for x in wrote]
        found = torch.autograd.grad(
            self.outputs, wrote, weights, retain_graph=keep, allow_unused=True, materialize_grads=True
        )
        return [gradient.detach() for gradient in found]  # zeros of what is unused require gradients in torch 2.6


@dataclass(frozen=True)
class Recorder:
    """How a model's forward pass is run and remembered.

    Parameters
    ----------
    model : Model
    hooks : sequence of ModuleHook
        They note what layers read and write.
    broadcasts : sequence of BroadcastParameter
        Parameters that come in without a layer; every example gets a copy of them, which counts as a call.
    shared : frozenset of int
        Calls, by number, whose results are the same for all examples (an embedding of the positions of tokens, say):
        every example gets a copy of the result.
    """

    model: Model
    hooks: Sequence[ModuleHook]
    broadcasts: Sequence[BroadcastParameter] = ()
    shared: frozenset[int] = frozenset()

    def record(self, batch: Any, count: int) -> Recording:
        """Run the forward pass on `count` examples.

        Every parameter is held fixed, so that autograd follows nothing but what layers write. Layers that work in place
        would change what is remembered: the pass is then run again on copies.
        """
        recording = self._record(batch, count, copies=False)
        if not all(call.intact() for call in recording.calls):
            recording = self._record(batch, count, copies=True)
        return recording

    def copied(self) -> Recorder | None:
        """The recorder of a copy of the module that shares its parameters and buffers; None if it cannot be copied."""
        module = self.model.module
        try:
            with torch.random.fork_rng(devices=[]):  # a module may make its copies from scratch
                return deepcopy(self, {id(tensor): tensor for tensor in (*module.parameters(), *module.buffers())})
        except Exception:  # of any kind: parts of a module have their own reasons
            return None

    def _record(self, batch: Any, count: int, copies: bool) -> Recording:
        calls: list[RecordedCall] = []

        def record_call(site: ParameterSite, read: Tensor, wrote: Tensor) -> Tensor:
            if len(calls) in self.shared:
                read, wrote = (_for_each(x, count) for x in (read, wrote))
            read = read.detach().clone() if copies else read.detach()
            leaf = not wrote.requires_grad
            if leaf:
                wrote = wrote.detach().requires_grad_()
            calls.append(RecordedCall(site, read, wrote, (read._version, wrote._version)))
            # Autograd refuses changes of a leaf in place.
            return wrote.clone() if copies or leaf else wrote

        values = {name: p.detach() for name, p in self.model.module.named_parameters()}
        with ExitStack() as stack:
            stack.enter_context(torch.enable_grad())
            for broadcast in self.broadcasts:
                value = values[broadcast.name]
                values[broadcast.name] = record_call(broadcast.site, value, broadcast.copies(value, count))
            for hook in self.hooks:
                stack.callback(hook.attach(record_call))
            outputs = self.model.at(values, batch, count)
        return Recording(outputs, calls)


def _for_each(shared: Tensor, count: int) -> Tensor:
    """A copy for every example, along a first axis that is new or has length 1."""
    own = shared if shared.ndim > 1 and shared.shape[0] == 1 else shared[None]
    return own.repeat(count, *[1] * (own.ndim - 1))
