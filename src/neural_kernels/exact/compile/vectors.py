"""The compiler for kernels of vectors: expressions to programs of registers, in one pass.

In come kernels without positions, out goes a table of operations. A register holds one minus the correlation of one
kernel for a strip of columns, from the input's to the results', so there is no layout and nothing to
schedule: the expressions in the order in which they can be computed are the program. What is left is to find registers
and to join what is cheaper together: value and slope of an arc-cosine kernel, which share the angle, and the recursion
of every layer, ntk * slope + nngp (CHAIN).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from neural_kernels.engine.codes import ARC, BLEND, CHAIN, INPUT, KINKS, MIX, RAISED, SCHUR, TABLE, WAVES
from neural_kernels.engine.vectors.program import FIELDS, VectorProgram
from neural_kernels.exact.compile.expansions import (
    SeriesCache,
    as_powers,
    as_series,
    short_coefficients,
    unit_coefficients,
)
from neural_kernels.exact.compile.oscillations import is_wave, wave_operands
from neural_kernels.exact.compile.piecewise import is_piecewise, piecewise_operands
from neural_kernels.exact.compile.pools import Pools
from neural_kernels.exact.compile.tabulation import Tabulation
from neural_kernels.exact.expressions.duals import Activated, Slope
from neural_kernels.exact.expressions.fixed import FixedCorrelation
from neural_kernels.exact.expressions.nodes import Expression, Input, Scaled, SchurProduct, Sum
from neural_kernels.exact.expressions.pairs import PerUnit


class Traced(NamedTuple):
    """A program and what it was made of.

    Parameters
    ----------
    program : VectorProgram
    nodes : list of Expression
        Which of them each row of its table is from.
    left : list of Tensor
        The rows of its `left` as the expressions hold them.
    """

    program: VectorProgram
    nodes: list[Expression]
    left: list[Tensor]


def compile_vectors(kernels: Sequence[Expression], dtype: torch.dtype) -> VectorProgram | None:
    """The program of several kernels of one network, or None where an activation has no short series."""
    traced = trace_vectors(kernels, dtype)
    return None if traced is None else traced.program


def trace_vectors(kernels: Sequence[Expression], dtype: torch.dtype) -> Traced | None:
    """The same, with what it was made of."""
    outputs = [_unscaled(kernel) for kernel in kernels]
    order = _topological(outputs)
    if any(isinstance(node, Activated) and (is_piecewise(node.dual) or is_wave(node)) for node in order):
        dtype = torch.float64  # as truncated powers cancel, and phases do; data and results keep their own
    vectors = _Vectors(dtype)
    pools = Pools(dtype)
    smooth = _smooth(order, vectors, pools)
    if smooth is None:
        return None
    registers = _Registers(order, outputs)
    table, numbers, nodes = [], [], []
    for node in order:
        for operation, number in _encode(node, registers, vectors, smooth):
            table.append(operation)
            numbers.append(number)
            nodes.append(node)
    stds = [vectors.add(kernel.stds) for kernel in kernels]
    real = np.float32 if dtype == torch.float32 else np.float64
    left, right = vectors.stacked()
    program = VectorProgram(
        table=np.array(table, np.int64).reshape(-1, FIELDS),
        numbers=np.array(numbers, real).reshape(-1, 2),
        left=left,
        right=right,
        outputs=np.array([registers.of[output] for output in outputs]),
        stds=np.array(stds),
        constants={registers.of[node]: node.fixed_delta for node in order if isinstance(node, FixedCorrelation)},
        registers=registers.count,
        integers=pools.integers(),
        floats=pools.floats(),
    )
    return Traced(program, nodes, vectors.left)


def _topological(outputs: Sequence[Expression]) -> list[Expression]:
    """All expressions that the outputs need, operands first; those of one activation side by side."""
    order: dict[Expression, None] = {}

    def visit(node: Expression) -> None:
        if node not in order:
            for operand in _operands(node):
                visit(operand)
            order[node] = None

    for output in outputs:
        visit(output)
    return list(order)


def _operands(node: Expression) -> tuple[Expression, ...]:
    """What one operation reads: ntk * slope + nngp, the commonest pair of them, is one."""
    operands = tuple(_unscaled(operand) for operand in node.operands)
    if isinstance(node, Sum) and isinstance(operands[0], SchurProduct) and node.uniform is not None:
        return *(_unscaled(factor) for factor in operands[0].operands), operands[1]
    return operands


def _unscaled(node: Expression) -> Expression:
    """The kernel of the same correlations that a multiple is of."""
    while isinstance(node, Scaled):
        node = node.argument
    return node


def _smooth(order: Sequence[Expression], vectors: _Vectors, pools: Pools) -> dict[Activated, list[int]] | None:
    """Code and numbers of every activation without a cusp, by a short series or a table; None if one has neither.

    None, too, in float64 where all that have no short series have closed forms, of which a table would lose digits.

    The numbers are the last four of an operation: first vector and numbers of vectors of a series, or place of a table
    (or of the quadrants of polynomial pieces) and its first vector.
    """
    before = _before_cusps(order)
    encoded = _closed(order, before, vectors, pools)
    tables = Tabulation(pools)
    known: SeriesCache = {}
    smooth = [node for node in order if isinstance(node, Activated) and node.cusp is None and node not in encoded]
    units = {node: short_coefficients(node, node.argument.stds, vectors.dtype, known) for node in smooth}
    long = [node for node in smooth if units[node] is None]
    if long and vectors.dtype == torch.float64 and all(node.dual.closed_form for node in long):
        return None
    for node in smooth:
        unit = units[node]
        found = tables.add(node) if unit is None else None
        if found is not None:
            place, sides = found
            encoded[node] = [TABLE, place, vectors.add(*sides), 0, 0]
            continue
        if unit is None:
            unit = unit_coefficients(node, node.argument.stds, vectors.dtype, known)
        if unit is None:
            return None
        code, sides, counts = as_series(unit) if node in before else as_powers(unit, vectors.dtype)
        encoded[node] = [code, 0, vectors.add(*sides), *counts]
    return encoded


def _closed(
    order: Sequence[Expression], before: set[Expression], vectors: _Vectors, pools: Pools
) -> dict[Activated, list[int]]:
    """Code and numbers of powers of the positive part, of polynomial pieces with kinks off the origin, and of waves."""
    encoded: dict[Activated, list[int]] = {}
    known: dict[tuple[int, int], list[int] | None] = {}
    for node in order:
        if isinstance(node, Activated) and node.dual.arc_order is not None:
            encoded[node] = [RAISED, 0, node.dual.arc_order, 0, 0]
        elif isinstance(node, Activated) and node.cusp is None:
            key = id(node.dual), id(node.argument)
            if key not in known:
                both = [other for other in order if isinstance(other, Activated) and _same_input(other, node)]
                wave = is_wave(node) and before.isdisjoint(both)
                found = wave_operands(both, pools) if wave else piecewise_operands(node, pools)
                code = WAVES if wave else KINKS
                known[key] = None if found is None else [code, found[0], vectors.add(*found[1]), 0, 0]
            numbers = known[key]
            if numbers is not None:
                encoded[node] = numbers
    return encoded


def _same_input(node: Activated, other: Activated) -> bool:
    return node.dual is other.dual and node.argument is other.argument


def _before_cusps(order: Sequence[Expression]) -> set[Expression]:
    """Expressions that an activation with a cusp sees: their correlations near 1 must be exact."""
    before: set[Expression] = set()
    for node in reversed(order):
        if node in before or (isinstance(node, Activated) and node.cusp is not None):
            before.update(_operands(node))
    return before


def _encode(
    node: Expression, registers: _Registers, vectors: _Vectors, smooth: dict[Activated, list[int]]
) -> list[tuple[list[int], list[float]]]:
    """The operations of one node: rows of the program's table, and their numbers."""
    if isinstance(node, Input | FixedCorrelation):
        return []
    operands = [registers.of[operand] for operand in _operands(node)]
    if isinstance(node, SchurProduct):
        return [([SCHUR, registers.take(node), 0, *operands, 0, 0, 0], [0.0, 0.0])]
    if isinstance(node, Sum):
        target = registers.take(node)
        if len(operands) == 3:
            return [([CHAIN, target, 0, *operands, 0, 0], list(node.uniform or ()))]
        if node.uniform is not None:
            return [([BLEND, target, 0, *operands, 0, 0, 0], list(node.uniform))]
        return [([MIX, target, 0, *operands, vectors.add(*node.shares), 0, 0], [0.0, 0.0])]
    assert isinstance(node, Activated)
    code, *terms = [ARC, 0, 0, 0, 0] if node.cusp is not None else smooth[node]
    if code not in (ARC, TABLE, KINKS, RAISED, WAVES):
        return [([code, registers.take(node), 0, operands[0], *terms], [0.0, 0.0])]
    value, slope = registers.take_both(node)
    if value is None or slope is None:
        return []
    if code != ARC:
        return [([code, value, slope, operands[0], *terms], [1.0, 0.0])]
    assert node.cusp is not None
    return [([ARC, value, slope, operands[0], 0, 0, 0, 0], [node.cusp, 0.0])]


@dataclass
class _Vectors:
    """Numbers per example, stacked for both sides."""

    dtype: torch.dtype
    left: list[Tensor] = field(default_factory=list)
    right: list[Tensor] = field(default_factory=list)

    def add(self, *vectors: PerUnit) -> int:
        """Append vectors; the index of the first."""
        first = len(self.left)
        for sides in vectors:
            self.left.append(sides[0])
            self.right.append(sides[-1])
        return first

    def stacked(self) -> tuple[np.ndarray, np.ndarray]:
        """Both tables, (vectors, n1) and (vectors, n2)."""
        left = torch.stack([v.to(self.dtype) for v in self.left]).numpy()
        if all(a is b for a, b in zip(self.left, self.right, strict=True)):
            return left, left
        return left, torch.stack([v.to(self.dtype) for v in self.right]).numpy()


class _Registers:
    """Which register holds which expression; one is free again after the last use of what it holds."""

    def __init__(self, order: Sequence[Expression], outputs: Sequence[Expression]) -> None:
        self.of: dict[Expression, int] = {}
        self.count = 2  # INPUT and OPPOSITE
        self._free: list[int] = []
        self._order = order
        self._uses = Counter(outputs)
        for node in order:
            self._uses.update(_operands(node))
        self._partner: dict[tuple[int, int], list[Activated]] = {}
        for node in order:
            if isinstance(node, Input):
                self.of[node] = INPUT
            elif isinstance(node, FixedCorrelation):
                self.of[node] = self._new()
            elif isinstance(node, Activated):
                self._partner.setdefault((id(node.dual), id(_unscaled(node.argument))), []).append(node)

    def _new(self) -> int:
        if self._free:
            return self._free.pop()
        self.count += 1
        return self.count - 1

    def take(self, node: Expression) -> int:
        """A register for a node's result; its operands are released after that, so none is overwritten while read."""
        self.of[node] = self._new()
        for operand in _operands(node):
            self._uses[operand] -= 1
            if self._uses[operand] == 0 and not isinstance(operand, FixedCorrelation | Input):
                self._free.append(self.of[operand])
        return self.of[node]

    def take_both(self, node: Activated) -> tuple[int | None, int | None]:
        """Registers for value and slope of one activation, at the first of the two; -1 for one that nobody needs."""
        if node in self.of:
            return None, None
        partners = self._partner[id(node.dual), id(_unscaled(node.argument))]
        taken = {isinstance(partner, Slope): self.take(partner) for partner in partners}
        return taken.get(False, -1), taken.get(True, -1)
