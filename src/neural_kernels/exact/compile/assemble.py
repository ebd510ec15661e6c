"""Assembly: rows with their addresses to the arrays that the engine reads.

In come kernels, which this module takes through all passes, out goes a program: one line of integers for every
operation, in the order of the stages, with addresses in place of rows and offsets in two pools of numbers in place of
tables. The idea: whatever a loop over positions would compute again and again from a table (which row of a ring, which
column, which weight) is an offset here, so that the loop adds two integers and takes a slice.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from neural_kernels.engine.codes import ARC, POWERS, SERIES
from neural_kernels.engine.positions import program as s
from neural_kernels.exact.compile.allocate import Address, Allocation
from neural_kernels.exact.compile.layout import Layout
from neural_kernels.exact.compile.lower import Lowering, UnsupportedError
from neural_kernels.exact.compile.operands import Operands
from neural_kernels.exact.compile.rows import CONSTANT, SECOND, Row
from neural_kernels.exact.compile.schedule import Stage, stages_of
from neural_kernels.exact.expressions.nodes import Expression

_GROUP = 3  # rows that the engine adds up at a time
_NOWHERE = Address(0, 0, 1)


def assemble(
    kernels: Sequence[Expression], dtype: torch.dtype, all_pairs: bool, sides: tuple[int, int] = (0, -1)
) -> s.PositionProgram | None:
    """The program of several kernels of one network; None where the engine lacks an operation.

    Parameters
    ----------
    kernels : sequence of Expression
    dtype : torch.dtype
        Of the computation.
    all_pairs : bool
        Whether all pairs of positions are needed; else equal ones are computed, many right examples at a time.
    sides : tuple of int
        Which side of the expressions the examples on the left, and those on the right, are of.
    """
    try:
        lowering = Lowering(kernels, all_pairs, dtype)
        outputs = [lowering.output(kernel) for kernel in kernels]
    except UnsupportedError:
        return None
    return _Assembly(outputs, dtype, all_pairs, sides).program()


class _Assembly:
    """A program in the making: stages, addresses, and what was put into the pools so far."""

    def __init__(self, outputs: list[Row], dtype: torch.dtype, all_pairs: bool, sides: tuple[int, int]) -> None:
        self._outputs, self._dtype, self._all_pairs = outputs, dtype, all_pairs
        self._stages = stages_of(outputs)
        self._allocation = Allocation(self._stages, outputs, all_pairs)
        self._operands = Operands(dtype, all_pairs, sides)
        self._indices: list[Tensor] = []
        self._weights: list[Tensor] = []
        self._columns: dict[Layout, int] = {}

    def program(self) -> s.PositionProgram:
        """The program with all its arrays."""
        operations, numbers, stages = [], [], []
        for stage in self._stages:
            first = len(operations)
            for row in stage.rows:
                if row.code not in (CONSTANT, SECOND):
                    operations.append(self._encode(row, stage))
                    numbers.append(row.numbers)
            size = stage.layout.rows, stage.layout.width, len(stage.vectors)
            where = self._operands.vectors(stage)
            stages.append([first, len(operations), *size, *where, self._columns_of(stage.layout)])
        left, right = self._operands.arrays()
        outputs = [[*self._allocation.address(row), self._columns_of(row.layout)] for row in self._outputs]
        real = left.numpy().dtype
        return s.PositionProgram(
            stages=np.array(stages, np.int64),
            steps=self._allocation.schedule.steps.numpy(),
            operations=np.array(operations, np.int64),
            numbers=np.array(numbers, real),
            indices=torch.cat(self._indices).numpy(),
            weights=torch.cat([*self._weights, torch.zeros(1)]).to(self._dtype).numpy(),
            outputs=np.array(outputs, np.int64),
            left=left.numpy(),
            right=right.numpy(),
            all_pairs=self._all_pairs,
            memory=self._allocation.size,
            constants=self._allocation.constants,
        )

    def _encode(self, row: Row, stage: Stage) -> list[int]:
        """One line of the table of operations; the fields of some mean something of their own (see the engine)."""
        sources = [self._allocation.address(operand) for operand in row.operands[:2]]
        sources += [_NOWHERE] * (2 - len(sources))
        counts, width, last = [0, 0, 0], 0, _NOWHERE
        vector = stage.first_vector.get(row, 0)
        if row.sums_positions:
            vector, *counts = self._sum_tables(row)
            # with one column behind the last, a zero of the margin, which gathers read for what does not exist
            sources[0] = Address(sources[0].start, row.operands[0].layout.width + 1, 1)
        elif row.code == s.WINDOW:
            counts, sources[1] = self._window_tables(row)
        elif row.code == s.POOL:
            counts, width = self._pool_tables(row), row.layout.width
        elif row.code == ARC:
            last = self._allocation.address(row.second) if row.second in stage.rows else self._allocation.spare[0]
        elif row.code in (SERIES, POWERS):
            first, second = self._allocation.spare
            sources[1], last = _NOWHERE, Address(first.start, second.start, 1)
        if row.counts:
            counts = [*row.counts, 0, 0][:3]
        flat = [number for source in sources for number in source]
        return [row.code, *self._allocation.address(row), *flat, *last, vector, *counts, width]

    def _sum_tables(self, row: Row) -> tuple[int, int, int, int]:
        """Where the table of rows is, its terms and rows, and where its shifts, columns or weights are."""
        assert row.table is not None
        source = row.operands[0]
        start, stride, height = self._allocation.address(source)
        index = _filled(row.table.index, -1)
        rows = self._index(torch.where(index < 0, self._allocation.zeros - start, index % height * stride))
        if row.code == s.WEIGHTED:
            assert row.table.weights is not None
            other = self._weight(_filled(row.table.weights, 0))
        elif row.code == s.GATHER:
            columns = torch.full((len(index), row.layout.width), source.layout.width)
            taken = torch.where(index < 0, source.layout.width, source.layout.columns[index])
            columns[:, row.layout.columns] = taken
            other = self._index(columns)
        else:
            shifts = torch.zeros(row.table.index.shape[0], dtype=torch.int64) if row.shifts is None else row.shifts
            other = self._index(_filled(shifts[:, None], 0))
        return rows, len(index), index.shape[1], other

    def _window_tables(self, row: Row) -> tuple[list[int], Address]:
        """Terms and where their positions are on the left and on the right; where the deviations are."""
        assert row.table is not None
        index = row.table.index
        start, other, places = self._operands.window_stds(row)
        return [len(index), self._index(index), self._index(places)], Address(start, other, index.shape[1])

    def _pool_tables(self, row: Row) -> list[int]:
        """Terms, and where their columns and weights are."""
        assert row.table is not None
        assert row.table.weights is not None
        source = row.operands[0].layout
        index, weights = row.table.index, row.table.weights
        if row.layout.width == 1:
            all_pairs = torch.zeros(source.width, dtype=torch.float64)
            all_pairs[source.columns[index[:, 0]]] += torch.where(index[:, 0] < 0, 0, weights[:, 0])
            return [source.width, 0, self._weight(all_pairs)]
        columns = torch.zeros((len(index), row.layout.width), dtype=torch.int64)
        shares = torch.zeros((len(index), row.layout.width), dtype=torch.float64)
        columns[:, row.layout.columns] = source.columns[index.clamp(min=0)]
        shares[:, row.layout.columns] = torch.where(index < 0, 0, weights)
        return [len(index), self._index(columns), self._weight(shares)]

    def _index(self, table: Tensor) -> int:
        """Put a table into the pool of integers; where it begins."""
        self._indices.append(table.reshape(-1))
        return sum(len(part) for part in self._indices[:-1])

    def _weight(self, table: Tensor) -> int:
        """Put a table into the pool of weights; where it begins."""
        self._weights.append(table.reshape(-1))
        return sum(len(part) for part in self._weights[:-1])

    def _columns_of(self, layout: Layout) -> int:
        """Where the columns of a layout are listed, each layout once."""
        if layout not in self._columns:
            self._columns[layout] = self._index(layout.columns)
        return self._columns[layout]


def _filled(table: Tensor, value: float) -> Tensor:
    """A table with further terms, up to whole groups."""
    return torch.cat([table, table.new_full((-len(table) % _GROUP, *table.shape[1:]), value)])
