"""Scheduling: in which order rows are computed.

In come the rows of all outputs, out go stages and steps. A stage holds rows of one layout that need no other position
of each other, so that they are computed together, position by position, while their operands are in the first cache.
A step is one position of one stage.

The order is by demand: a position of a stage is computed just before a later stage reads it. So a convolution of an
image, which reads three lines of pixels, starts when three lines are there, and of a matrix between two stages only the
rows that are still to be read are ever held, a few lines of pixels: the working memory stays in the caches, where all
1024 rows of a 32 x 32 image, 1024 columns each, would not. A matrix is a ring of so many rows.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from neural_kernels.engine.positions import program as s
from neural_kernels.exact.compile.layout import Layout
from neural_kernels.exact.compile.rows import CONSTANT, Row
from neural_kernels.exact.expressions.pairs import PerUnit


@dataclass(eq=False)
class Stage:
    """Rows of one layout that are computed together, position by position.

    Parameters
    ----------
    layout : Layout
        Of the rows that are read: how many positions the stage has, and the columns of its operations. Rows that end
        positions (POOL, TOTAL) belong to the stage of what they read.
    rows : list of Row
        In the order of computation, operands first.
    vectors : list of PerUnit
        The vectors of all rows, one after the other, as the engine reads them.
    first_vector : dict
        For each row, which of `vectors` is the first of its own.
    """

    layout: Layout
    rows: list[Row] = field(default_factory=list)
    vectors: list[PerUnit] = field(default_factory=list)
    first_vector: dict[Row, int] = field(default_factory=dict)

    def add(self, row: Row) -> None:
        """Append a row, whose operands are there."""
        self.rows.append(row)
        self.first_vector[row] = len(self.vectors)
        self.vectors += row.vectors


def stages_of(outputs: Sequence[Row]) -> list[Stage]:
    """Rows by the number of maps below them and by layout, in an order in which they can be computed.

    Constants belong to no stage: they are written once, not for every position.
    """
    rows, users = _all_rows(outputs), defaultdict(list)
    level: dict[Row, int] = {}
    for row in rows:
        level[row] = max((level[operand] for operand in row.operands), default=0) + row.sums_positions
        for operand in row.operands:
            users[operand].append(row)
    for row in rows:
        if not row.operands:  # computed where it is wanted first
            level[row] = min(level[user] - user.sums_positions for user in users[row])
    stages: dict[tuple[int, Layout], Stage] = {}
    for row in rows:
        layout = row.operands[0].layout if row.code in (s.POOL, s.TOTAL) else row.layout
        if row.code != CONSTANT:
            stages.setdefault((level[row], layout), Stage(layout)).add(row)
    return [stages[key] for key in sorted(stages, key=lambda key: key[0])]


def _all_rows(outputs: Sequence[Row]) -> list[Row]:
    """Everything the outputs need, in the order of creation, in which operands come first."""
    found, todo = set(), list(outputs)
    while todo:
        row = todo.pop()
        if row not in found:
            found.add(row)
            todo += row.operands
    return sorted(found, key=lambda row: row.order)


class Schedule:
    """The order of computation, and from when to when every row is needed.

    Parameters
    ----------
    stages : sequence of Stage
        In an order in which they can be computed.
    outputs : sequence of Row
        Needed to the end.

    Attributes
    ----------
    steps : int64 Tensor, shape (n, 2)
        Stage and position, one after the other. A step is known by its number. Positions that nobody reads have none.
    """

    def __init__(self, stages: Sequence[Stage], outputs: Sequence[Row]) -> None:
        self._stages, self._outputs = stages, outputs
        self._stage_of = {row: k for k, stage in enumerate(stages) for row in stage.rows}
        # for every row that another stage reads: which stage, and the positions that each of its own reads
        self._readers: dict[Row, list[tuple[int, Tensor]]] = defaultdict(list)
        for k, stage in enumerate(stages):
            for row in stage.rows:
                for operand in set(row.operands):
                    if self._stage_of.get(operand, k) != k:
                        self._readers[operand].append((k, self._positions_read(row, operand)))
        self.steps = torch.tensor(self._order(), dtype=torch.int64)
        self._times = [self._times_of(k) for k in range(len(stages))]

    def crosses_stages(self, row: Row) -> bool:
        """Whether other stages read it, or it is a result, so that a register is not enough."""
        return row in self._outputs or row in self._readers

    def lifetime(self, row: Row) -> tuple[int, int]:
        """The steps when its first position is computed and its last is read."""
        return int(self._times[self._stage_of[row]][0]), int(self._last_read(row).amax())

    def height(self, row: Row) -> int:
        """How many of its positions are held at a time, at least: the rows of its ring.

        Position p goes to row p modulo the height. So before p is written, p - height must have been read for the last
        time.
        """
        if row.code == s.TOTAL:
            return 1
        written = self._times[self._stage_of[row]]
        free = torch.searchsorted(written, self._last_read(row), right=True)
        return max(1, int((free - torch.arange(len(written))).amax()))

    def _positions_read(self, row: Row, operand: Row) -> Tensor:
        """The positions of an operand that every position of a row reads; shape (terms, after), -1 for none."""
        if row.sums_positions:
            assert row.table is not None
            return row.table.index
        if operand.code == s.TOTAL:
            return torch.full((1, row.layout.rows), self._rows(operand) - 1)
        return torch.arange(row.layout.rows)[None]

    def _rows(self, row: Row) -> int:
        return self._stages[self._stage_of[row]].layout.rows

    def _order(self) -> list[tuple[int, int]]:
        """Every position just before it is read: depth first from the outputs, the positions of a stage in turn."""
        wanted = self._wanted()
        done, steps = [0] * len(self._stages), []

        def compute(stage: int, last: int) -> None:
            while done[stage] <= last:
                for source, positions in wanted[stage]:
                    compute(source, positions[done[stage]])
                steps.append((stage, done[stage]))
                done[stage] += 1

        for row in self._outputs:
            compute(self._stage_of[row], self._rows(row) - 1)
        return steps

    def _wanted(self) -> list[list[tuple[int, list[int]]]]:
        """For every stage, the stages that it reads, and up to which position each of its own needs them."""
        needs: list[dict[int, Tensor]] = [{} for _ in self._stages]
        for operand, readers in self._readers.items():
            source = self._stage_of[operand]
            for reader, read in readers:
                last = read.amax(0)
                needs[reader][source] = torch.maximum(needs[reader].get(source, last), last)
        return [[(source, last.tolist()) for source, last in need.items()] for need in needs]

    def _times_of(self, stage: int) -> Tensor:
        """The step of every position of a stage; the number of steps for those that have none."""
        times = torch.full((self._stages[stage].layout.rows,), len(self.steps))
        when = (self.steps[:, 0] == stage).nonzero()[:, 0]
        times[self.steps[when, 1]] = when
        return times

    def _last_read(self, row: Row) -> Tensor:
        """The step when every position is read for the last time, -1 for those that nobody reads."""
        rows = self._rows(row)
        if row in self._outputs:
            return torch.full((rows,), len(self.steps))
        last = torch.full((rows,), -1)
        for reader, read in self._readers[row]:
            present = read >= 0
            times = self._times[reader].expand_as(read)
            last.scatter_reduce_(0, read[present], times[present], "amax")
        return last
