"""Sines and cosines."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor
from typing_extensions import override

from neural_kernels.activations.base import Activation, Wave
from neural_kernels.activations.expectations.normal import BivariateNormal, broadcast
from neural_kernels.checks import require_finite, require_positive


def opposite(normal: BivariateNormal) -> BivariateNormal:
    """Return X and -Y, as variables whose correlation is the negative of the given one."""
    return BivariateNormal(normal.std1, normal.std2, normal.opposite, normal.delta)


def exp_difference(minus: Tensor, plus: Tensor, gap: Tensor) -> Tensor:
    """Return exp(-minus) - exp(-plus), where ``gap = plus - minus`` is known without cancellation."""
    ahead = gap >= 0
    positive, negative = torch.where(ahead, gap, 0), torch.where(ahead, 0, gap)
    return torch.where(ahead, -torch.exp(-minus) * torch.expm1(-positive), torch.exp(-plus) * torch.expm1(negative))


def _sine_dual(frequency: float, weight: float, normal: BivariateNormal) -> Tensor:
    """Return (u - w) / 2 + weight w, u and w = exp(-frequency^2 (p + q -+ 2 k) / 2), by one expm1 and one exp."""
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
        require_finite(self, a=self.a, b=self.b, c=self.c)

    @override
    def fn(self, x: Tensor) -> Tensor:
        return self.a * torch.sin(self.b * x + self.c)

    @property
    @override
    def wave(self) -> Wave:
        return Wave(self.a, 0.0, self.b, math.sin(self.c) ** 2)

    @override
    def dual(self, normal: BivariateNormal) -> Tensor:
        return self.a**2 * _sine_dual(self.b, math.sin(self.c) ** 2, normal)

    @override
    def dual_slope(self, normal: BivariateNormal) -> Tensor:
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
        require_finite(self, a=self.a, b=self.b, c=self.c)

    @override
    def fn(self, x: Tensor) -> Tensor:
        return self.a * torch.cos(self.b * x + self.c)

    @property
    @override
    def wave(self) -> Wave:
        return Wave(self.a, 0.0, self.b, math.cos(self.c) ** 2)

    @override
    def dual(self, normal: BivariateNormal) -> Tensor:
        """Return ``a^2 [(u - w) / 2 + cos(c)^2 w]``."""
        return self.a**2 * _sine_dual(self.b, math.cos(self.c) ** 2, normal)

    @override
    def dual_slope(self, normal: BivariateNormal) -> Tensor:
        """Return ``a^2 b^2 [(u - w) / 2 + sin(c)^2 w]``."""
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
        require_positive(self, gamma=self.gamma)

    @override
    def fn(self, x: Tensor) -> Tensor:
        return math.sqrt(2) * torch.sin(math.sqrt(2 * self.gamma) * x + math.pi / 4)

    @property
    @override
    def wave(self) -> Wave:
        return Wave(math.sqrt(2), 0.0, math.sqrt(2 * self.gamma), 0.5)

    @override
    def dual(self, normal: BivariateNormal) -> Tensor:
        return torch.exp(-self.gamma * normal.squared_distance)

    @override
    def dual_slope(self, normal: BivariateNormal) -> Tensor:
        return 2 * self.gamma * self.dual(normal)

    @override
    def std(self, std: Tensor) -> Tensor:
        """Return 1, the variance of the units at any scale."""
        return torch.ones_like(std)

    @override
    def slope_std(self, std: Tensor) -> Tensor:
        """Return sqrt(2 gamma)."""
        return torch.full_like(std, math.sqrt(2 * self.gamma))

    @override
    def delta(self, normal: BivariateNormal) -> Tensor:
        """Return 1 - kappa, as one expm1."""
        return broadcast(-torch.expm1(-self.gamma * normal.squared_distance), normal)

    @override
    def slope_delta(self, normal: BivariateNormal) -> Tensor:
        """Return that of the value, of which the slope is a multiple."""
        return self.delta(normal)
