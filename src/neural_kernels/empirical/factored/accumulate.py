"""Gradients by groups of parameters, written as passes through the module bring them: one output at a time.

What a backward pass has given by what layers wrote goes in; a `GroupGradients` for every group comes out, for a whole
block of examples. Each backward pass's result is used while it is still in cache, and given up before the next one.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise
from threading import Lock
from typing import Any, TypeVar

from torch import Tensor
from typing_extensions import override

from neural_kernels.empirical.capture.recording import Recording
from neural_kernels.empirical.capture.structure import LayerCall, ParameterGroup
from neural_kernels.empirical.factored.contractions import OuterProducts
from neural_kernels.empirical.factored.gradients import GroupGradients, OuterGradients, WholeGradients

G = TypeVar("G", bound=GroupGradients)


class BlockGradients:
    """The gradients of a block of examples by every group, filled by passes that may run at the same time."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._made: dict[tuple[str, ...], Any] = {}

    def __getitem__(self, group: ParameterGroup) -> GroupGradients:
        return self._made[group.names]

    def of(self, group: ParameterGroup, make: Callable[[], G]) -> G:
        """The gradients by a group: `make` gives the memory for them to the first pass that asks, alone."""
        with self._lock:
            if group.names not in self._made:
                self._made[group.names] = make()
            return self._made[group.names]


@dataclass(frozen=True)
class BlockPass:
    """A pass through the module for some of the examples of a block.

    Parameters
    ----------
    recording : Recording
        The forward pass.
    place : slice
        Which examples of the block these are.
    total : int
        Examples of the block.
    outputs : int
        Combinations of outputs k of which gradients follow.
    """

    recording: Recording
    place: slice
    total: int
    outputs: int

    @property
    def count(self) -> int:
        """Number of examples in the pass."""
        return self.place.stop - self.place.start

    def empty(self, *shape: int) -> Tensor:
        """Memory for numbers of all examples of the block, shape (total, *shape)."""
        return self.recording.outputs.new_empty(self.total, *shape)


class PassGradients(ABC):
    """Writes the gradients by one group's parameters, for the examples of one pass, to their places in a block.

    Parameters
    ----------
    calls : sequence of LayerCall
        Those of the group.
    group : ParameterGroup
    block_pass : BlockPass
    """

    def __init__(self, calls: Sequence[LayerCall], group: ParameterGroup, block_pass: BlockPass) -> None:
        self.calls, self.group, self.block_pass = calls, group, block_pass

    def add(self, column: int, gradients: Sequence[Tensor]) -> None:
        """Take the gradients of one probed output by what every call of the module wrote."""
        for index, (call, number) in enumerate(zip(self.calls, self.group.calls, strict=True)):
            self._add(index, column, call.wrote.examples_first(gradients[number], self.block_pass.count))

    @abstractmethod
    def _add(self, index: int, column: int, gradient: Tensor) -> None:
        """Take the gradient of one probed output by what one of the group's calls wrote, (n, r, ...)."""


class WholePassGradients(PassGradients):
    """Forms the gradients themselves, summed over the group's calls.

    A call's gradients wait until as many outputs have come as its rule forms at once.
    """

    def __init__(
        self, calls: Sequence[LayerCall], group: ParameterGroup, block_pass: BlockPass, block: BlockGradients
    ) -> None:
        super().__init__(calls, group, block_pass)
        made = block.of(group, lambda: WholeGradients(block_pass.empty(block_pass.outputs, group.count)))
        self._values = made.values[block_pass.place]
        reads = group.reads(calls, block_pass.recording, block_pass.count)
        self._prepared = [site.rule.prepare(site.module, read, roles) for site, read, roles in reads]
        self._waiting: list[list[Tensor]] = [[] for _ in calls]

    @override
    def _add(self, index: int, column: int, gradient: Tensor) -> None:
        site, waiting = self.calls[index].site, self._waiting[index]
        waiting.append(gradient)
        if len(waiting) < site.rule.outputs_at_once and column < self.block_pass.outputs - 1:
            return
        into, roles = self._values[:, column + 1 - len(waiting) : column + 1], self.group.roles[index]
        site.rule.materialise(site.module, self._prepared[index], waiting, roles, into, index > 0)
        waiting.clear()


class OuterPassGradients(PassGradients):
    """Copies what was read and the gradients by what was written, the positions of all calls one after the other."""

    def __init__(
        self, calls: Sequence[LayerCall], group: ParameterGroup, block_pass: BlockPass, block: BlockGradients
    ) -> None:
        super().__init__(calls, group, block_pass)
        reads = group.reads(calls, block_pass.recording, block_pass.count)
        inputs = [site.rule.layer_input(site.module, read, roles) for site, read, roles in reads]
        ends = list(accumulate((item.values.shape[1] for item in inputs), initial=0))
        values = inputs[0].values

        def make() -> OuterGradients:
            read = inputs[0].with_values(values.new_empty(block_pass.total, ends[-1], *values.shape[2:]))
            wrote = block_pass.empty(ends[-1], block_pass.outputs, calls[0].size.wrote)
            return OuterGradients(OuterProducts(read, wrote))

        factors = block.of(group, make).factors
        self._gradients = factors.gradients[block_pass.place]
        self._spans = [slice(start, stop) for start, stop in pairwise(ends)]
        for item, span in zip(inputs, self._spans, strict=True):
            factors.inputs.values[block_pass.place, span] = item.values

    @override
    def _add(self, index: int, column: int, gradient: Tensor) -> None:
        self._gradients[:, self._spans[index], column] = self.calls[index].site.rule.by_position(gradient)
