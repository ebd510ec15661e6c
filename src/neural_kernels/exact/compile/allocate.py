"""Where rows lie: in registers, or in matrices that later stages read."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from neural_kernels.engine.positions import program as s
from neural_kernels.exact.compile.layout import Layout
from neural_kernels.exact.compile.lower import CONSTANT, SECOND, Row
from neural_kernels.exact.compile.schedule import Schedule, Stage

Address = tuple[int, int, int]


@dataclass(eq=False)
class _Ring:
    """Memory of matrices with one layout, one after the other."""

    layout: Layout
    length: int
    height: int = 0
    busy: int = -1  # until this step


class Allocation:
    """A place (start, stride, height) for every row: its position p lies at start + (p % height) * stride.

    Parameters
    ----------
    stages : sequence of Stage
    outputs : sequence of Row
        Kept to the end.
    every : bool
        Whether columns are positions; else they are examples.
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
        self._make_matrices(rows)
        self._pool: list[Address] = []
        for stage in stages:
            self._make_registers(stage, widest)

    def address(self, row: Row) -> Address:
        """Start of the first row, distance to the next, and their number; a register has one."""
        return self._addresses[row]

    def _register(self, width: int) -> Address:
        self.size += width
        return self.size - width, 0, 1

    def _make_constants(self, widest: int) -> None:
        for row in list(self._users):
            if row.code == CONSTANT:
                self._addresses[row] = self._register(widest)
                self.constants.append((self._addresses[row][0], widest, row.numbers[0]))

    def _make_matrices(self, rows: Sequence[Row]) -> None:
        lives = {row: self.schedule.life(row) for row in rows if self.schedule.outlives(row)}
        rings: list[_Ring] = []
        homes: dict[Row, _Ring] = {}
        for row, (first, last) in sorted(lives.items(), key=lambda item: item[1]):
            ring = next((ring for ring in rings if ring.layout == row.layout and ring.busy < first), None)
            if ring is None:
                width = row.layout.width if self._all_pairs else s.STRIP
                ring = _Ring(row.layout, width + 2 * row.layout.margin)
                rings.append(ring)
            ring.height, ring.busy = max(ring.height, self.schedule.height(row)), last
            homes[row] = ring
        starts = {}
        for ring in rings:
            starts[ring] = self.size + ring.layout.margin
            self.size += ring.height * ring.length
        self._addresses |= {row: (starts[ring], ring.length, ring.height) for row, ring in homes.items()}

    def _make_registers(self, stage: Stage, widest: int) -> None:
        free = list(self._pool)
        position = {row: k for k, row in enumerate(stage.rows)}
        for k, row in enumerate(stage.rows):
            for mine in [row] if row.second is None or row.second not in position else [row, row.second]:
                if mine not in self._addresses:
                    if not free:
                        self._pool.append(self._register(widest))
                        free.append(self._pool[-1])
                    self._addresses[mine] = free.pop()
            for operand in set(row.operands) | {row}:
                users = [position[user] for user in self._users[operand] if user in position]
                if self._addresses[operand] in self._pool and max(users, default=k) <= k and row.code != SECOND:
                    free.append(self._addresses[operand])
        for row in stage.rows:
            assert row in self._addresses
