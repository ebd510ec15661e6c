"""Allocation: where rows lie in the working memory of a thread.

In come stages and their schedule, out goes an address for every row. Most rows are read by their own stage alone, at
the step at which they are written: they take registers, one row of memory each, and a register is free again after the
last operation of the stage that reads it. Rows that other stages read take rings, matrices of as many rows as the
schedule says that are needed at a time; a ring is used again by a row of the same layout that is computed after the
last read of the one before.

An operation never writes where it reads: its targets are taken before its operands are released.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from neural_kernels.engine.positions import program as s
from neural_kernels.exact.compile.layout import Layout
from neural_kernels.exact.compile.rows import CONSTANT, SECOND, Row
from neural_kernels.exact.compile.schedule import Schedule, Stage


class Address(NamedTuple):
    """Where a row lies: the row of position p begins at number ``start + p % height * stride``.

    A register holds one row, whatever the position: its stride is 0.
    """

    start: int
    stride: int
    height: int


@dataclass(eq=False)
class _Ring:
    """Memory for rows of one layout, one after the other in time."""

    layout: Layout
    length: int  # of one row, with its margins
    height: int = 0
    last_read: int = -1  # the step after which it is free


class Allocation:
    """An address in the working memory for every row of the stages.

    Parameters
    ----------
    stages : sequence of Stage
        In the order of computation.
    outputs : sequence of Row
        Kept to the end.
    all_pairs : bool
        Whether columns are positions; else they are examples, a strip of them at a time.

    Attributes
    ----------
    schedule : Schedule
        Of the stages.
    size : int
        Numbers of working memory. All are zero at first, and margins of rings stay so: shifted sums read them.
    zeros : int
        Where the zeros are that stand for a row that does not exist, as many as the widest row and the margins around.
    constants : list of tuple
        (start, length, value) of rows that hold one number and are written once.
    spare : list of Address
        Two registers for what an operation computes by the way.
    """

    def __init__(self, stages: Sequence[Stage], outputs: Sequence[Row], all_pairs: bool) -> None:
        self._all_pairs = all_pairs
        self.schedule = Schedule(stages, outputs)
        rows = [row for stage in stages for row in stage.rows]
        self._users: dict[Row, list[Row]] = defaultdict(list)
        for row in rows:
            for operand in row.operands:
                self._users[operand].append(row)
        self.constants: list[tuple[int, int, float]] = []
        layouts = {row.layout for row in rows}
        widest = max(max(layout.width for layout in layouts), s.STRIP)
        margin = max(layout.margin for layout in layouts)
        self.zeros = margin
        self.size = 2 * margin + widest
        self.spare = [self._register(widest), self._register(widest)]
        self._addresses: dict[Row, Address] = {}
        self._make_constants(widest)
        self._make_rings(rows)
        self._pool: list[Address] = []
        for stage in stages:
            self._make_registers(stage, widest)

    def address(self, row: Row) -> Address:
        """Where a row lies."""
        return self._addresses[row]

    def _register(self, width: int) -> Address:
        self.size += width
        return Address(self.size - width, 0, 1)

    def _make_constants(self, widest: int) -> None:
        for row in list(self._users):
            if row.code == CONSTANT:
                self._addresses[row] = self._register(widest)
                self.constants.append((self._addresses[row].start, widest, row.numbers[0]))

    def _make_rings(self, rows: Sequence[Row]) -> None:
        """Rings for all rows that cross stages: first come, first served, by the step when they are first written."""
        lives = {row: self.schedule.lifetime(row) for row in rows if self.schedule.crosses_stages(row)}
        rings: list[_Ring] = []
        ring_of: dict[Row, _Ring] = {}
        for row, (first, last) in sorted(lives.items(), key=lambda item: item[1]):
            ring = next((ring for ring in rings if ring.layout == row.layout and ring.last_read < first), None)
            if ring is None:
                width = row.layout.width if self._all_pairs else s.STRIP
                ring = _Ring(row.layout, width + 2 * row.layout.margin)
                rings.append(ring)
            ring.height, ring.last_read = max(ring.height, self.schedule.height(row)), last
            ring_of[row] = ring
        starts = {}
        for ring in rings:
            starts[ring] = self.size + ring.layout.margin
            self.size += ring.height * ring.length
        self._addresses |= {row: Address(starts[ring], ring.length, ring.height) for row, ring in ring_of.items()}

    def _make_registers(self, stage: Stage, widest: int) -> None:
        """Registers for the rows that are left, from a pool that all stages share: none lives longer than a step."""
        free = list(self._pool)
        position = {row: k for k, row in enumerate(stage.rows)}
        for k, row in enumerate(stage.rows):
            # both results of an operation before any of its operands is released
            for target in [row] if row.second is None or row.second not in position else [row, row.second]:
                if target not in self._addresses:
                    if not free:
                        self._pool.append(self._register(widest))
                        free.append(self._pool[-1])
                    self._addresses[target] = free.pop()
            for operand in set(row.operands) | {row}:
                users = [position[user] for user in self._users[operand] if user in position]
                if self._addresses[operand] in self._pool and max(users, default=k) <= k and row.code != SECOND:
                    free.append(self._addresses[operand])
        for row in stage.rows:
            assert row in self._addresses
