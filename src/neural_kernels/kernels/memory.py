"""The stages that rows are computed in, and the memory of the rows: registers, or matrices that later stages read."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field

import torch

from neural_kernels.engine import staged as s
from neural_kernels.kernels.layouts import Layout
from neural_kernels.kernels.pairs import Sides
from neural_kernels.kernels.staging import CONSTANT, SECOND, Row

Place = tuple[int, int]


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
    vectors: list[Sides] = field(default_factory=list)
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
        level[row] = max((level[operand] for operand in row.operands), default=0) + row.loads
        for operand in row.operands:
            users[operand].append(row)
    for row in rows:
        if not row.operands:  # computed where it is wanted first
            level[row] = min(level[user] - user.loads for user in users[row])
    stages: dict[tuple[int, Layout], Stage] = {}
    for row in rows:
        layout = row.operands[0].layout if row.code == s.POOL else row.layout
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


@dataclass(eq=False)
class _Slot:
    """Memory of matrices with one layout, one after the other; counted in rows from that of the first."""

    layout: Layout
    length: int
    lowest: int = 0
    highest: int = 0
    start: int = 0

    def hold(self, base: int, height: int) -> None:
        """Make room."""
        self.lowest, self.highest = min(self.lowest, base), max(self.highest, base + height)

    @property
    def size(self) -> int:
        """Numbers."""
        return (self.highest - self.lowest) * self.length

    def place(self, base: int) -> Place:
        """Of a matrix."""
        return self.start + (base - self.lowest) * self.length + self.layout.margin, self.length


class Memory:
    """A place (start, stride) for every row.

    Parameters
    ----------
    stages : sequence of Stage
    outputs : sequence of Row
        Kept to the end.
    every : bool
        Whether columns are positions; else they are examples.
    """

    def __init__(self, stages: Sequence[Stage], outputs: Sequence[Row], every: bool) -> None:
        self._stages, self._outputs, self._every = stages, outputs, every
        self._index = {row: k for k, stage in enumerate(stages) for row in stage.rows}
        self._users: dict[Row, list[Row]] = defaultdict(list)
        for row in self._index:
            for operand in row.operands:
                self._users[operand].append(row)
        self.constants: list[tuple[int, int, float]] = []
        layouts = {row.layout for row in self._index}
        widest = max(max(layout.width for layout in layouts), s.STRIP)
        margin = max(layout.margin for layout in layouts)
        self.zeros = margin
        self.size = 2 * margin + widest
        self.spare = [self._register(widest), self._register(widest)]
        self._places: dict[Row, Place] = {}
        self._make_constants(widest)
        self._make_matrices()
        for stage in stages:
            self._make_registers(stage, widest)

    def place(self, row: Row) -> Place:
        """Start of the first row and distance to the next; 0 for a register."""
        return self._places[row]

    def _register(self, width: int) -> Place:
        self.size += width
        return self.size - width, 0

    def _make_constants(self, widest: int) -> None:
        operands = {operand for row in self._index for operand in row.operands}
        for row in (operand for operand in operands if operand.code == CONSTANT):
            self._places[row] = self._register(widest)
            self.constants.append((self._places[row][0], widest, row.numbers[0]))

    def _last(self, row: Row) -> int:
        """The last stage that reads it."""
        return len(self._stages) if row in self._outputs else max(self._index[user] for user in self._users[row])

    def _outlives(self, row: Row) -> bool:
        """Whether later stages read it."""
        return row in self._outputs or any(self._index[user] != self._index[row] for user in self._users[row])

    def _make_matrices(self) -> None:
        held: dict[Row, tuple[_Slot, int]] = {}
        slots: list[_Slot] = []
        free: list[_Slot] = []
        for k, stage in enumerate(self._stages):
            dying = [row for row in held if self._last(row) == k]
            for row in stage.rows:
                if not self._outlives(row):
                    continue
                old = next((old for old in dying if old.layout == row.layout), None)
                slot, base = next((slot for slot in free if slot.layout == row.layout), None), 0
                if old is not None:
                    dying.remove(old)
                    slot, base = held[old][0], held[old][1] - self._distance(old, k)
                elif slot is not None:
                    free.remove(slot)
                else:
                    slot = _Slot(row.layout, row.layout.length if self._every else s.STRIP + 2 * row.layout.margin)
                    slots.append(slot)
                slot.hold(base, stage.layout.rows)
                held[row] = slot, base
            free += [held[row][0] for row in dying]
        for slot in slots:
            slot.start = self.size
            self.size += slot.size
        for row, (slot, base) in held.items():
            self._places[row] = slot.place(base)

    def _distance(self, old: Row, stage: int) -> int:
        """How far before its own place a row can be written in a dying matrix: what it overwrites was read for good."""
        distance = 1
        for user in self._users[old]:
            if self._index[user] == stage and user.table is not None:
                index = user.table.index
                first = torch.where(index < 0, index.shape[1] + int(index.amax()), index).amin(0)
                needed = first.flip(0).cummin(0).values.flip(0)
                distance = max(distance, int((torch.arange(len(needed)) - needed).amax()) + 1)
        return distance

    def _make_registers(self, stage: Stage, widest: int) -> None:
        pool = self.__dict__.setdefault("_pool", [])
        free = list(pool)
        position = {row: k for k, row in enumerate(stage.rows)}
        for k, row in enumerate(stage.rows):
            for mine in [row] if row.second is None or row.second not in position else [row, row.second]:
                if mine not in self._places:
                    if not free:
                        pool.append(self._register(widest))
                        free.append(pool[-1])
                    self._places[mine] = free.pop()
            for operand in set(row.operands) | {row}:
                users = [position[user] for user in self._users[operand] if user in position]
                if self._places[operand] in pool and max(users, default=k) <= k and row.code != SECOND:
                    free.append(self._places[operand])
        for row in stage.rows:
            assert row in self._places
