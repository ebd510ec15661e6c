"""Sines and cosines."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from neural_kernels.activations.base import Activation
from neural_kernels.activations.expectations.normal import BivariateNormal, broadcast
from neural_kernels.checks import require_finite, require_positive


def opposite(normal: BivariateNormal) -> BivariateNormal:
    """X and -Y, as variables whose correlation is the negative of the given one."""
    return BivariateNormal(normal.std1, normal.std2, 2 - normal.delta)


def exp_difference(minus: Tensor, plus: Tensor, gap: Tensor) -> Tensor:
    """exp(-minus) - exp(-plus) where ``gap = plus - minus`` is known without cancellation."""
    ahead = gap >= 0
    positive, negative = torch.where(ahead, gap, 0), torch.where(ahead, 0, gap)
    return torch.where(ahead, -torch.exp(-minus) * torch.expm1(-positive), torch.exp(-plus) * torch.expm1(negative))


def _sine_dual(frequency: float, weight: float, normal: BivariateNormal) -> Tensor:
    """(u - w) / 2 + weight w with u, w = exp(-frequency^2 (p + q -+ 2 k) / 2), as one expm1 and one exp."""
    half = frequency**2 / 2
    minus, plus = half * normal.squared_distance, half * opposite(normal).squared_distance
    return exp_difference(minus, plus, 4 * half * normal.cov) / 2 + weight * torch.exp(-plus)


@dataclass(frozen=True)
class Sin(Activation):
    """``a sin(b x + c)``.

    With ``u, w = exp(-b^2 (p + q -+ 2 k) / 2)``,
    ``kappa = a^2 [(u - w) / 2 + sin(c)^2 w]`` and ``slope = a^2 b^2 [(u - w) / 2 + cos(c)^2 w]``
    (from the characteristic function of a normal variable).

    Parameters
    ----------
    a, b, c : float
    """

    a: float = 1.0
    b: float = 1.0
    c: float = 0.0

    def __post_init__(self) -> None:
        """Check the parameters."""
        require_finite(self, a=self.a, b=self.b, c=self.c)

    def fn(self, x: Tensor) -> Tensor:
        """Return ``a sin(b x + c)``."""
        return self.a * torch.sin(self.b * x + self.c)

    def dual(self, normal: BivariateNormal) -> Tensor:
        """Kappa as above."""
        return self.a**2 * _sine_dual(self.b, math.sin(self.c) ** 2, normal)

    def dual_slope(self, normal: BivariateNormal) -> Tensor:
        """Slope as above."""
        return (self.a * self.b) ** 2 * _sine_dual(self.b, math.cos(self.c) ** 2, normal)


@dataclass(frozen=True)
class Cos(Activation):
    """``a cos(b x + c)``: :class:`Sin` with sin(c) and cos(c) exchanged.

    Parameters
    ----------
    a, b, c : float
    """

    a: float = 1.0
    b: float = 1.0
    c: float = 0.0

    def __post_init__(self) -> None:
        """Check the parameters."""
        require_finite(self, a=self.a, b=self.b, c=self.c)

    def fn(self, x: Tensor) -> Tensor:
        """Return ``a cos(b x + c)``."""
        return self.a * torch.cos(self.b * x + self.c)

    def dual(self, normal: BivariateNormal) -> Tensor:
        """``a^2 [(u - w) / 2 + cos(c)^2 w]``."""
        return self.a**2 * _sine_dual(self.b, math.cos(self.c) ** 2, normal)

    def dual_slope(self, normal: BivariateNormal) -> Tensor:
        """``a^2 b^2 [(u - w) / 2 + sin(c)^2 w]``."""
        return (self.a * self.b) ** 2 * _sine_dual(self.b, math.sin(self.c) ** 2, normal)


@dataclass(frozen=True)
class RBF(Activation):
    """``sqrt(2) sin(sqrt(2 gamma) x + pi / 4)``, whose dual is the Gaussian kernel of the input.

    ``kappa = exp(-gamma E[(X - Y)^2])`` and ``slope = 2 gamma kappa`` (Rahimi and Recht, NeurIPS 2007).

    Parameters
    ----------
    gamma : float
        Positive.
    """

    gamma: float = 1.0

    def __post_init__(self) -> None:
        """Check the parameter."""
        require_positive(self, gamma=self.gamma)

    def fn(self, x: Tensor) -> Tensor:
        """``sqrt(2) sin(sqrt(2 gamma) x + pi / 4)``."""
        return math.sqrt(2) * torch.sin(math.sqrt(2 * self.gamma) * x + math.pi / 4)

    def dual(self, normal: BivariateNormal) -> Tensor:
        """exp(-gamma E[(X - Y)^2])."""
        return torch.exp(-self.gamma * normal.squared_distance)

    def dual_slope(self, normal: BivariateNormal) -> Tensor:
        """2 gamma kappa."""
        return 2 * self.gamma * self.dual(normal)

    def std(self, std: Tensor) -> Tensor:
        """1."""
        return torch.ones_like(std)

    def slope_std(self, std: Tensor) -> Tensor:
        """sqrt(2 gamma)."""
        return torch.full_like(std, math.sqrt(2 * self.gamma))

    def delta(self, normal: BivariateNormal) -> Tensor:
        """1 - kappa, as one expm1."""
        return broadcast(-torch.expm1(-self.gamma * normal.squared_distance), normal)

    def slope_delta(self, normal: BivariateNormal) -> Tensor:
        """Equal to that of the value: the slope is a multiple of it."""
        return self.delta(normal)
