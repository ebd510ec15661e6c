"""Duals of the correlation alone, without an activation."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor
from typing_extensions import override

from neural_kernels.activations.base import Dual
from neural_kernels.activations.expectations.hermite import HermiteSeries
from neural_kernels.activations.expectations.normal import BivariateNormal, broadcast
from neural_kernels.checks import require_positive


@dataclass(frozen=True)
class NormalizedGaussian(Dual):
    """A kernel without an activation: ``kappa = s t exp(gamma (rho - 1))``, ``slope = gamma exp(gamma (rho - 1))``.

    The Gaussian kernel of the normalised inputs, scaled back (Mairal et al., NeurIPS 2014; the `ExpNormalized` of
    neural-tangents).

    Parameters
    ----------
    gamma : float
        Positive.
    """

    gamma: float = 1.0

    def __post_init__(self) -> None:
        require_positive(self, gamma=self.gamma)

    @override
    def dual(self, normal: BivariateNormal) -> Tensor:
        return normal.std1 * normal.std2 * torch.exp(-self.gamma * normal.delta)

    @override
    def dual_slope(self, normal: BivariateNormal) -> Tensor:
        return broadcast(self.gamma * torch.exp(-self.gamma * normal.delta), normal)

    @override
    def std(self, std: Tensor) -> Tensor:
        """Return the standard deviations themselves: the map keeps them."""
        return std

    @override
    def slope_std(self, std: Tensor) -> Tensor:
        """Return sqrt(gamma)."""
        return torch.full_like(std, math.sqrt(self.gamma))

    @override
    def delta(self, normal: BivariateNormal) -> Tensor:
        """Return 1 - exp(-gamma delta), as one expm1."""
        return broadcast(-torch.expm1(-self.gamma * normal.delta), normal)

    @override
    def slope_delta(self, normal: BivariateNormal) -> Tensor:
        """Return that of the value, of which the slope is a multiple."""
        return self.delta(normal)

    @property
    @override
    def finite(self) -> bool:
        return True

    @override
    def series(self, std: Tensor, tolerance: float) -> HermiteSeries:
        """Expand in Poisson weights, e^-gamma gamma^j / j! on rho^j, cut where what is left is below ``tolerance``."""
        weights = _poisson_weights(self.gamma, tolerance)
        root = torch.tensor(weights, dtype=torch.float64, device=std.device).sqrt().to(std.dtype)
        slope = (math.sqrt(self.gamma) * root[: max(len(root) - 1, 1)]).expand(*std.shape, -1)
        return HermiteSeries(std[..., None] * root, slope)


def _poisson_weights(gamma: float, tolerance: float) -> list[float]:
    """Return P(N = j) up to the first j beyond which the tail of the slope, one degree earlier, is below tolerance."""
    weights: list[float] = []
    j, tail_bound = 0, math.inf
    while tail_bound > tolerance:
        weights.append(math.exp(j * math.log(gamma) - gamma - math.lgamma(j + 1)))
        j += 1
        ratio = gamma / (j + 1)  # beyond j the weights fall at least as fast as this
        tail_bound = weights[-1] / (1 - ratio) if ratio < 1 else math.inf
    return weights
