"""Lowering: rows mean what the expressions mean, are made once, and what the engine lacks is refused."""

from __future__ import annotations

import pytest
import torch

import neural_kernels as nk
from compiler_models import DENSE, FLAT, GAP, POOLED, RELU, conv, expressions, interpret, lowered, sequences
from neural_kernels.engine import codes as c
from neural_kernels.engine.positions import program as s
from neural_kernels.exact.compile.lower import Lowering, UnsupportedError
from neural_kernels.exact.compile.rows import SECOND, Row
from neural_kernels.exact.expressions.pairs import BlockPairs


def rows_of(outputs: list[Row]) -> list[Row]:
    """All rows, operands first."""
    found: dict[Row, None] = {}

    def visit(row: Row) -> None:
        for operand in row.operands:
            visit(operand)
        found.setdefault(row)

    for output in outputs:
        visit(output)
    return list(found)


@pytest.mark.parametrize("positions", [(5,), (4, 4)])
@pytest.mark.parametrize("name", POOLED)
def test_rows_mean_the_expression(name: str, positions: tuple[int, ...]) -> None:
    x, z = sequences(2, *positions), sequences(3, *positions, seed=1)
    kernels = expressions(nk.Sequential(*POOLED[name]), x, z)
    outputs = lowered(kernels, True)
    for kernel, output in zip(kernels, outputs, strict=True):
        expected = kernel.entries(BlockPairs(slice(None), slice(None)), True)
        ours = torch.stack([torch.stack([interpret(output, i, j).squeeze() for j in range(3)]) for i in range(2)])
        torch.testing.assert_close(ours, expected, rtol=1e-9, atol=1e-12)


def test_the_rows_of_one_convolution() -> None:
    """The whole chain from the data to the pooled NNGP kernel, operation by operation."""
    (nngp, _) = expressions(nk.Sequential(*POOLED["one layer"]), sequences(1, 5))
    codes = [row.code for row in rows_of(lowered([nngp], True))]
    assert codes == [s.GAP, s.EXCESS, s.LOAD, s.WINDOW, c.ARC, s.ENTRIES, s.POOL, s.WEIGHTED, c.BLEND]


def test_value_and_slope_are_one_operation() -> None:
    outputs = lowered(expressions(nk.Sequential(*POOLED["one layer"]), sequences(1, 5)), True)
    rows = rows_of(outputs)
    arcs = [row for row in rows if row.code == c.ARC]
    assert len(arcs) == 1
    assert [row for row in rows if row.code == SECOND] == [arcs[0].second]


def test_both_kernels_share_their_rows() -> None:
    kernels = expressions(nk.Sequential(*POOLED["two layers"]), sequences(1, 5))
    together = len(rows_of(lowered(kernels, True)))
    apart = sum(len(rows_of(lowered([kernel], True))) for kernel in kernels)
    assert together < apart
    assert sum(row.code == s.GAP for row in rows_of(lowered(kernels, True))) == 1


def test_shifted_sums_read_clean_gaps() -> None:
    """A shift takes its padding from the gaps between positions."""
    for name in POOLED:
        for row in rows_of(lowered(expressions(nk.Sequential(*POOLED[name]), sequences(1, 4, 4)), True)):
            if row.shifts is not None and row.sums_positions:
                assert not row.operands[0].gaps_nonzero, name


def test_equal_positions_need_no_shifts() -> None:
    for name in FLAT:
        for row in rows_of(lowered(expressions(nk.Sequential(*FLAT[name]), sequences(1, 4)), False)):
            assert row.shifts is None
            assert row.code not in (s.GATHER, s.WEIGHTED, s.POOL)


@pytest.mark.parametrize(
    "layers",
    [(nk.Conv(1), nk.Attention(), RELU, GAP, DENSE), (nk.LocalConv(3), RELU, GAP, DENSE)],
    ids=["maps of each example", "decorrelated"],
)
def test_what_the_engine_lacks_is_refused(layers: tuple[nk.Layer, ...]) -> None:
    kernels = expressions(nk.Sequential(*layers), sequences(2, 4))
    with pytest.raises(UnsupportedError):
        lowered(kernels, True)


def test_mixing_needs_all_pairs() -> None:
    kernels = expressions(nk.Sequential(conv(), RELU, GAP, DENSE), sequences(2, 4))
    with pytest.raises(UnsupportedError):
        Lowering(kernels, False, torch.float64).output(kernels[0])
