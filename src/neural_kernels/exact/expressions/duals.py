"""An activation's duals as expressions: the two kernels that `activate` makes of one."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass

import torch
from torch import Tensor
from typing_extensions import override

from neural_kernels.activations import BivariateNormal, Dual
from neural_kernels.exact.expressions.nodes import Expression
from neural_kernels.exact.expressions.pairs import Pairs, PerUnit
from neural_kernels.runtime.lazy import cached_property


@dataclass(frozen=True, eq=False)
class Activated(Expression):
    """What value and slope of an activation share: the kernel `argument` of the units that it is applied to."""

    dual: Dual
    argument: Expression

    @abstractmethod
    def std(self, std: Tensor) -> Tensor:
        """Root of the second moment of the output (or derivative) for units with these standard deviations."""

    @property
    def cusp(self) -> float | None:
        """How sharp the kink of a piecewise linear activation is, whose kernels are functions of the angle.

        None for all others: their kernels are power series, and the engine has no formula of their own.
        """
        return self.dual.cusp

    @property
    @override
    def operands(self) -> tuple[Expression, ...]:
        return (self.argument,)

    @cached_property
    @override
    def stds(self) -> PerUnit:
        return tuple(self.dual.require_finite(s, self.std(s.reshape(-1)).reshape(s.shape)) for s in self.argument.stds)

    def normal(self, pairs: Pairs, all_pairs: bool) -> BivariateNormal:
        """The jointly normal inputs of the activation, for every pair of units."""
        delta = self.argument.delta(pairs, all_pairs)
        left, right = (std.to(delta.dtype) for std in pairs.broadcast(self.argument.stds, all_pairs))
        shape = torch.broadcast_shapes(left.shape, right.shape)
        one_plus = self.argument.one_plus(pairs, all_pairs)
        return BivariateNormal(left, right, delta.expand(shape), None if one_plus is None else one_plus.expand(shape))


@dataclass(frozen=True, eq=False)
class Value(Activated):
    """kappa(k): the covariance of the activation's outputs."""

    @override
    def std(self, std: Tensor) -> Tensor:
        return self.dual.std(std)

    @override
    def _delta(self, pairs: Pairs, all_pairs: bool) -> Tensor:
        return self.dual.delta(self.normal(pairs, all_pairs))


@dataclass(frozen=True, eq=False)
class Slope(Activated):
    """slope(k): the covariance of the activation's derivatives, by which the NTK is multiplied."""

    @override
    def std(self, std: Tensor) -> Tensor:
        return self.dual.slope_std(std)

    @override
    def _delta(self, pairs: Pairs, all_pairs: bool) -> Tensor:
        return self.dual.slope_delta(self.normal(pairs, all_pairs))
