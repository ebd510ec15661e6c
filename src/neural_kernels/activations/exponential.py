"""Exponentials of linear and quadratic forms."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from typing_extensions import override

from neural_kernels.activations.base import Activation, Wave
from neural_kernels.activations.expectations.normal import BivariateNormal
from neural_kernels.activations.trigonometric import exp_difference, opposite
from neural_kernels.checks import require_finite


@dataclass(frozen=True)
class Exp(Activation):
    """``a exp(b x)``.

    ``kappa = a^2 exp(b^2 (p + q + 2 k) / 2)`` and ``slope = b^2 kappa`` (the moment generating function). The value
    overflows where E[exp(2 b X)] = exp(2 b^2 p) does; the correlation never does.

    Parameters
    ----------
    a, b : float
    """

    a: float = 1.0
    b: float = 1.0

    def __post_init__(self) -> None:
        require_finite(self, a=self.a, b=self.b)

    @override
    def fn(self, x: Tensor) -> Tensor:
        return self.a * torch.exp(self.b * x)

    @override
    def dual(self, normal: BivariateNormal) -> Tensor:
        return self.a**2 * torch.exp(self.b**2 / 2 * opposite(normal).squared_distance)

    @override
    def dual_slope(self, normal: BivariateNormal) -> Tensor:
        return self.b**2 * self.dual(normal)

    @override
    def std(self, std: Tensor) -> Tensor:
        """Return |a| exp(b^2 p)."""
        return abs(self.a) * torch.exp(self.b**2 * std * std)

    @override
    def slope_std(self, std: Tensor) -> Tensor:
        """Return |a b| exp(b^2 p)."""
        return abs(self.b) * self.std(std)

    @override
    def delta(self, normal: BivariateNormal) -> Tensor:
        """Return 1 - exp(-b^2 E[(X - Y)^2] / 2), as one expm1."""
        return -torch.expm1(-(self.b**2) / 2 * normal.squared_distance)

    @override
    def slope_delta(self, normal: BivariateNormal) -> Tensor:
        """Return that of the value, of which the slope is a multiple."""
        return self.delta(normal)


@dataclass(frozen=True)
class Gaussian(Activation):
    """``a exp(b x^2)``, a bump for negative ``b``.

    With ``D^2 = 1 - 2 b (p + q) + 4 b^2 (p q - k^2)``, ``kappa = a^2 / D`` and ``slope = 4 a^2 b^2 k / D^3``
    (a Gaussian integral).

    Parameters
    ----------
    a : float
    b : float
        Where positive, the second moment is finite only for variances below ``1 / (4 b)``.
    """

    a: float = 1.0
    b: float = -1.0

    def __post_init__(self) -> None:
        require_finite(self, a=self.a, b=self.b)

    @override
    def fn(self, x: Tensor) -> Tensor:
        return self.a * torch.exp(self.b * x * x)

    @property
    @override
    def wave(self) -> Wave:
        return Wave(self.a, -self.b, 0.0, 1.0)

    @property
    @override
    def odd(self) -> bool:
        """Whether the function vanishes."""
        return self.a == 0

    def _root(self, normal: BivariateNormal) -> Tensor:
        p, q = normal.var1, normal.var2
        if self.b > 0:
            largest = max((float(v.detach().max()) for v in (p, q) if v.numel()), default=0.0)
            if 4 * self.b * largest >= 1:
                raise ValueError(
                    f"{self!r} has no second moment at variance {largest:.6g}: with b > 0 the variance of its input "
                    f"must stay below 1 / (4 b) = {0.25 / self.b:.6g}; scale the input down or take a smaller b"
                )
        return torch.sqrt(1 - 2 * self.b * (p + q) + 4 * self.b**2 * normal.det)

    @override
    def dual(self, normal: BivariateNormal) -> Tensor:
        return self.a**2 / self._root(normal)

    @override
    def dual_slope(self, normal: BivariateNormal) -> Tensor:
        root = self._root(normal)
        return 4 * (self.a * self.b) ** 2 * (normal.cov / root) / root / root


@dataclass(frozen=True)
class Gabor(Activation):
    """``exp(-x^2) sin(x)``.

    With ``d = 4 (p q - k^2)``, ``e = 2 (p + q) + d + 1``, ``A-+ = exp(-(p + q + d -+ 2 k) / (2 e))``,
    ``kappa = (A- - A+) / (2 sqrt(e))`` and
    ``slope = [S (A- + A+) + T (A- - A+)] / (2 e^(5/2))``, ``S = 1 + 2 (p + q) + 4 (k^2 + p q)``,
    ``T = 4 k (d + 3 (p + q) + 2)`` (a Gaussian integral; Han et al., NeurIPS 2022, appendix).
    """

    @override
    def fn(self, x: Tensor) -> Tensor:
        return torch.exp(-x * x) * torch.sin(x)

    @property
    @override
    def wave(self) -> Wave:
        return Wave(1.0, 1.0, 1.0, 0.0)

    @property
    @override
    def odd(self) -> bool:
        return True

    @override
    def dual(self, normal: BivariateNormal) -> Tensor:
        scale, minus, plus = _gabor_exponents(normal)
        return exp_difference(minus, plus, 2 * normal.cov / scale) / (2 * torch.sqrt(scale))

    @override
    def dual_slope(self, normal: BivariateNormal) -> Tensor:
        """Return the slope, as a sum of two terms of one sign."""
        scale, minus, plus = _gabor_exponents(normal)
        p, q, k = normal.var1, normal.var2, normal.cov
        even = 1 + 2 * (p + q) + 4 * (k * k + p * q)
        odd = 4 * k * (4 * normal.det + 3 * (p + q) + 2)
        total = torch.exp(-minus) + torch.exp(-plus)
        difference = exp_difference(minus, plus, 2 * k / scale)
        return (even / scale * total + odd / scale * difference) / (2 * scale * torch.sqrt(scale))


def _gabor_exponents(normal: BivariateNormal) -> tuple[Tensor, Tensor, Tensor]:
    """Return e of :class:`Gabor` and the two exponents."""
    spread = 4 * normal.det
    scale = 2 * (normal.var1 + normal.var2) + spread + 1
    minus = (normal.squared_distance + spread) / (2 * scale)
    plus = (opposite(normal).squared_distance + spread) / (2 * scale)
    return scale, minus, plus
