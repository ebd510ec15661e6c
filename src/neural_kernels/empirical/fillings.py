"""Gradients of a group of parameters as passes through the module bring them: some examples, and an output at a time.

What a backward pass has written is used while it is still in cache, and given up before the next one.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise
from typing import Any

from torch import Tensor

from neural_kernels.empirical.capture import Recording
from neural_kernels.empirical.factors import Factor, Materialised, Outer
from neural_kernels.empirical.structure import Call, Group


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

    def read(self, call: Call, number: int) -> Tensor:
        """What a use had to read, examples first if they matter."""
        read = self.recording.uses[number].read
        return read if call.read is None else call.read.first(read, self.count)

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

    @property
    @abstractmethod
    def block(self) -> Factor:
        """The gradients of the whole block."""

    @abstractmethod
    def _add(self, index: int, column: int, gradient: Tensor) -> None:
        """Take those by what one use wrote, (n, r, ...)."""


class WholeFilling(Filling):
    """Gradients themselves, summed over the uses.

    Parameters
    ----------
    calls, group, piece
        See `Filling`.
    block : Materialised, optional
        Of earlier pieces.
    """

    def __init__(self, calls: Sequence[Call], group: Group, piece: Piece, block: Materialised | None) -> None:
        super().__init__(calls, group, piece)
        self._block = block or Materialised(piece.empty(piece.outputs, group.count))
        self._prepared: list[Any] = [
            call.site.rule.prepare(call.site.module, piece.read(call, number), roles)
            for call, number, roles in zip(calls, group.calls, group.roles, strict=True)
        ]
        self._waiting: list[list[Tensor]] = [[] for _ in calls]

    @property
    def block(self) -> Materialised:
        """See `Filling`."""
        return self._block

    def _add(self, index: int, column: int, gradient: Tensor) -> None:
        site, waiting = self.calls[index].site, self._waiting[index]
        waiting.append(gradient)
        if len(waiting) < site.rule.together and column < self.piece.outputs - 1:
            return
        into = self._block.values[self.piece.place, column + 1 - len(waiting) : column + 1]
        roles = self.group.roles[index]
        site.rule.materialise(site.module, self._prepared[index], waiting, roles, into, index > 0)
        waiting.clear()


class OuterFilling(Filling):
    """What was read and the gradients by what was written, the positions of all uses one after the other.

    Parameters
    ----------
    calls, group, piece
        See `Filling`.
    block : Outer, optional
        Of earlier pieces.
    """

    def __init__(self, calls: Sequence[Call], group: Group, piece: Piece, block: Outer | None) -> None:
        super().__init__(calls, group, piece)
        lefts = [
            call.site.rule.left(call.site.module, piece.read(call, number), roles)
            for call, number, roles in zip(calls, group.calls, group.roles, strict=True)
        ]
        ends = list(accumulate((left.values.shape[1] for left in lefts), initial=0))
        self._spans = [slice(start, stop) for start, stop in pairwise(ends)]
        if block is None:
            values = lefts[0].values
            left = lefts[0].like(values.new_empty(piece.total, ends[-1], *values.shape[2:]))
            block = Outer(left, piece.empty(ends[-1], piece.outputs, calls[0].size.wrote))
        self._block = block
        for left, span in zip(lefts, self._spans, strict=True):
            block.left.values[piece.place, span] = left.values

    @property
    def block(self) -> Outer:
        """See `Filling`."""
        return self._block

    def _add(self, index: int, column: int, gradient: Tensor) -> None:
        right = self.calls[index].site.rule.right(gradient)
        self._block.right[self.piece.place, self._spans[index], column] = right
