"""The representation by entries: a Gram matrix that is described first and evaluated where and when it is wanted."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from jaxtyping import Float
from torch import Tensor

from neural_kernels.activations import Dual
from neural_kernels.activations._normal import safe_divide
from neural_kernels.algebra import KernelPair, Nothing, PerExample, Representation
from neural_kernels.kernels.correlation import Constant, Correlation, Input, Mix, Schur, Sides, Slope, Tile, Value
from neural_kernels.layer import Layer


@dataclass(frozen=True)
class Gram(Representation):
    """Entries k(x, y) = s(x) s(y) (1 - delta(x, y)).

    Standard deviations are concrete: float64, one per example and side, so the diagonal of every kernel costs O(n) and
    is exact. Correlations are expressions (see :mod:`~neural_kernels.kernels.correlation`), so that nothing of size
    n1 x n2 exists before a tile is evaluated, and what nobody asks for is never computed.

    Positions come in as further axes of both: standard deviations (n, *positions), a tile's delta (rows, columns,
    *positions, *positions), or (rows, columns, *positions) where only equal positions are needed; `map` is one more
    expression, linear in the squared distance s^2 + t^2 - 2 s t (1 - delta).

    Parameters
    ----------
    stds : tuple of Tensor
        Shapes (n1,) and (n2,); (n,) once where both sides are the same examples.
    delta : Correlation
    """

    stds: Sides
    delta: Correlation

    def __add__(self, other: Gram | float) -> Gram:  # pyright: ignore[reportIncompatibleMethodOverride]
        """Standard deviations add as legs of a right angle."""
        if not isinstance(other, Gram):
            other = self._uniform(other)
        if not any(t.any() for t in other.stds):
            return self
        if not any(s.any() for s in self.stds):
            return other
        stds = tuple(_hypot(s, t) for s, t in zip(self.stds, other.stds, strict=True))
        w = tuple(safe_divide(s, r) for s, r in zip(self.stds, stds, strict=True))
        v = tuple(safe_divide(t, r) for t, r in zip(other.stds, stds, strict=True))
        return replace(self, stds=stds, delta=Mix(self.delta, other.delta, w, v))

    def _uniform(self, constant: float) -> Gram:
        return replace(self, stds=tuple(torch.full_like(s, constant).sqrt() for s in self.stds), delta=Constant(0.0))

    def __mul__(self, other: Gram | float) -> Gram:  # pyright: ignore[reportIncompatibleMethodOverride]
        """Standard deviations multiply."""
        if not isinstance(other, Gram):
            return replace(self, stds=tuple(s * other**0.5 for s in self.stds))
        stds = tuple(s * t for s, t in zip(self.stds, other.stds, strict=True))
        return replace(self, stds=stds, delta=Schur(self.delta, other.delta))

    def zero(self) -> Gram:
        """No standard deviation."""
        return replace(self, stds=tuple(torch.zeros_like(s) for s in self.stds), delta=Constant(1.0))

    def activate(self, dual: Dual) -> tuple[Gram, Gram]:
        """The dual's standard deviations now, its correlations later."""
        value = tuple(_finite(dual, s, dual.std(s)) for s in self.stds)
        slope = tuple(_finite(dual, s, dual.slope_std(s)) for s in self.stds)
        return (
            replace(self, stds=value, delta=Value(dual, self.delta, self.stds)),
            replace(self, stds=slope, delta=Slope(dual, self.delta, self.stds)),
        )

    def scale(self, factor: PerExample) -> Gram:
        """Correlations do not change."""
        return replace(self, stds=tuple(s * f for s, f in zip(self.stds, factor.sides, strict=True)))

    def inflate(self, factor: float) -> Gram:
        """Adds noise that is independent between examples."""
        noise = tuple(s * (factor - 1) ** 0.5 for s in self.stds)
        return self + replace(self, stds=noise, delta=Constant(1.0))

    @property
    def variance(self) -> PerExample:
        """Squares of the standard deviations."""
        return PerExample(tuple(s * s for s in self.stds))

    def evaluate(self, tile: Tile) -> Float[Tensor, "rows columns"]:
        """The entries on a tile."""
        return tile.left(self.stds) * tile.right(self.stds) * (1 - self.delta.evaluate(tile))


def propagate(net: Layer, stds: Sides, features: int, ntk: bool = True) -> KernelPair[Gram]:
    """The kernels of a network for inputs of these standard deviations, sqrt(x.x / d)."""
    data = Gram(stds, Input())
    return net.propagate(KernelPair(data, data.zero() if ntk else Nothing(), features))


def _hypot(s: Float[Tensor, " n"], t: Float[Tensor, " n"]) -> Float[Tensor, " n"]:
    """sqrt(s^2 + t^2) for non-negative s and t, without overflow, and with zero gradient at 0."""
    high, low = torch.maximum(s, t), torch.minimum(s, t)
    return high * (1 + safe_divide(low, high).square()).sqrt()


def _finite(dual: Dual, before: Float[Tensor, " n"], after: Float[Tensor, " n"]) -> Float[Tensor, " n"]:
    if not torch.isfinite(after).all():
        worst = before[~torch.isfinite(after)].max().item()
        raise OverflowError(
            f"{dual!r}: the second moment of its output (or derivative) is not finite in float64 where its input has "
            f"standard deviation {worst:.3g}. Scale the inputs, lower weight_var, or normalise before it (LayerNorm)."
        )
    return after
