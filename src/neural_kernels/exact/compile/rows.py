"""Rows: the compiler's intermediate form, between expressions and programs for positions.

An expression is a number for every pair of units. The engine computes it row by row: a row belongs to one position p of
the left example, and its columns are all positions of the right example or, where equal positions suffice, many right
examples at the position p. A `Row` is such a family of rows, one for every p, as the result of one operation. As in
any single-assignment form each is written by one operation and names what it reads, not where that lies.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import count

from torch import Tensor

from neural_kernels.engine.positions import program as s
from neural_kernels.exact.compile.layout import Layout, Table
from neural_kernels.exact.expressions.pairs import PerUnit

CONSTANT, SECOND = -1, -2  # not operations: a number, the second result of one
_created = count()


@dataclass(eq=False)
class Row:
    """One operation, and the row of numbers that it yields for every position of the left example.

    Parameters
    ----------
    code : int
        Operation of the engine (`engine.codes`, `engine.positions.program`); or CONSTANT, whose value is
        ``numbers[0]``; or SECOND, which stands for the second result of its operand and computes nothing.
    layout : Layout
        The positions: how many rows there are, and which columns of each hold one.
    operands : list of Row
        What is read, two at most: the row of the same position, or rows of several (`sums_positions`).
    numbers : tuple of float
        Factors that the operation takes, the same for all units.
    vectors : list of PerUnit
        Numbers per unit that the operation takes, that of the row from the left side and those of the columns from the
        right: standard deviations or their inverses, shares of sums, Hermite coefficients, the data.
    counts : tuple of int
        How many of the `vectors` are of which kind, for operations that take any number of them.
    table : Table, optional
        Which positions a map adds up; for sums over positions and for windows.
    shifts : int64 Tensor, shape (terms,), optional
        By how many columns every term of `table` is moved, where the map moves all columns alike. A sum without shifts
        gathers its columns one by one.
    window_stds : PerUnit, optional
        For a window: the standard deviations before the map, times the root of its weight.
    window_layout : Layout, optional
        Where the positions of `window_stds` lie.
    second : Row, optional
        The other result of the operation: value and slope of an arc-cosine kernel are computed at once.
    order : int
        Number in the order of creation, in which operands come first.
    """

    code: int
    layout: Layout
    operands: list[Row] = field(default_factory=list)
    numbers: tuple[float, float] = (0.0, 0.0)
    vectors: list[PerUnit] = field(default_factory=list)
    counts: tuple[int, ...] = ()
    table: Table | None = None
    shifts: Tensor | None = None
    window_stds: PerUnit | None = None
    window_layout: Layout | None = None
    second: Row | None = None
    order: int = field(default_factory=lambda: next(_created))

    @property
    def sums_positions(self) -> bool:
        """Whether it adds up rows of other positions, so that those must have been computed before."""
        return self.code in (s.LOAD, s.GATHER, s.WEIGHTED)

    @property
    def gaps_nonzero(self) -> bool:
        """Whether columns between positions may hold other numbers than zeros.

        A shifted sum reads them as the zeros of the padding. Operations that multiply by a vector of the columns clean
        them, since vectors are laid out with zeros there; so do those that write the columns of positions alone.
        """
        if self.code in (s.EXCESS, s.ENTRIES, s.MULTIPLY_ENTRIES, s.SCALE, s.GATHER, s.WEIGHTED, s.POOL):
            return False
        return self.shifts is not None or any(row.gaps_nonzero for row in self.operands) or self.code == CONSTANT
