"""Correlations between two batches as expressions, evaluated tile by tile.

Every kernel here is k(x, y) = s(x) s(y) (1 - delta(x, y)). The standard deviations s are numbers per example, computed
at once in float64; one minus the correlation, delta, is a number per pair, and only described: an expression of `Input`
that is evaluated on one tile of the matrix after the other, by `evaluate` in torch or as the engine's row program.

In delta no operation takes a difference of near equals. With unit vectors w(x), w(y) of the summands' shares,

    1 - sum_a w_a(x) w_a(y) (1 - delta_a) = sum_a w_a(x) w_a(y) delta_a + |w(x) - w(y)|^2 / 2,
    1 - (1 - delta_1) (1 - delta_2)       = delta_1 + delta_2 - delta_1 delta_2,

so float32 keeps nearly equal rows apart at any depth, where the slope of a kinked activation has a square-root cusp.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from functools import cached_property

from jaxtyping import Float
from torch import Tensor

from neural_kernels.activations import BivariateNormal, Dual

Sides = tuple[
    Float[Tensor, " _"], ...
]  # one number per example for each side: (n1,) and (n2,), or (n,) once if they agree


@dataclass(frozen=True)
class Tile:
    """A block of rows and columns of the matrix, the `delta` of the inputs there, and what was evaluated so far."""

    rows: slice
    columns: slice
    delta: Float[Tensor, "rows columns"]
    known: dict[int, Tensor]

    def left(self, sides: Sides) -> Float[Tensor, "rows 1"]:
        """The rows' numbers, as a column."""
        return sides[0][self.rows, None].to(self.delta.dtype)

    def right(self, sides: Sides) -> Float[Tensor, "1 columns"]:
        """The columns' numbers, as a row."""
        return sides[-1][None, self.columns].to(self.delta.dtype)


class Correlation(ABC):
    """One minus the correlation, as an expression; compared by identity."""

    def evaluate(self, tile: Tile) -> Float[Tensor, "*pairs"]:
        """The entries on a tile, broadcastable to (rows, columns); each expression is evaluated once a tile."""
        if id(self) not in tile.known:
            tile.known[id(self)] = self.compute(tile)
        return tile.known[id(self)]

    @abstractmethod
    def compute(self, tile: Tile) -> Float[Tensor, "*pairs"]:
        """The formula, in torch."""

    @property
    def operands(self) -> tuple[Correlation, ...]:
        """The expressions this one is made of."""
        return ()


@dataclass(frozen=True, eq=False)
class Input(Correlation):
    """The inputs' own."""

    def compute(self, tile: Tile) -> Float[Tensor, "*pairs"]:
        """As given."""
        return tile.delta


@dataclass(frozen=True, eq=False)
class Constant(Correlation):
    """The same for all pairs: 0 for a constant kernel, 1 for a diagonal one."""

    value: float

    def compute(self, tile: Tile) -> Float[Tensor, "*pairs"]:
        """A scalar."""
        return tile.delta.new_full((), self.value)


@dataclass(frozen=True, eq=False)
class Mix(Correlation):
    """Of a sum of two kernels with shares w and v of the standard deviation, w^2 + v^2 = 1 on either side."""

    first: Correlation
    second: Correlation
    w: Sides
    v: Sides

    def compute(self, tile: Tile) -> Float[Tensor, "*pairs"]:
        """The sum rule."""
        w1, w2, v1, v2 = tile.left(self.w), tile.right(self.w), tile.left(self.v), tile.right(self.v)
        shares = ((w1 - w2).square() + (v1 - v2).square()) / 2
        return w1 * w2 * self.first.evaluate(tile) + v1 * v2 * self.second.evaluate(tile) + shares

    @cached_property
    def uniform(self) -> tuple[float, float] | None:
        """w^2 and v^2, where both are the same for all examples."""
        low_high = [
            (min(float(s.min()) for s in sides), max(float(s.max()) for s in sides)) for sides in (self.w, self.v)
        ]
        if any(high - low > 1e-14 for low, high in low_high):
            return None
        return low_high[0][0] ** 2, low_high[1][0] ** 2

    @property
    def operands(self) -> tuple[Correlation, ...]:
        """Both summands."""
        return self.first, self.second


@dataclass(frozen=True, eq=False)
class Schur(Correlation):
    """Of a product of two kernels, entry by entry."""

    first: Correlation
    second: Correlation

    def compute(self, tile: Tile) -> Float[Tensor, "*pairs"]:
        """The product rule."""
        first, second = self.first.evaluate(tile), self.second.evaluate(tile)
        return first + second - first * second

    @property
    def operands(self) -> tuple[Correlation, ...]:
        """Both factors."""
        return self.first, self.second


@dataclass(frozen=True, eq=False)
class Value(Correlation):
    """Of kappa(k), for k with the given standard deviations."""

    dual: Dual
    argument: Correlation
    stds: Sides

    def compute(self, tile: Tile) -> Float[Tensor, "*pairs"]:
        """The dual's own formula."""
        return self.dual.delta(self.normal(tile))

    def normal(self, tile: Tile) -> BivariateNormal:
        """The jointly normal units of every pair."""
        delta = self.argument.evaluate(tile)
        return BivariateNormal(tile.left(self.stds), tile.right(self.stds), delta.expand(tile.delta.shape))

    @property
    def operands(self) -> tuple[Correlation, ...]:
        """The kernel it is applied to."""
        return (self.argument,)


@dataclass(frozen=True, eq=False)
class Slope(Value):
    """Of slope(k)."""

    def compute(self, tile: Tile) -> Float[Tensor, "*pairs"]:
        """The dual's own formula."""
        return self.dual.slope_delta(self.normal(tile))
