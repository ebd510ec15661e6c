"""Expressions as the compiler for vectors takes them: each once, in the order in which they can be computed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from neural_kernels.exact.expressions.duals import Activated, Slope
from neural_kernels.exact.expressions.nodes import Expression, Scaled, SchurProduct, Sum
from neural_kernels.runtime.lazy import cached_property

Key = tuple[int, int]


def key_of(node: Activated) -> Key:
    """What value and slope of one activation of the same units have in common."""
    return id(node.dual), id(node.argument)


@dataclass(frozen=True)
class Group:
    """Value and slope of one activation of the same units, or the one of them that is needed."""

    value: Activated | None = None
    slope: Activated | None = None

    @property
    def nodes(self) -> list[Activated]:
        """Those that there are."""
        return [node for node in (self.value, self.slope) if node is not None]

    @property
    def first(self) -> Activated:
        """One of them."""
        return self.nodes[0]


class ExpressionGraph:
    """Kernels of one network, with all that they are made of.

    Multiples of a kernel are that kernel: its correlations are what a program computes. An activation that several
    branches apply to the same units is one node.

    Parameters
    ----------
    kernels : sequence of Expression

    Attributes
    ----------
    outputs : list of Expression
        Those of the kernels' correlations.
    operands : dict from Expression to tuple of Expression
        What each operation reads, in the order of computation: operands first, and depth first.
    """

    def __init__(self, kernels: Sequence[Expression]) -> None:
        self._activated: dict[tuple[bool, Key], Activated] = {}
        self.operands: dict[Expression, tuple[Expression, ...]] = {}
        self.outputs = [self._once(kernel) for kernel in kernels]
        for output in self.outputs:
            self._visit(output)

    @cached_property
    def order(self) -> list[Expression]:
        """All expressions."""
        return list(self.operands)

    @cached_property
    def groups(self) -> dict[Key, Group]:
        """Activations, by what value and slope have in common."""
        groups: dict[Key, Group] = {}
        for node in self.order:
            if isinstance(node, Activated):
                part = "slope" if isinstance(node, Slope) else "value"
                groups[key_of(node)] = replace(groups.get(key_of(node), Group()), **{part: node})
        return groups

    @cached_property
    def before_cusps(self) -> set[Expression]:
        """Expressions that an activation with a cusp sees: their correlations near 1 must be exact."""
        before: set[Expression] = set()
        for node in reversed(self.order):
            if node in before or (isinstance(node, Activated) and node.cusp is not None):
                before.update(self.operands[node])
        return before

    def _once(self, node: Expression) -> Expression:
        while isinstance(node, Scaled):
            node = node.argument
        if isinstance(node, Activated):
            return self._activated.setdefault((isinstance(node, Slope), key_of(node)), node)
        return node

    def _visit(self, node: Expression) -> None:
        if node not in self.operands:
            operands = tuple(self._once(operand) for operand in self._read(node))
            for operand in operands:
                self._visit(operand)
            self.operands[node] = operands

    def _read(self, node: Expression) -> tuple[Expression, ...]:
        """What one operation reads: ntk * slope + nngp, the commonest pair of them, is one."""
        if isinstance(node, Sum) and node.uniform is not None:
            product = self._once(node.operands[0])
            if isinstance(product, SchurProduct):
                return *product.operands, node.operands[1]
        return node.operands
