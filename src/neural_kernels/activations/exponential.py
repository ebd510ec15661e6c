"""Exponentials of linear and quadratic forms."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from neural_kernels.activations.base import Activation
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
        """Check the parameters."""
        require_finite(self, a=self.a, b=self.b)

    def fn(self, x: Tensor) -> Tensor:
        """Return ``a exp(b x)``."""
        return self.a * torch.exp(self.b * x)

    def dual(self, normal: BivariateNormal) -> Tensor:
        """``a^2 exp(b^2 (p + q + 2 k) / 2)``."""
        return self.a**2 * torch.exp(self.b**2 / 2 * opposite(normal).squared_distance)

    def dual_slope(self, normal: BivariateNormal) -> Tensor:
        """``b^2 kappa``."""
        return self.b**2 * self.dual(normal)

    def std(self, std: Tensor) -> Tensor:
        """Return |a| exp(b^2 p)."""
        return abs(self.a) * torch.exp(self.b**2 * std * std)

    def slope_std(self, std: Tensor) -> Tensor:
        """Return |a b| exp(b^2 p)."""
        return abs(self.b) * self.std(std)

    def delta(self, normal: BivariateNormal) -> Tensor:
        """1 - exp(-b^2 E[(X - Y)^2] / 2), as one expm1."""
        return -torch.expm1(-(self.b**2) / 2 * normal.squared_distance)

    def slope_delta(self, normal: BivariateNormal) -> Tensor:
        """Equal to that of the value: the slope is a multiple of it."""
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
        """Check the parameters."""
        require_finite(self, a=self.a, b=self.b)

    def fn(self, x: Tensor) -> Tensor:
        """Return ``a exp(b x^2)``."""
        return self.a * torch.exp(self.b * x * x)

    @property
    def odd(self) -> bool:
        """Only where it vanishes."""
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

    def dual(self, normal: BivariateNormal) -> Tensor:
        """``a^2 / D``."""
        return self.a**2 / self._root(normal)

    def dual_slope(self, normal: BivariateNormal) -> Tensor:
        """4 a^2 b^2 k / D^3."""
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

    def fn(self, x: Tensor) -> Tensor:
        """exp(-x^2) sin(x)."""
        return torch.exp(-x * x) * torch.sin(x)

    @property
    def odd(self) -> bool:
        """True."""
        return True

    def dual(self, normal: BivariateNormal) -> Tensor:
        """Kappa as above."""
        scale, minus, plus = _gabor_exponents(normal)
        return exp_difference(minus, plus, 2 * normal.cov / scale) / (2 * torch.sqrt(scale))

    def dual_slope(self, normal: BivariateNormal) -> Tensor:
        """Slope as above, every term of one sign."""
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
