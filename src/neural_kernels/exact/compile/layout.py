"""Layout: which columns of a row hold positions, and what a map of positions is in such rows.

In come the shape of positions and the maps of a network, out go the columns of positions and tables of what is added
up. The idea: between the lines of an image lie as many columns of zeros as any map reaches beyond its edge, and as many
before the first and behind the last. Then a tap of a convolution, a shift by (dy, dx), is the same row read from
another column on, one offset for all pixels, and what it takes from outside is a zero. So the sum over taps is a sum of
contiguous slices, without an index and without a condition, which vectorises. For maps that are no shifts (strides,
resizing, circular padding) columns are gathered by a list.

A gap is shared by the end of one line and the beginning of the next. What a shift leaves of the positions (padding
"valid") stays in the layout of what was read (`shrunk`): it is a slice, too, and no column moves.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import reduce

import torch
from torch import Tensor

from neural_kernels.algebra import Matrix, Separable, Taps
from neural_kernels.runtime.lazy import cached_property
from neural_kernels.runtime.types import Shape

_LANES = 8  # numbers that a processor takes at a time; each of those left at the end of a row costs as much as eight


@dataclass(frozen=True)
class Layout:
    """The columns of a row that hold positions, those between being zeros.

    Parameters
    ----------
    positions : tuple of int
        Sizes of the axes; () for vectors, which are one position.
    pitches : tuple of int
        Columns from one position to the next along each axis; 1 for the last, and for every other the columns of what
        is inside it with one gap.
    margin : int
        Zeros before the first position and behind the last, more than any shift moves.
    """

    positions: Shape
    pitches: Shape
    margin: int

    @classmethod
    def of(cls, positions: Shape, reach: Shape) -> Layout:
        """The layout with gaps as wide as the shifts reach along each axis, which may be more than the axis itself."""
        pitches = [1]
        for size, far in zip(positions[:0:-1], reach[:0:-1], strict=False):
            pitches.insert(0, pitches[0] * (size + far))
        pitches = pitches[: len(positions)]
        return cls(positions, tuple(pitches), 1 + sum(r * p for r, p in zip(reach, pitches, strict=False)))

    def shrunk(self, positions: Shape) -> Layout:
        """The layout of fewer positions, each where it was; with wider gaps, shifts stay what they are."""
        return Layout(positions, self.pitches, self.margin)

    @property
    def rows(self) -> int:
        """Number of positions."""
        return math.prod(self.positions)

    @cached_property
    def columns(self) -> Tensor:
        """The column of every position, counted from that of the first; int64, shape (rows,)."""
        parts = [torch.arange(size) * pitch for size, pitch in zip(self.positions, self.pitches, strict=True)]
        return reduce(lambda a, b: (a[:, None] + b).reshape(-1), parts, torch.zeros(1, dtype=torch.int64))

    @cached_property
    def width(self) -> int:
        """Columns from the first position to the last, and further gaps up to whole vectors of the processor."""
        last = int(self.columns[-1])
        return -(-(last + 1) // _LANES) * _LANES if last else 1

    @property
    def length(self) -> int:
        """Columns with the margins."""
        return self.width + 2 * self.margin


def shifts(axis: Taps | Matrix) -> list[int] | None:
    """By how much every tap moves, if it moves all positions alike and what it does not take lies outside.

    None for strides, and for padding that is not zeros. A tap that takes nothing at all moves by the whole axis.
    """
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
    """The farthest shift along each axis, of all maps of a network: they share one layout."""
    far: list[int] = []
    for by in maps:
        for k, axis in enumerate(by.axes):
            moves = shifts(axis) or [0]
            far += [0] * (k + 1 - len(far))
            far[k] = max(far[k], *(min(abs(move), axis.size) for move in moves))
    return tuple(far)


@dataclass(frozen=True, eq=False)
class Table:
    """Which positions a map adds up, term by term.

    Parameters
    ----------
    index : int64 Tensor, shape (terms, after)
        The position before the map that every term takes for every position after it; -1 for none.
    weights : Tensor, shape (terms, after), optional
        By what each is multiplied.
    weight : float
        What the sum of all is multiplied by.
    """

    index: Tensor
    weights: Tensor | None
    weight: float


def taps_table(by: Separable) -> Table:
    """The table of a map whose axes have taps: a term for every product of one tap along each axis."""
    index = torch.zeros(1, 1, dtype=torch.int64)
    for axis in by.axes:
        assert isinstance(axis, Taps)
        index = _outer(index, axis.index, axis.size)
    return Table(index, None, math.prod(axis.weight**2 for axis in by.axes if isinstance(axis, Taps)))


def matrix_table(by: Separable) -> Table:
    """The table of a map by one matrix along each axis: a term for every entry of a row, filled up to one number."""
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
    """Offset in columns of every term of `taps_table`, shape (terms,); None unless all are shifts.

    Also None where an offset would leave the margin: several axes may move at once by their farthest.
    """
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
