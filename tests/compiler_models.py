"""Models of what the compiler's passes promise: rows by plain formulas, and programs in a memory that knows its owners.

They share nothing with the engine: a wrong lowering shows in `interpret`, a wrong order or address in `simulate`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import torch
from torch import Tensor

import neural_kernels as nk
from neural_kernels.algebra import Nothing
from neural_kernels.engine import codes as c
from neural_kernels.engine.inputs import DenseRows
from neural_kernels.engine.positions import program as s
from neural_kernels.exact.compile.allocate import Allocation
from neural_kernels.exact.compile.lower import Lowering
from neural_kernels.exact.compile.rows import CONSTANT, SECOND, Row
from neural_kernels.exact.compile.schedule import Stage
from neural_kernels.exact.expressions.nodes import Expression
from neural_kernels.exact.gram import propagate
from neural_kernels.exact.variances import plain_variances

RELU, GAP, DENSE = nk.ReLU(), nk.GlobalAvgPool(), nk.Dense()


def conv(size: int = 3, **options: object) -> nk.Conv:
    return nk.Conv(size, **{"weight_var": 2.0, **options})


# On sequences or images; those that pool need all pairs of positions.
POOLED = {
    "one layer": (conv(), RELU, GAP, DENSE),
    "two layers": (conv(bias_var=0.1), RELU, conv(), RELU, GAP, DENSE),
    "valid": (conv(padding="valid"), RELU, conv(2, padding="valid"), RELU, GAP, DENSE),
    "circular": (conv(padding="circular"), RELU, conv(), RELU, GAP, DENSE),
    "strided residual": (conv(), nk.Residual(nk.Sequential(RELU, conv(stride=2)), conv(1, stride=2)), RELU, GAP, DENSE),
    "pools": (conv(), RELU, nk.AvgPool(2), conv(), RELU, GAP, DENSE),
    "smooth": (conv(), nk.GELU(), conv(), nk.GELU(), GAP, DENSE),
    "smooth before a cusp": (conv(), nk.Erf(), conv(), RELU, GAP, DENSE),
    "linear": (conv(), conv(), RELU, conv(), conv(), GAP, DENSE),
    "product": (nk.Product(conv(), nk.Sequential(conv(), nk.Erf())), conv(), RELU, GAP, DENSE),
    "normalised": (conv(bias_var=0.1), nk.LayerNorm(), RELU, nk.Dropout(0.3), conv(), RELU, GAP, DENSE),
}
FLAT = {
    "one layer": (conv(), RELU, nk.Flatten(), DENSE),
    "two layers": (conv(bias_var=0.1), RELU, conv(), RELU, nk.Flatten(), nk.Dense(1.0, 0.1)),
    "read by a dense layer": (conv(), RELU, nk.Flatten(), nk.Dense(2.0, 0.1), RELU, DENSE),
    "strided": (conv(stride=2), RELU, conv(padding="circular"), nk.GELU(), nk.Flatten(), DENSE),
    "residual": (conv(), nk.Residual(nk.Sequential(RELU, conv())), RELU, nk.Flatten(), DENSE),
}


def sequences(n: int, *positions: int, seed: int = 0) -> DenseRows:
    """Random examples with two channels."""
    generator = torch.Generator().manual_seed(seed)
    return DenseRows.of(torch.rand(n, *positions, 2, dtype=torch.float64, generator=generator))


def expressions(net: nk.Layer, *sides: DenseRows) -> list[Expression]:
    """NNGP kernel and NTK, with variances by the torch formulas."""
    pair = propagate(net, sides, variances=plain_variances)
    assert not isinstance(pair.ntk, Nothing)
    return [pair.nngp.expression, pair.ntk.expression]


def lowered(kernels: Sequence[Expression], all_pairs: bool) -> list[Row]:
    """The rows of the outputs in float64."""
    lowering = Lowering(kernels, all_pairs, torch.float64)
    return [lowering.output(kernel) for kernel in kernels]


def interpret(row: Row, i: int, j: int, known: dict[Row, Tensor] | None = None) -> Tensor:
    """What a row holds for the examples i and j of two sides, for all pairs of positions, shape (rows, rows)."""
    known = {} if known is None else known
    if row not in known:
        operands = [interpret(operand, i, j, known) for operand in row.operands]
        vectors = [(v[0][i].reshape(-1, 1).double(), v[-1][j].reshape(1, -1).double()) for v in row.vectors]
        known[row] = _apply(row, operands, vectors, (i, j))
    return known[row]


def _total(parts: Iterable[Tensor]) -> Tensor:
    return torch.stack(list(parts)).sum(0)


def _apply(row: Row, operands: list[Tensor], vectors: list[tuple[Tensor, Tensor]], pair: tuple[int, int]) -> Tensor:
    a, b = (*operands, torch.zeros(()), torch.zeros(()))[:2]
    x, y = row.numbers
    outer = vectors[0][0] * vectors[0][1] if vectors else torch.ones(())
    match row.code:
        case s.GAP:
            return _total((left - right).square() / 2 for left, right in vectors)
        case _ if row.code == CONSTANT or row.code == s.FILL:
            return torch.full((row.layout.rows, row.layout.rows), x, dtype=torch.float64)
        case s.EXCESS | s.SCALE:
            return x * outer * a
        case s.ENTRIES:
            return x * outer * (1 - a)
        case s.ADD_ENTRIES:
            return x * a + y * outer * (1 - b)
        case s.MULTIPLY_ENTRIES:
            return a * x * outer * (1 - b)
        case s.MULTIPLY:
            return a * b
        case c.BLEND:
            return x * a + y * b
        case c.SCHUR:
            return 1 - (1 - a) * (1 - b)
        case c.MIX:
            (w, w_), (v, v_) = vectors
            return 1 - w * w_ * (1 - a) - v * v_ * (1 - b)
        case c.ARC:
            angle = torch.arccos((1 - a).clamp(-1, 1))
            return a - x * (angle.sin() - angle * angle.cos()) / torch.pi
        case _ if row.code == SECOND:
            argument = interpret(row.operands[0].operands[0], *pair)
            return row.operands[0].numbers[0] * torch.arccos((1 - argument).clamp(-1, 1)) / torch.pi
        case c.SERIES:
            return 1 - _total(left * right * (1 - a) ** k for k, (left, right) in enumerate(vectors))
        case c.POWERS:
            degrees = [2 * k for k in range(row.counts[0])] + [2 * k + 1 for k in range(row.counts[1])]
            return 1 - _total(left * right * (1 - a) ** k for k, (left, right) in zip(degrees, vectors, strict=True))
        case _:
            return _apply_map(row, a, vectors, pair)


def _apply_map(row: Row, a: Tensor, vectors: list[tuple[Tensor, Tensor]], pair: tuple[int, int]) -> Tensor:
    if row.code == s.POOLED:
        (inverse, inverses), (loss, losses), (norm, norms) = vectors
        return (a - (loss * norms + losses * norm - loss * losses)) * inverse * inverses
    assert row.table is not None
    index, weights = row.table.index, row.table.weights
    match row.code:
        case s.LOAD | s.GATHER:
            return _total(_taken(_taken(a, term, 0), term, 1) for term in index)
        case s.POOL if weights is not None:
            return _total(_taken(a, term, 1) * w for term, w in zip(index, weights, strict=True))
        case s.WEIGHTED if weights is not None:
            return _total(_taken(a, term, 0) * w[:, None] for term, w in zip(index, weights, strict=True))
        case s.WINDOW if row.window_stds is not None:
            inverse, inverses = vectors[0]
            left, right = row.window_stds[0][pair[0]].reshape(-1), row.window_stds[-1][pair[1]].reshape(-1)
            gaps = (_taken(left, term, 0)[:, None] * inverse - _taken(right, term, 0) * inverses for term in index)
            return row.numbers[0] * a * inverse * inverses + _total(gap.square() for gap in gaps) / 2
    raise AssertionError(f"no model of operation {row.code}")


def _taken(a: Tensor, index: Tensor, dim: int) -> Tensor:
    padded = torch.cat([a, torch.zeros_like(a.narrow(dim, 0, 1))], dim)
    return padded.index_select(dim, torch.where(index < 0, a.shape[dim], index))


def simulate(stages: Sequence[Stage], outputs: Sequence[Row], allocation: Allocation, all_pairs: bool) -> None:
    """Run a program in a memory in which every number has an owner, a position of a row.

    Raises
    ------
    AssertionError
        An operation reads what was never written or is another's by now, writes where it reads, or writes zeros that
        shifted sums rely on; or a result is not there at the end.
    """
    Simulation(outputs, allocation, all_pairs).run(stages)


class Simulation:
    """Who owns which number of the working memory at the present step."""

    def __init__(self, outputs: Sequence[Row], allocation: Allocation, all_pairs: bool) -> None:
        self._outputs, self._allocation, self._all_pairs = outputs, allocation, all_pairs
        self._names: dict[Row, int] = {}
        self._owner = torch.full((allocation.size,), -1)  # of rows' positions; -1 for zeros
        self._zeros = torch.zeros(allocation.size, dtype=torch.bool)  # what shifted sums rely on
        self._zeros[: 2 * allocation.zeros] = True

    def run(self, stages: Sequence[Stage]) -> None:
        rows = [row for stage in stages for row in stage.rows]
        for row in rows:
            for operand in row.operands:
                if operand.code == CONSTANT:
                    self._write(operand, 0)
        for stage, p in self._allocation.schedule.steps.tolist():
            for row in stages[stage].rows:
                if row.code != SECOND:
                    self._operate(row, p, stages[stage].rows)
        for row in self._outputs:
            for p in range(row.layout.rows):
                self._read(row, p)

    def _operate(self, row: Row, p: int, companions: Sequence[Row]) -> None:
        reads = [self._read(operand, q) for operand in row.operands for q in self._positions(row, operand, p)]
        if row.sums_positions and row.table is not None and row.shifts is not None:
            self._rely_on_margins(row.operands[0])
        writes = [self._write(row, p)]
        if row.second is not None and row.second in companions:
            writes.append(self._write(row.second, p))
            assert writes[0] != writes[1]
        for target in writes:
            assert all(target.stop <= read.start or read.stop <= target.start for read in reads), "written while read"

    def _positions(self, row: Row, operand: Row, p: int) -> list[int]:
        if row.sums_positions:
            assert row.table is not None
            return [q for q in row.table.index[:, p].tolist() if q >= 0]
        return [0 if operand.code in (CONSTANT, s.TOTAL) else p]

    def _range(self, row: Row, p: int) -> slice:
        start, stride, height = self._allocation.address(row)
        at = start + p % height * stride
        return slice(at, at + (row.layout.width if self._all_pairs else s.STRIP))

    def _tag(self, row: Row, p: int) -> int:
        name = self._names.setdefault(row, len(self._names))
        return name * 10000 + (0 if row.code in (CONSTANT, s.TOTAL) else p)

    def _read(self, row: Row, p: int) -> slice:
        where = self._range(row, p)
        there = bool((self._owner[where] == self._tag(row, p)).all())
        assert there, f"position {p} of operation {row.code} is not there"
        return where

    def _write(self, row: Row, p: int) -> slice:
        where = self._range(row, p)
        assert not bool(self._zeros[where].any()), "zeros overwritten"
        self._owner[where] = self._tag(row, p)
        return where

    def _rely_on_margins(self, row: Row) -> None:
        start, stride, height = self._allocation.address(row)
        for k in range(height):
            begin, margin = start + k * stride, row.layout.margin
            end = begin + row.layout.width
            for where in (slice(begin - margin, begin), slice(end, end + margin)):
                assert bool((self._owner[where] == -1).all()), "margins written"
                self._zeros[where] = True
