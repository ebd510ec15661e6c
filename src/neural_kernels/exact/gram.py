"""The representation by entries."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from typing_extensions import override

from neural_kernels.activations import Dual
from neural_kernels.algebra import KernelPair, Layer, Nothing, PerExample, PositionMap, Representation
from neural_kernels.exact.expressions.duals import Slope, Value
from neural_kernels.exact.expressions.fixed import Constant, Noise, Zero
from neural_kernels.exact.expressions.nodes import Expression, Input, Scaled, SchurProduct, Sum
from neural_kernels.exact.expressions.positions import Decorrelated, Mapped
from neural_kernels.exact.variances import input_delta, mapped_variances, self_entries


@dataclass(frozen=True)
class Gram(Representation):
    """A kernel's entries between two batches, as an expression of the data.

    Every operation makes a node of an expression and computes nothing, but for `position_gram`, which attention needs
    as numbers. So nothing of size n1 x n2 exists before a block of it is evaluated, and what nobody asks for is never
    computed. A kernel that is 0 stays a single node, whatever is done to it.
    """

    expression: Expression

    @override
    def __add__(self, other: Gram | float | Tensor) -> Gram:  # pyright: ignore[reportIncompatibleMethodOverride]
        mine = self.expression
        if isinstance(other, Gram):
            if isinstance(mine, Zero) or isinstance(other.expression, Zero):
                return other if isinstance(mine, Zero) else self
            return Gram(Sum(mine, other.expression))
        return self if _equals(other, 0.0) else self + Gram(Constant(mine, other))

    @override
    def __mul__(self, other: Gram | float | Tensor) -> Gram:  # pyright: ignore[reportIncompatibleMethodOverride]
        mine = self.expression
        if isinstance(mine, Zero):
            return self
        if isinstance(other, Gram):
            return other if isinstance(other.expression, Zero) else Gram(SchurProduct(mine, other.expression))
        if _equals(other, 0.0):
            return self.zero()
        root = PerExample(tuple(torch.as_tensor(other**0.5, dtype=s.dtype, device=s.device) for s in mine.root.stds))
        return self if _equals(other, 1.0) else self.scale(root)

    @override
    def zero(self) -> Gram:
        return Gram(Zero(self.expression, self.positions))

    @override
    def activate(self, dual: Dual) -> tuple[Gram, Gram]:  # pyright: ignore[reportIncompatibleMethodOverride]
        return Gram(Value(dual, self.expression)), Gram(Slope(dual, self.expression))

    @override
    def scale(self, factor: PerExample) -> Gram:
        return self if isinstance(self.expression, Zero) else Gram(Scaled(self.expression, factor))

    @override
    def inflate(self, factor: float) -> Gram:
        if isinstance(self.expression, Zero) or factor == 1:
            return self
        return Gram(Sum(self.expression, Noise(self.expression, factor)))

    @override
    def map(self, positions: PositionMap) -> Gram:
        zero = isinstance(self.expression, Zero)
        return Gram(Zero(self.expression, positions.after) if zero else Mapped(self.expression, positions))

    @override
    def decorrelate(self) -> Gram:
        return Gram(Decorrelated(self.expression)) if self.positions else self

    @property
    @override
    def positions(self) -> tuple[int, ...]:
        return self.expression.positions

    @property
    @override
    def variance(self) -> PerExample:
        return PerExample(tuple(s * s for s in self.expression.stds))

    @override
    def position_gram(self) -> PerExample:
        """The kernel between the positions of each example, evaluated at once, some examples at a time."""
        sides = range(len(self.expression.stds))
        size = math.prod(self.positions)
        entries = (self_entries(self.expression, side) for side in sides)
        return PerExample(tuple(k.reshape(len(k), size, size) for k in entries))


def _equals(number: float | Tensor, value: float) -> bool:
    """Whether a number is this one for good: a tensor, whose derivative may be asked for, never is."""
    return not isinstance(number, Tensor) and number == value


def propagate(
    net: Layer,
    sides: Sequence[Any],
    graph: Any = None,
    ntk: bool = True,
    variances: Callable[[Mapped, int], Tensor] = mapped_variances,
) -> KernelPair[Gram]:
    """The kernels of a network for the rows of one or two batches.

    `variances` computes those after maps that mix positions: by default by the engine where it can, with
    :func:`~neural_kernels.exact.variances.plain_variances` by the torch formulas alone.
    """
    data = Gram(Input(tuple(sides), input_delta, variances))
    pair = KernelPair(data, data.zero() if ntk else Nothing(), sides[0].features, graph)
    return net.propagate(pair.after(pair.nngp, pair.ntk))  # which clears the nodes that do not exist
