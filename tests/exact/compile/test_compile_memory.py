"""Schedule and allocation: what is read was written, and nothing is overwritten before it was read."""

from __future__ import annotations

import pytest
import torch

import neural_kernels as nk
from compiler_models import FLAT, POOLED, expressions, lowered, sequences, simulate
from neural_kernels.exact.compile.allocate import Allocation
from neural_kernels.exact.compile.rows import Row
from neural_kernels.exact.compile.schedule import Schedule, Stage, stages_of

CASES = [("pooled", name) for name in POOLED] + [("flat", name) for name in FLAT]


def compiled(kind: str, name: str, positions: tuple[int, ...]) -> tuple[list[Stage], list[Row], bool]:
    all_pairs = kind == "pooled"
    layers = POOLED[name] if all_pairs else FLAT[name]
    outputs = lowered(expressions(nk.Sequential(*layers), sequences(2, *positions)), all_pairs)
    return stages_of(outputs), outputs, all_pairs


@pytest.mark.parametrize("positions", [(7,), (4, 5)])
@pytest.mark.parametrize(("kind", "name"), CASES)
def test_programs_run_in_their_memory(kind: str, name: str, positions: tuple[int, ...]) -> None:
    stages, outputs, all_pairs = compiled(kind, name, positions)
    simulate(stages, outputs, Allocation(stages, outputs, all_pairs), all_pairs)


@pytest.mark.parametrize(("kind", "name"), CASES)
def test_stages_hold_every_row_once_operands_first(kind: str, name: str) -> None:
    stages, outputs, _ = compiled(kind, name, (7,))
    place = {row: (k, stage.rows.index(row)) for k, stage in enumerate(stages) for row in stage.rows}
    assert len(place) == sum(len(stage.rows) for stage in stages)
    assert all(output in place for output in outputs)
    for row in place:
        for operand in row.operands:
            if operand in place:
                assert place[operand] < place[row]
                if row.sums_positions:
                    assert place[operand][0] < place[row][0]  # in an earlier stage: other positions are read
    for stage in stages:
        assert len(stage.vectors) == sum(len(row.vectors) for row in stage.rows)
        for row in stage.rows:
            first = stage.first_vector[row]
            assert all(a is b for a, b in zip(stage.vectors[first:], row.vectors, strict=False))


@pytest.mark.parametrize(("kind", "name"), CASES)
def test_steps_are_positions_in_turn(kind: str, name: str) -> None:
    """No position twice, and those of a stage in order, so that a ring is written line after line."""
    stages, outputs, _ = compiled(kind, name, (4, 5))
    steps = Schedule(stages, outputs).steps
    for k, stage in enumerate(stages):
        positions = steps[steps[:, 0] == k][:, 1].tolist()
        assert positions == list(range(len(positions)))
        assert len(positions) <= stage.layout.rows


def test_a_convolution_holds_as_many_lines_as_its_window() -> None:
    """Of an image of 12 lines of 4 pixels, three lines and a pixel at a time, not 48 positions."""
    stages, outputs, _ = compiled("pooled", "two layers", (12, 4))
    schedule = Schedule(stages, outputs)
    heights = [
        schedule.height(row.operands[0])
        for stage in stages
        for row in stage.rows
        if row.sums_positions and row.shifts is not None
    ]
    assert heights
    assert all(2 * 4 < height <= 3 * 4 for height in heights)


def test_rings_are_used_again() -> None:
    """Memory does not grow with the depth, as rings of layers that are done are free."""

    def size(depth: int) -> int:
        outputs = lowered(expressions(nk.cnn(depth), sequences(1, 9)), True)
        return Allocation(stages_of(outputs), outputs, True).size

    def flat(depth: int) -> int:
        net = nk.Sequential(*[nk.Conv(1), nk.ReLU()] * depth, nk.Flatten(), nk.Dense())
        outputs = lowered(expressions(net, sequences(1, 9)), False)
        return Allocation(stages_of(outputs), outputs, False).size

    assert size(8) - size(4) <= 2 * (size(4) - size(2))  # linear at most: a few lines for each layer
    assert flat(8) < 2 * flat(4)


@pytest.mark.parametrize(
    ("fault", "message"), [("ring", "is not there"), ("order", "is not there"), ("register", "is not there|while read")]
)
def test_faults_are_seen(fault: str, message: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The simulation above would miss nothing of this kind: rings too low, reads too early, registers shared."""
    stages, outputs, all_pairs = compiled("pooled", "two layers", (4, 5))
    if fault == "ring":
        height = Schedule.height
        monkeypatch.setattr(Schedule, "height", lambda self, row: max(1, height(self, row) - 1))
    elif fault == "order":
        read = Schedule._positions_read
        monkeypatch.setattr(Schedule, "_positions_read", lambda self, *rows: (read(self, *rows) - 1).clamp(min=0))
    allocation = Allocation(stages, outputs, all_pairs)
    if fault == "register":
        shared = next(address for address in allocation._addresses.values() if address in allocation._pool)
        for row, address in allocation._addresses.items():
            if address in allocation._pool:
                allocation._addresses[row] = shared
    with pytest.raises(AssertionError, match=message):
        simulate(stages, outputs, allocation, all_pairs)


def test_constants_and_zeros_lie_apart() -> None:
    stages, outputs, _ = compiled("pooled", "two layers", (4, 5))
    allocation = Allocation(stages, outputs, True)
    assert allocation.constants  # the bias
    taken = torch.zeros(allocation.size, dtype=torch.int64)
    for start, length, _value in allocation.constants:
        taken[start : start + length] += 1
    for spare in allocation.spare:
        taken[spare.start : spare.start + 1] += 1
    taken[: 2 * allocation.zeros] += 1
    assert int(taken.amax()) == 1
