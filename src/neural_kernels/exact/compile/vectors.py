"""The compiler for kernels of vectors: expressions to programs of registers, in one pass.

In come kernels without positions, out goes a table of operations. A register holds one minus the correlation of one
kernel for a strip of columns, from the input's to the results', so there is no layout and nothing to
schedule: the expressions in the order in which they can be computed are the program (`graph`). What is left is to find
registers and to join what is cheaper together: value and slope of an activation (`functions`), which share the angle,
and the recursion of every layer, ntk * slope + nngp (CHAIN).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from neural_kernels.engine.codes import ARC, BLEND, CHAIN, INPUT, MIX, SCHUR
from neural_kernels.engine.vectors.program import FIELDS, VectorProgram
from neural_kernels.exact.compile.functions import PAIRS, encode, is_double
from neural_kernels.exact.compile.graph import ExpressionGraph, key_of
from neural_kernels.exact.compile.pools import Pools, UnitVectors
from neural_kernels.exact.expressions.duals import Activated
from neural_kernels.exact.expressions.fixed import FixedCorrelation
from neural_kernels.exact.expressions.nodes import Expression, Input, SchurProduct, Sum


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
    graph = ExpressionGraph(kernels)
    if is_double(graph):
        dtype = torch.float64  # data and results keep their own
    vectors, pools = UnitVectors(dtype), Pools(dtype)
    functions = encode(graph, vectors, pools)
    if functions is None:
        return None
    registers = _Registers(graph)
    table, numbers, nodes = [], [], []
    for node in graph.order:
        for operation, number in _encode(node, registers, vectors, functions):
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
        outputs=np.array([registers.of[output] for output in graph.outputs]),
        stds=np.array(stds),
        constants={registers.of[node]: node.fixed_delta for node in graph.order if isinstance(node, FixedCorrelation)},
        registers=registers.count,
        integers=pools.integers(),
        floats=pools.floats(),
    )
    return Traced(program, nodes, vectors.left)


def _encode(
    node: Expression, registers: _Registers, vectors: UnitVectors, functions: dict[Activated, tuple[int, ...]]
) -> list[tuple[list[int], list[float]]]:
    """The operations of one node: rows of the program's table, and their numbers."""
    if isinstance(node, Input | FixedCorrelation):
        return []
    operands = [registers.of[operand] for operand in registers.graph.operands[node]]
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
    code, *terms = (ARC, 0, 0, 0, 0) if node.cusp is not None else functions[node]
    if code not in (ARC, *PAIRS):
        return [([code, registers.take(node), 0, operands[0], *terms], [0.0, 0.0])]
    if node in registers.of:  # with its partner
        return []
    value, slope = registers.take_both(node)
    return [([code, value, slope, operands[0], *terms], [1.0 if node.cusp is None else node.cusp, 0.0])]


class _Registers:
    """Which register holds which expression; one is free again after the last use of what it holds."""

    def __init__(self, graph: ExpressionGraph) -> None:
        self.graph = graph
        self.of: dict[Expression, int] = {}
        self.count = 2  # INPUT and OPPOSITE
        self._free: list[int] = []
        self._uses = Counter(graph.outputs)
        for node, operands in graph.operands.items():
            self._uses.update(operands)
            if isinstance(node, Input):
                self.of[node] = INPUT
            elif isinstance(node, FixedCorrelation):
                self.of[node] = self._new()

    def _new(self) -> int:
        if self._free:
            return self._free.pop()
        self.count += 1
        return self.count - 1

    def take(self, node: Expression) -> int:
        """A register for a node's result; its operands are released after that, so none is overwritten while read."""
        self.of[node] = self._new()
        for operand in self.graph.operands[node]:
            self._uses[operand] -= 1
            if self._uses[operand] == 0 and not isinstance(operand, FixedCorrelation | Input):
                self._free.append(self.of[operand])
        return self.of[node]

    def take_both(self, node: Activated) -> tuple[int, int]:
        """Registers for value and slope of one activation, at the first of the two; -1 for one that nobody needs."""
        group = self.graph.groups[key_of(node)]
        value, slope = (-1 if part is None else self.take(part) for part in (group.value, group.slope))
        return value, slope
