"""Gradients of a group of parameters as passes through the module bring them: some examples, and an output at a time.

What a backward pass has written is used while it is still in cache, and given up before the next one.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise
from threading import Lock
from typing import Any, TypeVar

from torch import Tensor

from neural_kernels.empirical.capture.recording import Recording
from neural_kernels.empirical.capture.structure import Call, Group
from neural_kernels.empirical.factored.factors import Factor, Materialised, Outer

F = TypeVar("F", bound=Factor)


class Blocks:
    """Gradients at a block of examples by every group's parameters, filled by passes that may run at the same time."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._made: dict[tuple[str, ...], Any] = {}

    def __getitem__(self, group: Group) -> Factor:
        return self._made[group.names]

    def of(self, group: Group, make: Callable[[], F]) -> F:
        """Those by a group's parameters, as the first pass to come makes them."""
        with self._lock:
            if group.names not in self._made:
                self._made[group.names] = make()
            return self._made[group.names]


@dataclass(frozen=True)
class Piece:
    """A pass through the module for some examples of a block of `total`: those at `place`; `outputs` are probed."""

    recording: Recording
    place: slice
    total: int
    outputs: int

    @property
    def count(self) -> int:
        """Examples in it."""
        return self.place.stop - self.place.start

    def empty(self, *shape: int) -> Tensor:
        """Memory for numbers of all examples of the block."""
        return self.recording.outputs.new_empty(self.total, *shape)


class Filling(ABC):
    """Writes gradients by a group's parameters to their places in a block.

    Parameters
    ----------
    calls : sequence of Call
        Those of the group.
    group : Group
    piece : Piece
    """

    def __init__(self, calls: Sequence[Call], group: Group, piece: Piece) -> None:
        self.calls, self.group, self.piece = calls, group, piece

    def add(self, column: int, gradients: Sequence[Tensor]) -> None:
        """Take the gradients of one probed output by what all uses of the module's sites wrote."""
        for index, (call, number) in enumerate(zip(self.calls, self.group.calls, strict=True)):
            self._add(index, column, call.wrote.first(gradients[number], self.piece.count))

    @abstractmethod
    def _add(self, index: int, column: int, gradient: Tensor) -> None:
        """Take those by what one use wrote, (n, r, ...)."""


class WholeFilling(Filling):
    """Gradients themselves, summed over the uses."""

    def __init__(self, calls: Sequence[Call], group: Group, piece: Piece, blocks: Blocks) -> None:
        super().__init__(calls, group, piece)
        block = blocks.of(group, lambda: Materialised(piece.empty(piece.outputs, group.count)))
        self._values = block.values[piece.place]
        reads = group.reads(calls, piece.recording, piece.count)
        self._prepared = [site.rule.prepare(site.module, read, roles) for site, read, roles in reads]
        self._waiting: list[list[Tensor]] = [[] for _ in calls]

    def _add(self, index: int, column: int, gradient: Tensor) -> None:
        site, waiting = self.calls[index].site, self._waiting[index]
        waiting.append(gradient)
        if len(waiting) < site.rule.together and column < self.piece.outputs - 1:
            return
        into, roles = self._values[:, column + 1 - len(waiting) : column + 1], self.group.roles[index]
        site.rule.materialise(site.module, self._prepared[index], waiting, roles, into, index > 0)
        waiting.clear()


class OuterFilling(Filling):
    """What was read and the gradients by what was written, the positions of all uses one after the other."""

    def __init__(self, calls: Sequence[Call], group: Group, piece: Piece, blocks: Blocks) -> None:
        super().__init__(calls, group, piece)
        reads = group.reads(calls, piece.recording, piece.count)
        lefts = [site.rule.left(site.module, read, roles) for site, read, roles in reads]
        ends = list(accumulate((left.values.shape[1] for left in lefts), initial=0))
        values = lefts[0].values

        def make() -> Outer:
            left = lefts[0].like(values.new_empty(piece.total, ends[-1], *values.shape[2:]))
            return Outer(left, piece.empty(ends[-1], piece.outputs, calls[0].size.wrote))

        block = blocks.of(group, make)
        self._right = block.right[piece.place]
        self._spans = [slice(start, stop) for start, stop in pairwise(ends)]
        for left, span in zip(lefts, self._spans, strict=True):
            block.left.values[piece.place, span] = left.values

    def _add(self, index: int, column: int, gradient: Tensor) -> None:
        self._right[:, self._spans[index], column] = self.calls[index].site.rule.right(gradient)
