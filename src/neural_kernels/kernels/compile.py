"""Correlation expressions to programs of the engine's row machine."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from neural_kernels.activations import HermiteSeries
from neural_kernels.activations._normal import safe_divide
from neural_kernels.activations._relu import ArcCosine
from neural_kernels.engine.operations import ARC, BLEND, CHAIN, FIELDS, GROUP, MIX, POWERS, SCHUR, SERIES, Program
from neural_kernels.kernels.correlation import Constant, Correlation, Input, Mix, Schur, Sides, Slope, Value
from neural_kernels.kernels.gram import Gram

_TOLERANCE = {
    torch.float32: 2e-7,
    torch.float64: 1e-15,
}  # of truncated series: about the rounding of the inputs' cosines
_NEGLIGIBLE = {torch.float32: 3e-8, torch.float64: 1e-18}  # share of one term


def compile_program(kernels: Sequence[Gram], dtype: torch.dtype) -> Program | None:
    """The row program of several kernels of one network, or None where an activation has no fast form."""
    order = _topological([kernel.delta for kernel in kernels])
    vectors = _Vectors(dtype)
    series = _series(order, vectors)
    if series is None:
        return None
    registers = _Registers(order, [kernel.delta for kernel in kernels])
    table, numbers = [], []
    for node in order:
        for operation, number in _encode(node, registers, vectors, series):
            table.append(operation)
            numbers.append(number)
    stds = [vectors.add(kernel.stds) for kernel in kernels]
    real = np.float32 if dtype == torch.float32 else np.float64
    left, right = vectors.stacked()
    return Program(
        table=np.array(table, np.int64).reshape(-1, FIELDS),
        numbers=np.array(numbers, real).reshape(-1, 2),
        left=left,
        right=right,
        outputs=np.array([registers.of[kernel.delta] for kernel in kernels]),
        stds=np.array(stds),
        constants={registers.of[node]: node.value for node in order if isinstance(node, Constant)},
        registers=registers.count,
    )


def _topological(outputs: Sequence[Correlation]) -> list[Correlation]:
    """All expressions that the outputs need, operands first; those of one activation side by side."""
    order: dict[Correlation, None] = {}

    def visit(node: Correlation) -> None:
        if node not in order:
            for operand in _operands(node):
                visit(operand)
            order[node] = None

    for output in outputs:
        visit(output)
    return list(order)


def _operands(node: Correlation) -> tuple[Correlation, ...]:
    """What one operation reads: ntk * slope + nngp, the commonest pair of them, is one."""
    if isinstance(node, Mix) and isinstance(node.first, Schur) and node.uniform is not None:
        return *node.first.operands, node.second
    return node.operands


def _series(order: Sequence[Correlation], vectors: _Vectors) -> dict[Value, tuple[int, ...]] | None:
    """Code, first vector and numbers of vectors of every smooth activation; None if one has no short series."""
    encoded: dict[Value, tuple[int, ...]] = {}
    known: dict[tuple[int, int], HermiteSeries | None] = {}
    sharp = _before_cusps(order)
    for node in order:
        if isinstance(node, Value) and not isinstance(node.dual, ArcCosine):
            key = id(node.dual), id(node.argument)
            if key not in known:
                known[key] = node.dual.series(torch.cat(node.stds), _TOLERANCE[vectors.dtype])
            series = known[key]
            if series is None:
                return None
            coefficients = series.slope if isinstance(node, Slope) else series.value
            unit = _unit(coefficients, vectors.dtype).split([len(s) for s in node.stds], 1)
            encoded[node] = vectors.add_series(unit) if node in sharp else vectors.add_powers(unit)
    return encoded


def _before_cusps(order: Sequence[Correlation]) -> set[Correlation]:
    """Expressions that an activation with a cusp sees: their correlations near 1 must be exact."""
    sharp: set[Correlation] = set()
    for node in reversed(order):
        if node in sharp or (isinstance(node, Value) and isinstance(node.dual, ArcCosine)):
            sharp.update(_operands(node))
    return sharp


def _unit(coefficients: Tensor, dtype: torch.dtype) -> Tensor:
    """Rows of norm 1 (or 0) as columns, one degree after the other in memory."""
    norm = torch.linalg.vector_norm(coefficients, dim=1)
    scaled = coefficients * safe_divide(torch.ones_like(norm), norm)[:, None]
    return scaled.to(dtype).T.contiguous()


def _encode(
    node: Correlation, registers: _Registers, vectors: _Vectors, series: dict[Value, tuple[int, ...]]
) -> list[tuple[list[int], list[float]]]:
    """The operations of one node: rows of the program's table, and their numbers."""
    if isinstance(node, Input | Constant):
        return []
    operands = [registers.of[operand] for operand in _operands(node)]
    if isinstance(node, Schur):
        return [([SCHUR, registers.take(node), 0, *operands, 0, 0, 0], [0.0, 0.0])]
    if isinstance(node, Mix):
        target = registers.take(node)
        if len(operands) == 3:
            return [([CHAIN, target, 0, *operands, 0, 0], list(node.uniform or ()))]
        if node.uniform is not None:
            return [([BLEND, target, 0, *operands, 0, 0, 0], list(node.uniform))]
        return [([MIX, target, 0, *operands, vectors.add(node.w, node.v), 0, 0], [0.0, 0.0])]
    assert isinstance(node, Value)
    if not isinstance(node.dual, ArcCosine):
        code, *terms = series[node]
        return [([code, registers.take(node), 0, operands[0], 0, *terms], [0.0, 0.0])]
    value, slope = registers.take_both(node)
    if value is None or slope is None:
        return []
    return [([ARC, value, slope, operands[0], 0, 0, 0, 0], [node.dual.cusp, 0.0])]


@dataclass
class _Vectors:
    """Numbers per example, stacked for both sides."""

    dtype: torch.dtype
    left: list[Tensor] = field(default_factory=list)
    right: list[Tensor] = field(default_factory=list)

    def add(self, *vectors: Sides) -> int:
        """Append vectors; the index of the first."""
        first = len(self.left)
        for sides in vectors:
            self.left.append(sides[0])
            self.right.append(sides[-1])
        return first

    def add_series(self, unit: Sequence[Tensor]) -> tuple[int, ...]:
        """Append unit coefficient vectors, shapes (degrees, n1) and (degrees, n2)."""
        first = self.add(*zip(*unit, strict=True))
        return SERIES, first, len(unit[0]), 0

    def add_powers(self, unit: Sequence[Tensor]) -> tuple[int, ...]:
        """Append them as even and odd degrees, without the ends that vanish, each filled up to whole groups."""
        size = torch.stack([side.abs().amax(1) for side in unit]).amax(0)
        first, lengths = len(self.left), []
        for parity in (0, 1):
            present = torch.nonzero(size[parity::2].square() > _NEGLIGIBLE[self.dtype])
            length = int(present[-1]) + 1 if len(present) else 0
            for degree in range(parity, parity + 2 * length, 2):
                self.add(tuple(side[degree] for side in unit))
            for _ in range(-length % GROUP):
                self.add(tuple(torch.zeros_like(side[0]) for side in unit))
            lengths.append(length + -length % GROUP)
        return POWERS, first, *lengths

    def stacked(self) -> tuple[np.ndarray, np.ndarray]:
        """Both tables, (vectors, n1) and (vectors, n2)."""
        left = torch.stack([v.to(self.dtype) for v in self.left]).numpy()
        if all(a is b for a, b in zip(self.left, self.right, strict=True)):
            return left, left
        return left, torch.stack([v.to(self.dtype) for v in self.right]).numpy()


class _Registers:
    """Which register holds which expression; one is free again after the last use of what it holds."""

    def __init__(self, order: Sequence[Correlation], outputs: Sequence[Correlation]) -> None:
        self.of: dict[Correlation, int] = {}
        self.count = 1
        self._free: list[int] = []
        self._order = order
        self._uses = {node: sum(_operands(o).count(node) for o in order) + (node in outputs) for node in order}
        self._partner: dict[tuple[int, int], list[Value]] = {}
        for node in order:
            if isinstance(node, Input):
                self.of[node] = 0
            elif isinstance(node, Constant):
                self.of[node] = self._new()
            elif isinstance(node, Value):
                self._partner.setdefault((id(node.dual), id(node.argument)), []).append(node)

    def _new(self) -> int:
        if self._free:
            return self._free.pop()
        self.count += 1
        return self.count - 1

    def take(self, node: Correlation) -> int:
        """A register for a node's result; its operands are released after that, so none is overwritten while read."""
        self.of[node] = self._new()
        for operand in _operands(node):
            self._uses[operand] -= 1
            if self._uses[operand] == 0 and not isinstance(operand, Constant):
                self._free.append(self.of[operand])
        return self.of[node]

    def take_both(self, node: Value) -> tuple[int | None, int | None]:
        """Registers for value and slope of one activation, at the first of the two; -1 for one that nobody needs."""
        if node in self.of:
            return None, None
        partners = self._partner[id(node.dual), id(node.argument)]
        taken = {isinstance(partner, Slope): self.take(partner) for partner in partners}
        return taken.get(False, -1), taken.get(True, -1)
