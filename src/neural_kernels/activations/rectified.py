"""Steps and powers of the positive part: the arc-cosine kernels of every order."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor
from typing_extensions import override

from neural_kernels.activations.base import Activation
from neural_kernels.activations.expectations.normal import BivariateNormal, broadcast, chord
from neural_kernels.checks import require_integer


def _alive(normal: BivariateNormal) -> Tensor:
    """Whether neither variable is identically 0, entry by entry."""
    return (normal.std1 > 0) & (normal.std2 > 0)


class _Jump(Activation):
    """A function that jumps at the origin and is constant on either side; its slope is taken as 0."""

    @property
    @override
    def kinks(self) -> tuple[float, ...]:
        return (0.0,)

    @override
    def dual_slope(self, normal: BivariateNormal) -> Tensor:
        """Return 0, the almost-everywhere derivative's."""
        return broadcast(torch.zeros_like(normal.delta), normal)

    @override
    def slope_std(self, std: Tensor) -> Tensor:
        return torch.zeros_like(std)

    @override
    def slope_delta(self, normal: BivariateNormal) -> Tensor:
        """Return 0, of no meaning: the slope vanishes."""
        return broadcast(torch.zeros_like(normal.delta), normal)


@dataclass(frozen=True)
class Sign(_Jump):
    """-1 below zero, 1 above: ``kappa = 1 - 2 theta / pi`` (Sheppard, 1899); slope 0."""

    @override
    def fn(self, x: Tensor) -> Tensor:
        """Return the sign of x, 0 at 0."""
        return torch.sign(x)

    @property
    @override
    def odd(self) -> bool:
        return True

    @override
    def dual(self, normal: BivariateNormal) -> Tensor:
        """Return 1 - 2 theta / pi, 0 where a variable is identically 0."""
        tilt = 1 - 2 / math.pi * normal.acute_angle
        return torch.where(_alive(normal), torch.where(normal.delta <= 1, tilt, -tilt), 0)

    @override
    def std(self, std: Tensor) -> Tensor:
        """Return 1, and 0 at 0."""
        return (std > 0).to(std.dtype)

    @override
    def delta(self, normal: BivariateNormal) -> Tensor:
        """Return 2 theta / pi."""
        return broadcast(2 / math.pi * normal.angle, normal)


@dataclass(frozen=True)
class Step(_Jump):
    """0 up to zero, 1 above: ``kappa = (pi - theta) / (2 pi)`` (Cho and Saul, NeurIPS 2009, order 0); slope 0."""

    @override
    def fn(self, x: Tensor) -> Tensor:
        return (x > 0).to(x.dtype)

    @property
    @override
    def odd(self) -> bool:
        return False

    @override
    def dual(self, normal: BivariateNormal) -> Tensor:
        """Return (pi - theta) / (2 pi), 0 where a variable is identically 0."""
        return torch.where(_alive(normal), _angular(0, normal) / (2 * math.pi), 0)

    @override
    def std(self, std: Tensor) -> Tensor:
        """Return sqrt(1 / 2), and 0 at 0."""
        return (std > 0).to(std.dtype) * math.sqrt(0.5)

    @override
    def delta(self, normal: BivariateNormal) -> Tensor:
        """Return theta / pi."""
        return broadcast(normal.angle / math.pi, normal)


@dataclass(frozen=True)
class RectifiedMonomial(Activation):
    """``x^k`` for x > 0, else 0: the arc-cosine kernel of order k.

    ``kappa = (s t)^k J_k(theta) / (2 pi)`` and ``slope = k^2 (s t)^(k-1) J_(k-1)(theta) / (2 pi)`` (Cho and Saul,
    NeurIPS 2009), with ``J_0 = pi - theta``, ``J_1 = sin(theta) + (pi - theta) cos(theta)`` and, by parts,
    ``J_n = (2 n - 1) cos(theta) J_(n-1) + (n - 1)^2 sin(theta)^2 J_(n-2)``, which divides by no sine.

    Parameters
    ----------
    k : int
        Non-negative; 0 is :class:`Step`, 1 is ReLU.
    """

    k: int

    def __post_init__(self) -> None:
        require_integer(self, 0, k=self.k)
        object.__setattr__(self, "k", int(self.k))

    @override
    def fn(self, x: Tensor) -> Tensor:
        positive = x > 0
        return torch.where(positive, torch.where(positive, x, 1) ** self.k, 0)

    @property
    @override
    def kinks(self) -> tuple[float, ...]:
        return (0.0,)

    @property
    @override
    def closed_form(self) -> bool:
        return True

    @property
    @override
    def arc_order(self) -> int | None:
        return self.k if self.k > 1 else None

    @property
    @override
    def odd(self) -> bool:
        return False

    @override
    def dual(self, normal: BivariateNormal) -> Tensor:
        if self.k == 0:
            return Step().dual(normal)
        return (normal.std1 * normal.std2) ** self.k * _angular(self.k, normal) / (2 * math.pi)

    @override
    def dual_slope(self, normal: BivariateNormal) -> Tensor:
        """Return k^2 (s t)^(k-1) J_(k-1)(theta) / (2 pi); 0 for k = 0."""
        if self.k == 0:
            return Step().dual_slope(normal)
        scale = self.k**2 / (2 * math.pi) * (normal.std1 * normal.std2) ** (self.k - 1)
        return scale * _angular(self.k - 1, normal)

    @override
    def std(self, std: Tensor) -> Tensor:
        """Return s^k sqrt((2 k - 1)!! / 2)."""
        return Step().std(std) if self.k == 0 else std**self.k * math.sqrt(_odd_factorial(self.k) / 2)

    @override
    def slope_std(self, std: Tensor) -> Tensor:
        """Return k s^(k-1) sqrt((2 k - 3)!! / 2)."""
        if self.k == 0:
            return torch.zeros_like(std)
        return self.k * std ** (self.k - 1) * math.sqrt(_odd_factorial(self.k - 1) / 2)

    @override
    def delta(self, normal: BivariateNormal) -> Tensor:
        """Return 1 - J_k(theta) / J_k(0)."""
        return _angular_delta(self.k, normal)

    @override
    def slope_delta(self, normal: BivariateNormal) -> Tensor:
        """Return the same for k - 1; 0, of no meaning, for k = 0."""
        return _angular_delta(self.k - 1, normal) if self.k else Step().slope_delta(normal)


def _odd_factorial(n: int) -> int:
    """Return (2 n - 1)!!, which is J_n(0) / pi."""
    return math.prod(range(1, 2 * n, 2))


def _angular(n: int, normal: BivariateNormal) -> Tensor:
    """Return J_n of the angle; J_1 = pi cos(theta) + h(theta) below pi / 2 and h(pi - theta) beyond."""
    delta, angle = normal.delta, normal.acute_angle
    previous = torch.where(delta <= 1, math.pi - angle, angle)
    if n == 0:
        return previous
    current = chord(angle) + torch.where(delta <= 1, math.pi * normal.rho, 0)
    square = delta * normal.opposite
    for m in range(2, n + 1):
        previous, current = current, (2 * m - 1) * normal.rho * current + (m - 1) ** 2 * square * previous
    return current


def _angular_delta(n: int, normal: BivariateNormal) -> Tensor:
    """Return 1 - J_n(theta) / J_n(0), with the leading difference exact for n = 0 and in float64 beyond."""
    if n == 0:
        return broadcast(normal.angle / math.pi, normal)
    ratio = _angular(n, normal.to(torch.float64)) / (math.pi * _odd_factorial(n))
    result = torch.where(normal.delta == 0, 0, (1 - ratio).clamp(0, 2))
    return broadcast(result.to(normal.delta.dtype), normal)
