"""Where the engine puts positions: rows one after another, columns with zeros between so that shifts are offsets."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property, reduce

import torch
from torch import Tensor

from neural_kernels.algebra import Matrix, Separable, Taps
from neural_kernels.runtime.types import Shape


@dataclass(frozen=True)
class Layout:
    """Columns of a row.

    Parameters
    ----------
    positions : tuple of int
    pitches : tuple of int
        Columns from one position to the next along each axis.
    margin : int
        Zeros before the first position and behind the last.
    """

    positions: Shape
    pitches: Shape
    margin: int

    @classmethod
    def of(cls, positions: Shape, reach: Shape) -> Layout:
        """With gaps as wide as the shifts reach along each axis."""
        pitches = [1]
        for size, far in zip(positions[:0:-1], reach[:0:-1], strict=False):
            pitches.insert(0, pitches[0] * (size + far))
        pitches = pitches[: len(positions)]
        return cls(positions, tuple(pitches), 1 + sum(r * p for r, p in zip(reach, pitches, strict=False)))

    def shrunk(self, positions: Shape) -> Layout:
        """Fewer positions, where they were."""
        return Layout(positions, self.pitches, self.margin)

    @property
    def rows(self) -> int:
        """Number of positions."""
        return math.prod(self.positions)

    @cached_property
    def columns(self) -> Tensor:
        """Column of every position, from the first."""
        parts = [torch.arange(size) * pitch for size, pitch in zip(self.positions, self.pitches, strict=True)]
        return reduce(lambda a, b: (a[:, None] + b).reshape(-1), parts, torch.zeros(1, dtype=torch.int64))

    @cached_property
    def width(self) -> int:
        """Columns from the first position to the last."""
        return int(self.columns[-1]) + 1

    @property
    def length(self) -> int:
        """Columns with the margins."""
        return self.width + 2 * self.margin


def shifts(axis: Taps | Matrix) -> list[int] | None:
    """By how much every tap moves, if it moves all positions alike and what it does not take lies outside."""
    if isinstance(axis, Matrix):
        return None
    result = []
    for index in axis.index:
        present = index >= 0
        moves = (index - torch.arange(axis.after))[present]
        move = int(moves[0]) if len(moves) else axis.size
        inside = torch.arange(axis.after) + move
        if (moves != move).any() or ((inside >= 0) & (inside < axis.size) & ~present).any():
            return None
        result.append(move)
    return result


def reach(maps: list[Separable]) -> Shape:
    """The farthest shift along each axis."""
    far: list[int] = []
    for by in maps:
        for k, axis in enumerate(by.axes):
            moves = shifts(axis) or [0]
            far += [0] * (k + 1 - len(far))
            far[k] = max(far[k], *(min(abs(move), axis.size) for move in moves))
    return tuple(far)


@dataclass(frozen=True, eq=False)
class Table:
    """Which positions a map adds up: (terms, after), -1 for none; with weights, or one weight for all."""

    index: Tensor
    weights: Tensor | None
    weight: float


def taps_table(by: Separable) -> Table:
    """The positions that every product of taps takes."""
    index = torch.zeros(1, 1, dtype=torch.int64)
    for axis in by.axes:
        assert isinstance(axis, Taps)
        index = _outer(index, axis.index, axis.size)
    return Table(index, None, math.prod(axis.weight**2 for axis in by.axes if isinstance(axis, Taps)))


def matrix_table(by: Separable) -> Table:
    """The positions with entries in every row of a single matrix, filled up to the same number."""
    index, weights = torch.zeros(1, 1, dtype=torch.int64), torch.ones(1, 1, dtype=torch.float64)
    for axis in by.axes:
        assert isinstance(axis, Matrix)
        matrix = axis.matrix.to(torch.float64)
        count = int((matrix != 0).sum(1).amax())
        places = (matrix != 0).to(torch.int8).argsort(dim=1, descending=True, stable=True)[:, :count].T
        values = matrix.T.gather(0, places)
        index = _outer(index, torch.where(values != 0, places, -1), axis.size)
        weights = (weights[:, None, :, None] * values[None, :, None, :]).flatten(2).flatten(0, 1)
    return Table(index, weights, 1.0)


def shift_table(by: Separable, layout: Layout) -> Tensor | None:
    """Offset in columns of every product of taps, where all are shifts; shape (terms,)."""
    total = torch.zeros(1, dtype=torch.int64)
    for axis, pitch in zip(by.axes, layout.pitches, strict=True):
        moves = shifts(axis)
        if moves is None:
            return None
        total = (total[:, None] + torch.tensor(moves) * pitch).reshape(-1)
    return total if int(total.abs().amax()) < layout.margin else None


def _outer(index: Tensor, other: Tensor, size: int) -> Tensor:
    """All pairs of terms and of positions; -1 if either is."""
    first, second = index[:, None, :, None], other[None, :, None, :]
    return torch.where((first < 0) | (second < 0), -1, first * size + second).flatten(2).flatten(0, 1)
