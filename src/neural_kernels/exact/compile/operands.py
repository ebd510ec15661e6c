"""Operands: the numbers of single examples that a program reads.

In come stages and windows, out go two arrays, one for the examples on the left and one for those on the right, and for
each stage and window where its numbers begin in them. The idea: of everything that depends on one example alone
(standard deviations, shares of sums, coefficients of series, the data) nothing is computed for a pair; it is laid out
once in the order in which the loop over a pair reads it, spaced as the columns of its rows are.
"""

from __future__ import annotations

import torch
from torch import Tensor

from neural_kernels.exact.compile.rows import Row
from neural_kernels.exact.compile.schedule import Stage
from neural_kernels.exact.expressions.pairs import PerUnit


class Operands:
    """Two arrays, of the examples on the left and on the right, as they are put together.

    Parameters
    ----------
    dtype : torch.dtype
    all_pairs : bool
        Whether columns are the positions of one example on the right, or examples at one position.
    sides : tuple of int
        Which side of the expressions the examples on the left, and those on the right, are of.
    """

    def __init__(self, dtype: torch.dtype, all_pairs: bool, sides: tuple[int, int]) -> None:
        self._dtype, self._all_pairs, self._sides = dtype, all_pairs, sides
        self._left: list[Tensor] = []
        self._right: list[Tensor] = []

    def arrays(self) -> tuple[Tensor, Tensor]:
        """Shapes (n1, numbers), and (n2, numbers) or, where columns are examples, (numbers, n2); in that order."""
        return torch.cat(self._left, 1).contiguous(), torch.cat(self._right, int(self._all_pairs)).contiguous()

    def vectors(self, stage: Stage) -> tuple[int, int]:
        """Put in the vectors of a stage; where they begin on the left and on the right.

        On the left by vector and position, and so on the right where columns are positions. Where columns are examples,
        by position and vector: a step of the loop is one position, and reads all vectors of it.
        """
        if not stage.vectors:
            return 0, 0
        rows, columns, count = stage.layout.rows, stage.layout.width, len(stage.vectors)
        left, right = (torch.stack([self._cast(sides, k, rows) for sides in stage.vectors], 1) for k in self._sides)
        if self._all_pairs:
            spaced = right.new_zeros(len(right), count, columns)
            spaced[:, :, stage.layout.columns] = right
            right = spaced.flatten(1)
        else:
            right = right.permute(2, 1, 0).reshape(rows * count, -1)
        return self._add(left.flatten(1), right)

    def window_stds(self, row: Row) -> tuple[int, int, Tensor]:
        """Put in the deviations in a window; where they begin, and where those on the right are, by tap and position.

        On either side a position that does not exist, -1, finds a zero.
        """
        assert row.table is not None
        assert row.window_stds is not None
        assert row.window_layout is not None
        index, layout = row.table.index, row.window_layout
        left, right = (self._cast(row.window_stds, k, layout.rows) for k in self._sides)
        left = torch.cat([left.new_zeros(len(left), 1), left], 1)
        margin = 0
        if not self._all_pairs:
            margin, places = 1, index
            right = torch.cat([right.new_zeros(len(right), 1), right], 1).T
        elif row.shifts is not None:
            margin, places = layout.margin, row.shifts[:, None].expand_as(index)
            spaced = right.new_zeros(len(right), layout.length)
            spaced[:, margin + layout.columns] = right
            right = spaced
        else:
            spaced = right.new_zeros(len(right), len(index), row.layout.width)
            spaced[:, :, row.layout.columns] = torch.where(index < 0, 0, right[:, index.clamp(min=0)])
            places = (torch.arange(len(index)) * row.layout.width)[:, None].expand_as(index)
            right = spaced.flatten(1)
        start, other = self._add(left, right)
        return start + 1, other + margin, places

    def _cast(self, sides: PerUnit, k: int, rows: int) -> Tensor:
        return sides[k].reshape(-1, rows).to(self._dtype)

    def _add(self, left: Tensor, right: Tensor) -> tuple[int, int]:
        begin = sum(part.shape[1] for part in self._left), sum(part.shape[int(self._all_pairs)] for part in self._right)
        self._left.append(left)
        self._right.append(right)
        return begin
