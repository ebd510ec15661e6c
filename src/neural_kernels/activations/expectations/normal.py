"""The two jointly normal variables that every dual kernel integrates over."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from neural_kernels.runtime.numerics import safe_sqrt

# (sin x - x cos x) / x^3 = sum_n (-1)^(n+1) 2n / (2n+1)! x^(2n-2); twelve terms are exact to rounding up to pi / 2
_CHORD_SERIES = [(-1) ** (n + 1) * 2 * n / math.factorial(2 * n + 1) for n in range(1, 13)]


@dataclass(frozen=True)
class BivariateNormal:
    """Centred jointly normal X and Y, as standard deviations and one minus the correlation.

    With ``delta = 1 - corr(X, Y)`` nothing that a dual kernel needs is a difference of near equals: the angle is
    ``2 asin(sqrt(delta / 2))`` and the determinant ``(std1 std2)^2 delta (2 - delta)``, exact to rounding where X and Y
    nearly agree, which is where the slope of a kinked activation has its square-root cusp.

    Parameters
    ----------
    std1, std2 : Tensor
        Standard deviations of X and Y, non-negative, broadcastable with ``delta``.
    delta : Tensor
        One minus the correlation, in [0, 2]. Where a standard deviation is 0 it may be anything in that range.
    one_plus : Tensor, optional
        One plus the correlation, where it is known better than by 2 - delta, which is known to rounding of one alone.
    """

    std1: Tensor
    std2: Tensor
    delta: Tensor
    one_plus: Tensor | None = None

    def to(self, dtype: torch.dtype) -> BivariateNormal:
        """Return the same variables in another floating-point type."""
        one_plus = None if self.one_plus is None else self.one_plus.to(dtype)
        return BivariateNormal(self.std1.to(dtype), self.std2.to(dtype), self.delta.to(dtype), one_plus)

    @property
    def opposite(self) -> Tensor:
        """One plus the correlation, as well as it is known."""
        return 2 - self.delta if self.one_plus is None else self.one_plus

    @property
    def var1(self) -> Tensor:
        """E[X^2]."""
        return self.std1 * self.std1

    @property
    def var2(self) -> Tensor:
        """E[Y^2]."""
        return self.std2 * self.std2

    @property
    def rho(self) -> Tensor:
        """The correlation of X and Y."""
        return 1 - self.delta

    @property
    def cov(self) -> Tensor:
        """E[XY]."""
        return self.std1 * self.std2 * (1 - self.delta)

    @property
    def det(self) -> Tensor:
        """E[X^2] E[Y^2] - E[XY]^2, without cancellation."""
        product = self.std1 * self.std2
        return product * product * self.delta * self.opposite

    @property
    def squared_distance(self) -> Tensor:
        """E[(X - Y)^2], without cancellation."""
        difference = self.std1 - self.std2
        return difference * difference + 2 * self.std1 * self.std2 * self.delta

    @property
    def angle(self) -> Tensor:
        """Arccos of the correlation, in [0, pi]; its gradient at coincidence is taken as 0."""
        # Rounding tells whether two equal rows are a little apart, and to which side: a gradient of it would be noise.
        noise = (8 * torch.finfo(self.delta.dtype).eps) ** 2
        return 2 * torch.atan2(safe_sqrt(self.delta, noise), safe_sqrt(self.opposite, noise))

    @property
    def acute_angle(self) -> Tensor:
        """min(theta, pi - theta) of the angle theta, accurate at both ends."""
        near = torch.where(self.delta <= 1, self.delta, self.opposite)
        return 2 * torch.atan2(safe_sqrt(near), safe_sqrt(2 - near))


def chord(angle: Tensor) -> Tensor:
    """Return sin(x) - x cos(x) for 0 <= x <= pi / 2, without cancellation."""
    square = angle * angle
    total = torch.full_like(square, _CHORD_SERIES[-1])
    for coefficient in reversed(_CHORD_SERIES[:-1]):
        total = total * square + coefficient
    return total * square * angle


def broadcast(value: Tensor, normal: BivariateNormal) -> Tensor:
    """Return ``value`` in the broadcast shape of the normal variables."""
    shape = torch.broadcast_shapes(normal.std1.shape, normal.std2.shape, normal.delta.shape)
    return value.expand(shape)
