"""Polynomials: their Hermite series is finite, and is the dual."""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from typing_extensions import override

from neural_kernels.activations.base import Activation
from neural_kernels.activations.expectations.hermite import HermiteSeries
from neural_kernels.activations.expectations.normal import BivariateNormal, broadcast
from neural_kernels.activations.expectations.powers import power_coefficients
from neural_kernels.algebra import KernelPair, Traits
from neural_kernels.checks import require_finite, require_integer


class _FiniteSeries(Activation):
    """A polynomial, whose dual is a finite series.

    With r_l(s) the l-th orthonormal Hermite coefficient of x -> fn(s x), kappa = sum_l r_l(s) r_l(t) rho^l
    (Mehler's formula; Daniely, Frostig and Singer, NeurIPS 2016.)
    """

    @abstractmethod
    def _value_coefficients(self, std: Tensor) -> list[Tensor]:
        """Return r_0, r_1, ... of the function, each of the shape of ``std``."""

    @abstractmethod
    def _slope_coefficients(self, std: Tensor) -> list[Tensor]:
        """Return r_0, r_1, ... of the derivative, at least one."""

    @override
    def dual(self, normal: BivariateNormal) -> Tensor:
        """Return the sum over l of r_l(s) r_l(t) rho^l."""
        return _series_sum(self._value_coefficients, normal)

    @override
    def dual_slope(self, normal: BivariateNormal) -> Tensor:
        return _series_sum(self._slope_coefficients, normal)

    @override
    def std(self, std: Tensor) -> Tensor:
        """Return the norm of the coefficients."""
        return _norm(self._value_coefficients(std))

    @override
    def slope_std(self, std: Tensor) -> Tensor:
        return _norm(self._slope_coefficients(std))

    @property
    @override
    def finite(self) -> bool:
        return True

    @override
    def series(self, std: Tensor, tolerance: float) -> HermiteSeries:
        """Return all of the series, which is finite, whatever the tolerance."""
        value, slope = self._value_coefficients(std), self._slope_coefficients(std)
        return HermiteSeries(torch.stack(value, dim=-1), torch.stack(slope, dim=-1))


def _series_sum(coefficients: Any, normal: BivariateNormal) -> Tensor:
    first = coefficients(normal.std1)
    second = first if normal.std1 is normal.std2 else coefficients(normal.std2)
    total = torch.zeros_like(normal.delta)
    for r1, r2 in zip(reversed(first), reversed(second), strict=True):
        total = total * normal.rho + r1 * r2
    return broadcast(total, normal)


def _norm(coefficients: list[Tensor]) -> Tensor:
    """Return the root of the sum of squares, so scaled that none overflows or vanishes; gradient 0 where all are 0."""
    stacked = torch.stack(coefficients, dim=-1)
    zero = (stacked == 0).all(dim=-1, keepdim=True)
    norm = torch.linalg.vector_norm(torch.where(zero, torch.ones_like(stacked), stacked), dim=-1)
    return torch.where(zero.squeeze(-1), 0, norm)


@dataclass(frozen=True)
class Polynomial(_FiniteSeries):
    """``coefficients[0] + coefficients[1] x + coefficients[2] x^2 + ...``.

    Parameters
    ----------
    coefficients : sequence of float
        Ascending, at least one; kept as a tuple.
    """

    coefficients: Sequence[float]

    def __post_init__(self) -> None:
        if isinstance(self.coefficients, str | bytes) or not hasattr(self.coefficients, "__iter__"):
            raise TypeError(f"Polynomial(coefficients={self.coefficients!r}): expected a sequence of numbers")
        values = tuple(self.coefficients)
        if not values:
            raise ValueError("Polynomial(coefficients=()): expected at least one number")
        require_finite(self, **{f"coefficients[{i}]": value for i, value in enumerate(values)})
        object.__setattr__(self, "coefficients", tuple(float(value) for value in values))

    @override
    def fn(self, x: Tensor) -> Tensor:
        """Evaluate the polynomial by Horner's rule."""
        total = torch.zeros_like(x)
        for coefficient in reversed(self.coefficients):
            total = total * x + coefficient
        return total

    @property
    @override
    def odd(self) -> bool:
        """Whether every even coefficient is 0."""
        return not any(self.coefficients[::2])

    @override
    def _value_coefficients(self, std: Tensor) -> list[Tensor]:
        return power_coefficients(self.coefficients, std)

    @override
    def _slope_coefficients(self, std: Tensor) -> list[Tensor]:
        return power_coefficients([j * a for j, a in enumerate(self.coefficients)][1:], std)


@dataclass(frozen=True)
class Monomial(_FiniteSeries):
    """``x^k``.

    kappa = sum over l = k, k - 2, ... of k!^2 / (l! ((k-l)/2)!^2 2^(k-l)) cov^l (p q)^((k-l)/2).

    Parameters
    ----------
    k : int
        Non-negative.
    """

    k: int

    def __post_init__(self) -> None:
        require_integer(self, 0, k=self.k)
        object.__setattr__(self, "k", int(self.k))

    @override
    def fn(self, x: Tensor) -> Tensor:
        return x**self.k

    @property
    @override
    def odd(self) -> bool:
        return self.k % 2 == 1

    @override
    def _value_coefficients(self, std: Tensor) -> list[Tensor]:
        return power_coefficients([0.0] * self.k + [1.0], std)

    @override
    def _slope_coefficients(self, std: Tensor) -> list[Tensor]:
        return power_coefficients([0.0] * (self.k - 1) + [float(self.k)] if self.k else [], std)


@dataclass(frozen=True)
class Hermite(_FiniteSeries):
    """``he_k(x) / sqrt(k!)``, the orthonormal probabilists' Hermite polynomial; dual rho^k at unit variance.

    At standard deviation s its coefficients are
    ``r_(k-2i)(s) = s^(k-2i) (s^2 - 1)^i sqrt(k!) / (2^i i! sqrt((k-2i)!))``
    (the multiplication theorem of Hermite polynomials, DLMF 18.18.13).

    Parameters
    ----------
    k : int
        Non-negative.
    """

    k: int

    def __post_init__(self) -> None:
        require_integer(self, 0, k=self.k)
        object.__setattr__(self, "k", int(self.k))

    @override
    def fn(self, x: Tensor) -> Tensor:
        """Evaluate the polynomial by its recurrence."""
        previous, current = torch.zeros_like(x), torch.ones_like(x)
        for j in range(self.k):
            previous, current = current, (x * current - math.sqrt(j) * previous) / math.sqrt(j + 1)
        return current

    @property
    @override
    def odd(self) -> bool:
        return self.k % 2 == 1

    @override
    def _value_coefficients(self, std: Tensor) -> list[Tensor]:
        return _hermite_coefficients(self.k, 1.0, std)

    @override
    def _slope_coefficients(self, std: Tensor) -> list[Tensor]:
        return _hermite_coefficients(self.k - 1, math.sqrt(self.k), std) if self.k else [torch.zeros_like(std)]


def _hermite_coefficients(k: int, scale: float, std: Tensor) -> list[Tensor]:
    """Return the coefficients of ``scale he_k / sqrt(k!)``, by the formula of :class:`Hermite`."""
    result = [torch.zeros_like(std) for _ in range(k + 1)]
    excess = (std - 1) * (std + 1)
    for i in range(k // 2 + 1):
        degree = k - 2 * i
        weight = math.sqrt(math.factorial(k) / math.factorial(degree)) / (2**i * math.factorial(i))
        result[degree] = scale * weight * std**degree * excess**i
    return result


@dataclass(frozen=True)
class Identity(_FiniteSeries):
    """``x``: the kernels pass unchanged, and the input need not be Gaussian."""

    @override
    def fn(self, x: Tensor) -> Tensor:
        return x

    @property
    @override
    def odd(self) -> bool:
        return True

    @override
    def _value_coefficients(self, std: Tensor) -> list[Tensor]:
        return [torch.zeros_like(std), std]

    @override
    def _slope_coefficients(self, std: Tensor) -> list[Tensor]:
        return [torch.ones_like(std)]

    @override
    def std(self, std: Tensor) -> Tensor:
        return std

    @override
    def delta(self, normal: BivariateNormal) -> Tensor:
        return broadcast(normal.delta, normal)

    @override
    def slope_delta(self, normal: BivariateNormal) -> Tensor:
        return broadcast(torch.zeros_like(normal.delta), normal)

    @override
    def propagate(self, pair: KernelPair[Any]) -> KernelPair[Any]:
        """Return the kernels as they are."""
        return pair

    @override
    def check(self, traits: Traits) -> Traits:
        """Return the traits as they are: nothing is asked of the input."""
        return traits
