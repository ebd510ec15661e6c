"""Exponential linear units."""

from __future__ import annotations

import math
from abc import abstractmethod
from dataclasses import dataclass

import torch
from torch import Tensor
from typing_extensions import override

from neural_kernels.activations.base import Activation
from neural_kernels.activations.expectations.normal import BivariateNormal, broadcast
from neural_kernels.activations.expectations.wedge import (
    Rule,
    angular_rule,
    radial_decay,
    radial_moment,
    wedge_integral,
)
from neural_kernels.activations.relu import ReLU
from neural_kernels.checks import require_finite, require_positive

_SELU_ALPHA, _SELU_SCALE = 1.6732632423543772848170429916717, 1.0507009873554804934193349852946
_NUDGE = 1e-15


def _wedges(normal: BivariateNormal) -> tuple[Tensor, Tensor]:
    """Return the angles of the quadrants of opposite signs, theta, and of equal signs, pi - theta."""
    acute = normal.acute_angle
    near = normal.delta <= 1
    return torch.where(near, acute, math.pi - acute), torch.where(near, math.pi - acute, acute)


def _off_ends(normal: BivariateNormal) -> BivariateNormal:
    """Move correlations from +-1 by less than rounding can see, so that their gradient through the angle exists."""
    delta = torch.where(normal.delta < _NUDGE, normal.delta + _NUDGE, normal.delta)
    return BivariateNormal(normal.std1, normal.std2, torch.where(delta > 2 - _NUDGE, delta - _NUDGE, delta))


def _rule(normal: BivariateNormal) -> Rule:
    """Return a rule on (0, 1) that serves the largest standard deviation."""
    return angular_rule(
        max((float(std.detach().max()) for std in (normal.std1, normal.std2) if std.numel()), default=0)
    )


def _mixed(rule: Rule, s: Tensor, t: Tensor, width: Tensor) -> Tensor:
    """Return E[X (exp(Y) - 1)] over X > 0 > Y and, with the roles exchanged, over Y > 0 > X."""
    return wedge_integral(rule, width, lambda u, v: s * u * radial_moment(t * v) + t * v * radial_moment(s * u))


def _both(rule: Rule, s: Tensor, t: Tensor, width: Tensor) -> Tensor:
    """Return E[(exp(X) - 1) (exp(Y) - 1)] over X, Y < 0."""
    return wedge_integral(rule, width, lambda u, v: _second_difference(s * u, t * v))


def _second_difference(x: Tensor, y: Tensor) -> Tensor:
    return radial_decay(x + y) - radial_decay(x) - radial_decay(y)


class _ExponentialLinear(Activation):
    """``scale [max(x, 0) + alpha (exp(min(x, 0)) - 1)]``.

    kappa is the sum of E[X Y] over X, Y > 0 (that of ReLU), alpha times E[X (exp(Y) - 1)] over the two quadrants of
    opposite signs and alpha^2 times E[(exp(X) - 1)(exp(Y) - 1)] over X, Y < 0, the slope likewise, each an integral
    over the angle of a closed radial integral (own derivation, see `expectations.wedge`).
    """

    @property
    @abstractmethod
    def _shape(self) -> tuple[float, float]:
        """Alpha and scale."""

    @property
    @override
    def kinks(self) -> tuple[float, ...]:
        return (0.0,)

    @override
    def fn(self, x: Tensor) -> Tensor:
        alpha, scale = self._shape
        return scale * torch.nn.functional.elu(x, alpha)

    @override
    def dual(self, normal: BivariateNormal) -> Tensor:
        """Sum the three parts of kappa, in float64."""
        alpha, scale = self._shape
        wide = normal.to(torch.float64)
        total = ReLU().dual(wide)
        if alpha:
            rule, (turn, rest) = _rule(wide), _wedges(_off_ends(wide))
            total = total + alpha * _mixed(rule, wide.std1, wide.std2, turn)
            total = total + alpha**2 * _both(rule, wide.std1, wide.std2, rest)
        return (scale**2 * total).to(normal.delta.dtype)

    @override
    def dual_slope(self, normal: BivariateNormal) -> Tensor:
        """Sum the three parts of the slope, in float64; those of exponentials are 1 plus a radial integral."""
        alpha, scale = self._shape
        wide = normal.to(torch.float64)
        s, t = wide.std1, wide.std2
        turn, rest = _wedges(wide)
        total = (rest * (1 + alpha**2) + 2 * alpha * turn) / (2 * math.pi)
        if alpha:
            rule = _rule(wide)
            total = total + alpha * wedge_integral(rule, turn, lambda u, v: radial_decay(t * v) + radial_decay(s * u))
            total = total + alpha**2 * wedge_integral(rule, rest, lambda u, v: radial_decay(s * u + t * v))
        return broadcast((scale**2 * total).to(normal.delta.dtype), normal)


@dataclass(frozen=True)
class ELU(_ExponentialLinear):
    """``x`` above zero, ``alpha (exp(x) - 1)`` below (Clevert, Unterthiner and Hochreiter, ICLR 2016).

    Parameters
    ----------
    alpha : float
    """

    alpha: float = 1.0

    def __post_init__(self) -> None:
        require_finite(self, alpha=self.alpha)

    @property
    @override
    def _shape(self) -> tuple[float, float]:
        return self.alpha, 1.0


@dataclass(frozen=True)
class SELU(_ExponentialLinear):
    """The self-normalising scaled ELU (Klambauer, Unterthiner, Mayr and Hochreiter, NeurIPS 2017)."""

    @property
    @override
    def _shape(self) -> tuple[float, float]:
        return _SELU_ALPHA, _SELU_SCALE


@dataclass(frozen=True)
class CELU(Activation):
    """max(x, 0) + min(alpha (exp(x / alpha) - 1), 0) with ``alpha`` > 0."""

    alpha: float = 1.0

    def __post_init__(self) -> None:
        require_positive(self, alpha=self.alpha)

    @property
    @override
    def kinks(self) -> tuple[float, ...]:
        return (0.0,)

    @override
    def fn(self, x: Tensor) -> Tensor:
        return torch.nn.functional.celu(x, self.alpha)

    @override
    def dual(self, normal: BivariateNormal) -> Tensor:
        """Return alpha^2 times the dual of the ELU at X / alpha and Y / alpha."""
        return self.alpha**2 * ELU().dual(self._scaled(normal))

    @override
    def dual_slope(self, normal: BivariateNormal) -> Tensor:
        """Return the slope of the ELU at X / alpha and Y / alpha."""
        return ELU().dual_slope(self._scaled(normal))

    def _scaled(self, normal: BivariateNormal) -> BivariateNormal:
        return BivariateNormal(normal.std1 / self.alpha, normal.std2 / self.alpha, normal.delta, normal.one_plus)
