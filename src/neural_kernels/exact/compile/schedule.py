"""When rows are computed: the stages they belong to, and the order of all positions of all stages.

A position of a stage is computed just before a later stage reads it. So of a matrix between two stages only the rows
that are still to be read are ever held, a band of the image's height; a matrix is a ring of so many rows.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from neural_kernels.engine.positions import program as s
from neural_kernels.exact.compile.layout import Layout
from neural_kernels.exact.compile.lower import CONSTANT, Row
from neural_kernels.exact.expressions.pairs import PerUnit


@dataclass(eq=False)
class Stage:
    """Rows of one layout that can be computed together, position by position.

    Parameters
    ----------
    layout : Layout
    rows : list of Row
        Operands first.
    vectors : list of Sides
        All that they read of single examples.
    first_vector : dict
        Of each row.
    """

    layout: Layout
    rows: list[Row] = field(default_factory=list)
    vectors: list[PerUnit] = field(default_factory=list)
    first_vector: dict[Row, int] = field(default_factory=dict)

    def add(self, row: Row) -> None:
        """Append a row."""
        self.rows.append(row)
        self.first_vector[row] = len(self.vectors)
        self.vectors += row.vectors


def stages_of(outputs: Sequence[Row]) -> list[Stage]:
    """Rows by the number of maps below them and by layout, in an order in which they can be computed."""
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
    """The order of computation, and what it makes of the rows' lives.

    Parameters
    ----------
    stages : sequence of Stage
    outputs : sequence of Row
        Kept to the end.

    Attributes
    ----------
    steps : int64 Tensor, shape (n, 2)
        Stage and position, one after the other.
    """

    def __init__(self, stages: Sequence[Stage], outputs: Sequence[Row]) -> None:
        self._stages, self._outputs = stages, outputs
        self._home = {row: k for k, stage in enumerate(stages) for row in stage.rows}
        self._readers: dict[Row, list[tuple[int, Tensor]]] = defaultdict(list)
        for k, stage in enumerate(stages):
            for row in stage.rows:
                for operand in set(row.operands):
                    if self._home.get(operand, k) != k:
                        self._readers[operand].append((k, self._taken(row, operand)))
        self.steps = torch.tensor(self._order(), dtype=torch.int64)
        self._times = [self._times_of(k) for k in range(len(stages))]

    def _taken(self, row: Row, operand: Row) -> Tensor:
        """The positions of an operand that every position of a row reads; shape (terms, after), -1 for none."""
        if row.sums_positions:
            assert row.table is not None
            return row.table.index
        if operand.code == s.TOTAL:
            return torch.full((1, row.layout.rows), self._height(operand) - 1)
        return torch.arange(row.layout.rows)[None]

    def _height(self, row: Row) -> int:
        return self._stages[self._home[row]].layout.rows

    def _order(self) -> list[tuple[int, int]]:
        """Every position when it is wanted: what it reads first."""
        needs: list[dict[int, Tensor]] = [{} for _ in self._stages]
        for operand, readers in self._readers.items():
            source = self._home[operand]
            for reader, taken in readers:
                last = taken.amax(0)
                needs[reader][source] = torch.maximum(needs[reader].get(source, last), last)
        wanted = [[(source, last.tolist()) for source, last in need.items()] for need in needs]
        done, steps = [0] * len(self._stages), []

        def compute(stage: int, last: int) -> None:
            while done[stage] <= last:
                for source, rows in wanted[stage]:
                    compute(source, rows[done[stage]])
                steps.append((stage, done[stage]))
                done[stage] += 1

        for row in self._outputs:
            compute(self._home[row], self._height(row) - 1)
        return steps

    def _times_of(self, stage: int) -> Tensor:
        """The step of every position; those nobody reads come never."""
        times = torch.full((self._stages[stage].layout.rows,), len(self.steps))
        when = (self.steps[:, 0] == stage).nonzero()[:, 0]
        times[self.steps[when, 1]] = when
        return times

    def outlives(self, row: Row) -> bool:
        """Whether other stages read it, or it is a result."""
        return row in self._outputs or row in self._readers

    def life(self, row: Row) -> tuple[int, int]:
        """The steps when its first position is computed and its last is read."""
        return int(self._times[self._home[row]][0]), int(self._last_read(row).amax())

    def height(self, row: Row) -> int:
        """How many positions are held at a time."""
        if row.code == s.TOTAL:
            return 1
        written = self._times[self._home[row]]
        free = torch.searchsorted(written, self._last_read(row), right=True)
        return max(1, int((free - torch.arange(len(written))).amax()))

    def _last_read(self, row: Row) -> Tensor:
        """The step when every position is read last."""
        rows = self._height(row)
        if row in self._outputs:
            return torch.full((rows,), len(self.steps))
        last = torch.full((rows,), -1)
        for reader, taken in self._readers[row]:
            present = taken >= 0
            times = self._times[reader].expand_as(taken)
            last.scatter_reduce_(0, taken[present], times[present], "amax")
        return last
