"""Piecewise linear activations with one kink at the origin."""

from __future__ import annotations

import math
from abc import abstractmethod
from dataclasses import dataclass

import torch
from torch import Tensor
from typing_extensions import override

from neural_kernels.activations.base import Activation
from neural_kernels.activations.expectations.normal import BivariateNormal, broadcast, chord
from neural_kernels.checks import require_finite


class ArcCosine(Activation):
    """Slope ``a`` below zero and ``b`` above: the arc-cosine kernel of order 1 and its relatives.

    With h(theta) = sin(theta) - theta cos(theta),
    ``kappa = s t [(a^2 + b^2) / 2 cos(theta) + (a - b)^2 / (2 pi) h(theta)]`` and
    ``slope = (a^2 + b^2) / 2 - (a - b)^2 theta / (2 pi)`` (Cho and Saul, NeurIPS 2009; Tsuchida et al., ICML 2018).
    """

    @property
    @abstractmethod
    def a(self) -> float:
        """Slope below zero."""

    @property
    @abstractmethod
    def b(self) -> float:
        """Slope above zero."""

    @property
    @override
    def slopes(self) -> tuple[float, float]:
        return self.a, self.b

    @property
    @override
    def cusp(self) -> float:
        cusp = super().cusp
        assert cusp is not None
        return cusp

    @property
    @override
    def kinks(self) -> tuple[float, ...]:
        """The origin, unless the two slopes agree."""
        return () if self.a == self.b else (0.0,)

    @property
    @override
    def odd(self) -> bool:
        """Whether the two slopes agree."""
        return self.a == self.b

    @override
    def fn(self, x: Tensor) -> Tensor:
        return torch.where(x > 0, self.b * x, self.a * x)

    @override
    def dual(self, normal: BivariateNormal) -> Tensor:
        """Return kappa; beyond pi / 2 with phi = pi - theta and h(theta) = h(phi) + pi cos(phi)."""
        square, jump = (self.a**2 + self.b**2) / 2, (self.a - self.b) ** 2 / 2
        linear = torch.where(normal.delta <= 1, square * normal.rho, self.a * self.b * normal.rho)
        return normal.std1 * normal.std2 * (linear + jump / math.pi * chord(normal.acute_angle))

    @override
    def dual_slope(self, normal: BivariateNormal) -> Tensor:
        """Return the slope, which beyond pi / 2 is a b + (a - b)^2 phi / (2 pi) with phi = pi - theta."""
        square, jump = (self.a**2 + self.b**2) / 2, (self.a - self.b) ** 2 / 2
        turn = jump / math.pi * normal.acute_angle
        return broadcast(torch.where(normal.delta <= 1, square - turn, self.a * self.b + turn), normal)

    @override
    def std(self, std: Tensor) -> Tensor:
        """Return s sqrt((a^2 + b^2) / 2)."""
        return std * (math.hypot(self.a, self.b) / math.sqrt(2))

    @override
    def slope_std(self, std: Tensor) -> Tensor:
        """Return sqrt((a^2 + b^2) / 2)."""
        return torch.full_like(std, math.hypot(self.a, self.b) / math.sqrt(2))

    @override
    def delta(self, normal: BivariateNormal) -> Tensor:
        """Return delta - cusp h(theta) / pi, no difference of near equals at either end."""
        cusp, opposite = self.cusp, normal.opposite
        straight = torch.where(normal.delta <= 1, normal.delta, (2 - cusp) + (cusp - 1) * opposite)
        result = straight - cusp / math.pi * chord(normal.acute_angle)
        return broadcast(result.clamp(0, 2), normal)

    @override
    def slope_delta(self, normal: BivariateNormal) -> Tensor:
        """Return cusp theta / pi."""
        return broadcast(self.cusp / math.pi * normal.angle, normal)


@dataclass(frozen=True)
class ReLU(ArcCosine):
    """max(x, 0).

    Examples
    --------
    >>> import torch
    >>> ReLU().fn(torch.tensor([-1.0, 2.0]))
    tensor([0., 2.])
    """

    @property
    @override
    def a(self) -> float:
        return 0.0

    @property
    @override
    def b(self) -> float:
        return 1.0

    @override
    def fn(self, x: Tensor) -> Tensor:
        return torch.relu(x)


@dataclass(frozen=True)
class LeakyReLU(ArcCosine):
    """max(x, 0) + negative_slope min(x, 0).

    Parameters
    ----------
    negative_slope : float
    """

    negative_slope: float = 0.01

    def __post_init__(self) -> None:
        require_finite(self, negative_slope=self.negative_slope)

    @property
    @override
    def a(self) -> float:
        return self.negative_slope

    @property
    @override
    def b(self) -> float:
        return 1.0


@dataclass(frozen=True)
class Abs(ArcCosine):
    """|x|."""

    @property
    @override
    def a(self) -> float:
        return -1.0

    @property
    @override
    def b(self) -> float:
        return 1.0

    @override
    def fn(self, x: Tensor) -> Tensor:
        return x.abs()


@dataclass(frozen=True)
class ABReLU(ArcCosine):
    """``a min(x, 0) + b max(x, 0)``.

    Parameters
    ----------
    a : float
        Slope below zero.
    b : float
        Slope above zero.
    """

    a: float = 0.0  # pyright: ignore[reportIncompatibleVariableOverride, reportIncompatibleMethodOverride]
    b: float = 1.0  # pyright: ignore[reportIncompatibleVariableOverride, reportIncompatibleMethodOverride]

    def __post_init__(self) -> None:
        require_finite(self, a=self.a, b=self.b)
