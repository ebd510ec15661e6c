"""An activation's duals as expressions."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from neural_kernels.activations import BivariateNormal, Dual
from neural_kernels.exact.expressions.nodes import Expression
from neural_kernels.exact.expressions.pairs import Pairs, Sides


@dataclass(frozen=True, eq=False)
class Value(Expression):
    """Kappa(k), by an activation's own formula."""

    dual: Dual
    argument: Expression

    @property
    def operands(self) -> tuple[Expression, ...]:
        """The kernel it is applied to."""
        return (self.argument,)

    @cached_property
    def stds(self) -> Sides:
        """Of the activation's output."""
        return tuple(self._finite(s, self.std(s.reshape(-1)).reshape(s.shape)) for s in self.argument.stds)

    def std(self, std: Tensor) -> Tensor:
        """The dual's."""
        return self.dual.std(std)

    def compute(self, pairs: Pairs, every: bool) -> Tensor:
        """The dual's."""
        return self.dual.delta(self.normal(pairs, every))

    def normal(self, pairs: Pairs, every: bool) -> BivariateNormal:
        """The jointly normal units of every pair."""
        delta = self.argument.delta(pairs, every)
        left, right = (std.to(delta.dtype) for std in pairs.lay(self.argument.stds, every))
        return BivariateNormal(left, right, delta.expand(torch.broadcast_shapes(left.shape, right.shape)))

    def _finite(self, before: Tensor, after: Tensor) -> Tensor:
        if not torch.isfinite(after).all():
            worst = before[~torch.isfinite(after)].max().item()
            raise OverflowError(
                f"{self.dual!r}: the second moment of its output (or derivative) is not finite in float64 where its "
                f"input has standard deviation {worst:.3g}. Scale the inputs, lower weight_var, or normalise before it "
                "(LayerNorm)."
            )
        return after


@dataclass(frozen=True, eq=False)
class Slope(Value):
    """Slope(k), by an activation's own formula."""

    def std(self, std: Tensor) -> Tensor:
        """The dual's."""
        return self.dual.slope_std(std)

    def compute(self, pairs: Pairs, every: bool) -> Tensor:
        """The dual's."""
        return self.dual.slope_delta(self.normal(pairs, every))
