"""Kernels as expressions, which are described first and evaluated where and when they are wanted.

Every kernel here is k(x, y) = s(x) s(y) (1 - delta(x, y)) for units x and y (examples at positions). Standard
deviations s are numbers per unit, float64; one minus the correlation is a number per pair, evaluated block after
block, by the formulas below in torch or by the engine. In delta no operation takes a difference of near equals. With
unit vectors w(x), w(y) of the summands' shares,

    1 - sum_a w_a(x) w_a(y) (1 - delta_a) = sum_a w_a(x) w_a(y) delta_a + |w(x) - w(y)|^2 / 2,
    1 - (1 - delta_1) (1 - delta_2)       = delta_1 + delta_2 - delta_1 delta_2,

so float32 keeps nearly equal units apart at any depth, where the slope of a kinked activation has a square-root cusp.
Where no activation follows that does not matter, and `entries` takes the shorter way.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor
from typing_extensions import override

from neural_kernels.algebra import PerExample
from neural_kernels.exact.expressions.pairs import Pairs, PerUnit
from neural_kernels.runtime.lazy import cached_property
from neural_kernels.runtime.numerics import safe_divide
from neural_kernels.runtime.types import Shape

EQUAL = 1e-14  # shares of a sum that differ by no more are taken for one


class Expression(ABC):
    """A kernel between two batches, as a node of a graph of kernels; compared by identity.

    A kind of node states its standard deviations and one formula, `_delta`; one whose entries have a shorter formula
    than standard deviations times correlations states that too, as `_entries`. Callers ask for `delta` and `entries`,
    which keep what was computed with the pairs.
    """

    @cached_property
    @abstractmethod
    def stds(self) -> PerUnit:
        """Standard deviations of all units, shapes (n, *positions), one for each side."""

    @abstractmethod
    def _delta(self, pairs: Pairs, all_pairs: bool) -> Tensor:
        """One minus the correlations, by the formula of this kind of kernel."""

    def _entries(self, pairs: Pairs, all_pairs: bool) -> Tensor:
        """The kernel itself, by the shortest formula."""
        delta = self.delta(pairs, all_pairs)
        left, right = pairs.broadcast(self.stds, all_pairs)
        return left.to(delta.dtype) * right.to(delta.dtype) * (1 - delta)

    @property
    def operands(self) -> tuple[Expression, ...]:
        """The expressions this one is made of."""
        return ()

    @property
    def root(self) -> Input:
        """The data that it is a kernel of."""
        return self.operands[0].root

    @property
    def positions(self) -> Shape:
        """Sizes of the axes of positions, by default those of the operands; () for vectors."""
        return self.operands[0].positions

    @property
    def mixes(self) -> bool:
        """Whether it holds a map that mixes positions, so that its standard deviations cost as much as entries."""
        return any(operand.mixes for operand in self.operands)

    def delta(self, pairs: Pairs, all_pairs: bool) -> Tensor:
        """One minus the correlations, for all pairs of positions or for equal ones; computed once."""
        return pairs.cached(self, "delta", all_pairs and self.positions != (), self._delta)

    def one_plus(self, pairs: Pairs, all_pairs: bool) -> Tensor | None:
        """One plus the correlations where that is known better than from `delta`, else None.

        The angle between nearly opposite vectors depends on its root, as that of nearly equal ones on delta's.
        """
        return None

    def entries(self, pairs: Pairs, all_pairs: bool) -> Tensor:
        """The kernel itself, for all pairs of positions or for equal ones; computed once."""
        return pairs.cached(self, "entries", all_pairs and self.positions != (), self._entries)

    def excess(self, pairs: Pairs, all_pairs: bool) -> Tensor:
        """What the entries lack to the product of the standard deviations, s(x) s(y) delta(x, y)."""
        delta = self.delta(pairs, all_pairs)
        left, right = pairs.broadcast(self.stds, all_pairs)
        return left.to(delta.dtype) * right.to(delta.dtype) * delta


@dataclass(frozen=True, eq=False)
class Input(Expression):
    """The inner products of the data, divided by the number of features: where every expression begins.

    Parameters
    ----------
    sides : tuple of rows
        Checked examples, in whatever form `correlate` takes; their `std` are the standard deviations. One where both
        sides are the same.
    correlate : callable
        ``correlate(sides, pairs, all_pairs)``: one minus the cosines of the data's units.
    variances : callable
        ``variances(mapped, side)``: every unit's own entry after a map that mixes positions, shape (n, *positions).
        Nothing else about an expression costs as much as its entries, so who makes the input says how it is computed.
    """

    sides: tuple[Any, ...]
    correlate: Callable[[tuple[Any, ...], Pairs, bool], Tensor]
    variances: Callable[[Any, int], Tensor]

    @property
    @override
    def root(self) -> Input:
        return self

    @cached_property
    @override
    def stds(self) -> PerUnit:
        return tuple(side.std for side in self.sides)

    @property
    @override
    def positions(self) -> Shape:
        return tuple(self.sides[0].std.shape[1:])

    @override
    def _delta(self, pairs: Pairs, all_pairs: bool) -> Tensor:
        return pairs.zero_self(self.correlate(self.sides, pairs, all_pairs), all_pairs)

    @override
    def one_plus(self, pairs: Pairs, all_pairs: bool) -> Tensor | None:
        if self.positions or not pairs.distinct:
            return None
        return pairs.cached(self, "one plus", False, partial(self.correlate, (self.sides[0].opposite, self.sides[-1])))


@dataclass(frozen=True, eq=False)
class Scaled(Expression):
    """D k D with a diagonal D, which leaves the correlations as they are."""

    argument: Expression
    factor: PerExample

    @property
    @override
    def operands(self) -> tuple[Expression, ...]:
        return (self.argument,)

    @cached_property
    @override
    def stds(self) -> PerUnit:
        return tuple(s * f for s, f in zip(self.argument.stds, self.factors, strict=True))

    @property
    def factors(self) -> PerUnit:
        """The diagonal for each side of the argument."""
        last = len(self.factor.sides) - 1
        return tuple(self.factor.sides[min(side, last)] for side in range(len(self.argument.stds)))

    @override
    def _delta(self, pairs: Pairs, all_pairs: bool) -> Tensor:
        return self.argument.delta(pairs, all_pairs)

    @override
    def one_plus(self, pairs: Pairs, all_pairs: bool) -> Tensor | None:
        return self.argument.one_plus(pairs, all_pairs)


@dataclass(frozen=True, eq=False)
class Combined(Expression):
    """What a sum and an entrywise product of two kernels share."""

    first: Expression
    second: Expression

    @property
    @override
    def operands(self) -> tuple[Expression, ...]:
        return self.first, self.second


@dataclass(frozen=True, eq=False)
class Sum(Combined):
    """Sum of two kernels, with shares w and v of the standard deviation, w^2 + v^2 = 1 for either unit."""

    @cached_property
    @override
    def stds(self) -> PerUnit:
        return tuple(_hypot(s, t) for s, t in zip(self.first.stds, self.second.stds, strict=True))

    @cached_property
    def shares(self) -> tuple[PerUnit, PerUnit]:
        """The shares w and v, of the first and of the second kernel."""
        w, v = (
            tuple(safe_divide(part, whole) for part, whole in zip(operand.stds, self.stds, strict=True))
            for operand in self.operands
        )
        return w, v

    @cached_property
    def uniform(self) -> tuple[float, float] | None:
        """w^2 and v^2, where both are the same for all units; the sum rule has no last term then."""
        if not all(side.numel() for side in self.shares[0]):
            return None
        extremes = [(min(float(s.min()) for s in w), max(float(s.max()) for s in w)) for w in self.shares]
        if any(high - low > EQUAL for low, high in extremes):
            return None
        return extremes[0][0] ** 2, extremes[1][0] ** 2

    @override
    def _delta(self, pairs: Pairs, all_pairs: bool) -> Tensor:
        first, second = self.first.delta(pairs, all_pairs), self.second.delta(pairs, all_pairs)
        (w1, w2), (v1, v2) = (
            tuple(part.to(first.dtype) for part in pairs.broadcast(share, all_pairs)) for share in self.shares
        )
        return w1 * w2 * first + v1 * v2 * second + ((w1 - w2).square() + (v1 - v2).square()) / 2

    @override
    def _entries(self, pairs: Pairs, all_pairs: bool) -> Tensor:
        return self.first.entries(pairs, all_pairs) + self.second.entries(pairs, all_pairs)


@dataclass(frozen=True, eq=False)
class SchurProduct(Combined):
    """Product of two kernels, entry by entry."""

    @cached_property
    @override
    def stds(self) -> PerUnit:
        return tuple(s * t for s, t in zip(self.first.stds, self.second.stds, strict=True))

    @override
    def _delta(self, pairs: Pairs, all_pairs: bool) -> Tensor:
        first, second = self.first.delta(pairs, all_pairs), self.second.delta(pairs, all_pairs)
        return first + second - first * second

    @override
    def _entries(self, pairs: Pairs, all_pairs: bool) -> Tensor:
        return self.first.entries(pairs, all_pairs) * self.second.entries(pairs, all_pairs)


def nodes_of(*kernels: Expression) -> set[Expression]:
    """Expressions and all they are made of."""
    found, todo = set(), list(kernels)
    while todo:
        node = todo.pop()
        if node not in found:
            found.add(node)
            todo += node.operands
    return found


def _hypot(s: Tensor, t: Tensor) -> Tensor:
    """sqrt(s^2 + t^2) for non-negative s and t, without overflow, and with zero gradient at 0."""
    high, low = torch.maximum(s, t), torch.minimum(s, t)
    return high * (1 + safe_divide(low, high).square()).sqrt()
