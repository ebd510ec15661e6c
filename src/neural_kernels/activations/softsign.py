"""The algebraic sigmoid."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor
from typing_extensions import override

from neural_kernels.activations.expectations.normal import BivariateNormal
from neural_kernels.activations.expectations.wedge import angular_rule, wedge_integral
from neural_kernels.activations.numeric import NumericActivation

_ENTRIES = 1 << 16  # of one block of radii: few calls for small inputs, little memory for large ones


@dataclass(frozen=True)
class Softsign(NumericActivation):
    """x / (1 + |x|)."""

    _kinks = (0.0,)

    @override
    def fn(self, x: Tensor) -> Tensor:
        return F.softsign(x)

    @override
    def dual(self, normal: BivariateNormal) -> Tensor:
        """Integrate over equal less opposite signs in polar coordinates: too sharp for a series at large std."""
        same, opposite = _quadrants(normal, lambda x: x / (1 + x))
        return (same - opposite).to(normal.delta.dtype)

    @override
    def dual_slope(self, normal: BivariateNormal) -> Tensor:
        """Integrate 1 / (1 + |x|)^2, which is even, over equal and opposite signs."""
        same, opposite = _quadrants(normal, lambda x: (1 + x) ** -2)
        return (same + opposite).to(normal.delta.dtype)


def _quadrants(normal: BivariateNormal, fn: Callable[[Tensor], Tensor]) -> tuple[Tensor, Tensor]:
    """Return E[fn(|X|) fn(|Y|)] over equal and over opposite signs, by nodes even in log radius."""
    x = normal.to(torch.float64)
    step = 0.2
    radii = torch.exp(step * torch.arange(-62, 12, dtype=torch.float64, device=x.delta.device))

    def radial(u: Tensor, v: Tensor) -> Tensor:
        total = torch.zeros_like(u)
        for part in radii.split(max(1, _ENTRIES // max(1, u.numel()))):
            r = part.reshape(-1, *(1 for _ in range(u.ndim)))
            total = total + (step * r * r * torch.exp(-r * r / 2) * fn(x.std1 * r * u) * fn(x.std2 * r * v)).sum(0)
        return total

    rule = angular_rule(math.inf)
    return 2 * wedge_integral(rule, math.pi - x.angle, radial), 2 * wedge_integral(rule, x.angle, radial)
