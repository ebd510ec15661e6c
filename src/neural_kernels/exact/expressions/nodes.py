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
from functools import cached_property
from typing import Any

import torch
from torch import Tensor

from neural_kernels.algebra import PerExample
from neural_kernels.exact.expressions.pairs import Pairs, Sides
from neural_kernels.runtime.numerics import safe_divide
from neural_kernels.runtime.types import Shape


class Expression(ABC):
    """A kernel between two batches, as an expression; compared by identity."""

    @cached_property
    @abstractmethod
    def stds(self) -> Sides:
        """Standard deviations of all units, shapes (n, *positions)."""

    @abstractmethod
    def compute(self, pairs: Pairs, every: bool) -> Tensor:
        """One minus the correlations, by the formula."""

    @property
    def operands(self) -> tuple[Expression, ...]:
        """The expressions this one is made of."""
        return ()

    @property
    def root(self) -> Input:
        """The input that it is a kernel of."""
        return self.operands[0].root

    @property
    def positions(self) -> Shape:
        """Those of the operands."""
        return self.operands[0].positions

    @property
    def mixes(self) -> bool:
        """Whether it holds a map that mixes positions, so that its standard deviations cost as much as entries."""
        return any(operand.mixes for operand in self.operands)

    def delta(self, pairs: Pairs, every: bool) -> Tensor:
        """One minus the correlations, for `every` pair of positions or the equal ones; computed once."""
        return pairs.once(self, "delta", every and self.positions != (), self.compute)

    def entries(self, pairs: Pairs, every: bool) -> Tensor:
        """The kernel itself; computed once."""
        return pairs.once(self, "entries", every and self.positions != (), self.sum)

    def excess(self, pairs: Pairs, every: bool) -> Tensor:
        """What the entries lack to the product of the standard deviations."""
        delta = self.delta(pairs, every)
        left, right = pairs.lay(self.stds, every)
        return left.to(delta.dtype) * right.to(delta.dtype) * delta

    def sum(self, pairs: Pairs, every: bool) -> Tensor:
        """The kernel itself, by the shortest formula."""
        delta = self.delta(pairs, every)
        left, right = pairs.lay(self.stds, every)
        return left.to(delta.dtype) * right.to(delta.dtype) * (1 - delta)


@dataclass(frozen=True, eq=False)
class Input(Expression):
    """The inner products of the data, divided by the number of features.

    Parameters
    ----------
    sides : tuple of rows
        Checked examples, in whatever form `correlate` takes; their `std` are the standard deviations. One where both
        sides are the same.
    correlate : callable
        ``correlate(sides, pairs, every)``: one minus the cosines of the data's units.
    variances : callable
        ``variances(mapped, side)``: every unit's own entry after a map that mixes positions, shape (n, *positions).
        Nothing else about an expression costs as much as its entries, so who makes the input says how it is computed.
    """

    sides: tuple[Any, ...]
    correlate: Callable[[tuple[Any, ...], Pairs, bool], Tensor]
    variances: Callable[[Any, int], Tensor]

    @property
    def root(self) -> Input:
        """Itself."""
        return self

    @cached_property
    def stds(self) -> Sides:
        """Of the data."""
        return tuple(side.std for side in self.sides)

    @property
    def positions(self) -> Shape:
        """Of the data."""
        return tuple(self.sides[0].std.shape[1:])

    def compute(self, pairs: Pairs, every: bool) -> Tensor:
        """From differences where nearly parallel."""
        return pairs.exact(self.correlate(self.sides, pairs, every), every)


@dataclass(frozen=True, eq=False)
class Simple(Expression):
    """A kernel whose correlation is the same for all different units."""

    examples: Expression

    value = 0.0

    @property
    def operands(self) -> tuple[Expression, ...]:
        """None: only the examples are the same."""
        return ()

    @property
    def root(self) -> Input:
        """Of the examples."""
        return self.examples.root

    @property
    def positions(self) -> Shape:
        """Of the examples."""
        return self.examples.positions

    def compute(self, pairs: Pairs, every: bool) -> Tensor:
        """The constant, 0 where a unit meets itself."""
        left, right = pairs.lay(self.stds, every)
        shape = torch.broadcast_shapes(left.shape, right.shape)
        return pairs.exact(left.new_full((), self.value).expand(shape), every)


@dataclass(frozen=True, eq=False)
class Zero(Simple):
    """0 everywhere."""

    shape: Shape

    value = 1.0

    @property
    def positions(self) -> Shape:
        """As given."""
        return self.shape

    @cached_property
    def stds(self) -> Sides:
        """Zeros."""
        return tuple(s.new_zeros(len(s), *self.positions) for s in self.root.stds)


@dataclass(frozen=True, eq=False)
class Constant(Simple):
    """The same number for all pairs."""

    variance_: float

    @cached_property
    def stds(self) -> Sides:
        """Its root."""
        return tuple(s.new_full((len(s), *self.positions), self.variance_**0.5) for s in self.root.stds)


@dataclass(frozen=True, eq=False)
class Noise(Simple):
    """What `inflate` adds to a kernel, on its diagonal alone."""

    factor: float

    value = 1.0

    @cached_property
    def stds(self) -> Sides:
        """A share of the kernel's own."""
        return tuple(s * (self.factor - 1) ** 0.5 for s in self.examples.stds)


@dataclass(frozen=True, eq=False)
class Scaled(Expression):
    """D k D with a diagonal D."""

    argument: Expression
    factor: PerExample

    @property
    def operands(self) -> tuple[Expression, ...]:
        """What is scaled."""
        return (self.argument,)

    @cached_property
    def stds(self) -> Sides:
        """Multiplied."""
        return tuple(s * f for s, f in zip(self.argument.stds, self.factors, strict=True))

    @property
    def factors(self) -> Sides:
        """One for each side."""
        last = len(self.factor.sides) - 1
        return tuple(self.factor.sides[min(side, last)] for side in range(len(self.argument.stds)))

    def compute(self, pairs: Pairs, every: bool) -> Tensor:
        """Unchanged."""
        return self.argument.delta(pairs, every)


@dataclass(frozen=True, eq=False)
class Combined(Expression):
    """Something of two kernels."""

    first: Expression
    second: Expression

    @property
    def operands(self) -> tuple[Expression, ...]:
        """Both."""
        return self.first, self.second


@dataclass(frozen=True, eq=False)
class Sum(Combined):
    """Sum of two kernels, with shares w and v of the standard deviation, w^2 + v^2 = 1 for either unit."""

    @cached_property
    def stds(self) -> Sides:
        """Legs of a right angle."""
        return tuple(_hypot(s, t) for s, t in zip(self.first.stds, self.second.stds, strict=True))

    @cached_property
    def shares(self) -> tuple[Sides, Sides]:
        """Both summands' shares."""
        w, v = (
            tuple(safe_divide(part, whole) for part, whole in zip(operand.stds, self.stds, strict=True))
            for operand in self.operands
        )
        return w, v

    @cached_property
    def uniform(self) -> tuple[float, float] | None:
        """w^2 and v^2, where both are the same for all units."""
        if not all(side.numel() for side in self.shares[0]):
            return None
        extremes = [(min(float(s.min()) for s in w), max(float(s.max()) for s in w)) for w in self.shares]
        if any(high - low > 1e-14 for low, high in extremes):
            return None
        return extremes[0][0] ** 2, extremes[1][0] ** 2

    def compute(self, pairs: Pairs, every: bool) -> Tensor:
        """The sum rule."""
        first, second = self.first.delta(pairs, every), self.second.delta(pairs, every)
        (w1, w2), (v1, v2) = (tuple(part.to(first.dtype) for part in pairs.lay(w, every)) for w in self.shares)
        return w1 * w2 * first + v1 * v2 * second + ((w1 - w2).square() + (v1 - v2).square()) / 2

    def sum(self, pairs: Pairs, every: bool) -> Tensor:
        """Added."""
        return self.first.entries(pairs, every) + self.second.entries(pairs, every)


@dataclass(frozen=True, eq=False)
class Product(Combined):
    """Product of two kernels, entry by entry."""

    @cached_property
    def stds(self) -> Sides:
        """Multiplied."""
        return tuple(s * t for s, t in zip(self.first.stds, self.second.stds, strict=True))

    def compute(self, pairs: Pairs, every: bool) -> Tensor:
        """The product rule."""
        first, second = self.first.delta(pairs, every), self.second.delta(pairs, every)
        return first + second - first * second

    def sum(self, pairs: Pairs, every: bool) -> Tensor:
        """Multiplied."""
        return self.first.entries(pairs, every) * self.second.entries(pairs, every)


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
