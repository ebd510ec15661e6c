r"""The representation by a power series: kernels of rows of one norm, as functions of the cosine c of two rows.

A network without positions maps the kernel of its input, :math:`s^2 c`, to :math:`T(c) = \sum_j a_j c^j` with
:math:`a_j \ge 0`. Sums and products of kernels are those of the series. An activation composes: its dual is a function
of the correlation, analytic inside the unit disc, so the composition is taken on a circle there, and its coefficients
by one Fourier transform (Cauchy's integral).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor
from typing_extensions import override

from neural_kernels.activations import Activation, Dual
from neural_kernels.activations.expectations.hermite import hermite_functions, value_and_slope
from neural_kernels.algebra import PerExample, PositionMap, Representation
from neural_kernels.exact.network import NetworkKernel
from neural_kernels.features.method import UnsuitableError
from neural_kernels.runtime.types import Shape

DEGREE = 400  # of the series
_RADIUS, _POINTS = 0.985, 1 << 13  # of the circle; aliases are below 0.985^8192
_TERMS = 1000  # of a kinked activation's Hermite series
_NODES = 600  # of its quadrature, for each piece

Function = Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class PowerSeries(Representation):
    """A kernel as a function of the cosine of two rows of one norm.

    Parameters
    ----------
    coefficients : Tensor, shape (DEGREE + 1,), float64
    total : float
        The kernel of a row with itself, also what lies beyond the last coefficient.
    """

    coefficients: Tensor
    total: float

    @classmethod
    def of_input(cls, std: float) -> PowerSeries:
        """Make that of the input, std^2 c, for rows with x.x / d = std^2."""
        coefficients = torch.zeros(DEGREE + 1, dtype=torch.float64)
        coefficients[1] = std**2
        return cls(coefficients, std**2)

    @override
    def __add__(self, other: PowerSeries | float) -> PowerSeries:  # pyright: ignore[reportIncompatibleMethodOverride]
        if isinstance(other, PowerSeries):
            return PowerSeries(self.coefficients + other.coefficients, self.total + other.total)
        coefficients = self.coefficients.clone()
        coefficients[0] += other
        return PowerSeries(coefficients, self.total + other)

    @override
    def __mul__(self, other: PowerSeries | float) -> PowerSeries:  # pyright: ignore[reportIncompatibleMethodOverride]
        """Multiply on the circle, where the coefficients of a product need no convolution."""
        if not isinstance(other, PowerSeries):
            return PowerSeries(self.coefficients * other, self.total * other)
        product = _values(self.coefficients) * _values(other.coefficients)
        return PowerSeries(_series_of(product), self.total * other.total)

    @override
    def zero(self) -> PowerSeries:
        return PowerSeries(torch.zeros_like(self.coefficients), 0.0)

    @override
    def activate(self, dual: Dual) -> tuple[PowerSeries, PowerSeries]:  # pyright: ignore[reportIncompatibleMethodOverride]
        """Compose the dual and its slope, as functions of the correlation, with this series.

        Raises
        ------
        UnsuitableError
            The activation has no function, and no series is known of it.
        """
        std = torch.tensor([math.sqrt(self.total)], dtype=torch.float64)
        value, slope = _functions(dual, std)
        rho = _values(self.coefficients / self.total if self.total else self.coefficients)
        totals = dual.std(std), dual.slope_std(std)
        first, second = (
            PowerSeries(_series_of(function(rho)), float(total) ** 2)
            for function, total in zip((value, slope), totals, strict=True)
        )
        return first, second

    @override
    def scale(self, factor: PerExample) -> PowerSeries:
        """Scale by one number: as all rows have one norm, all have one factor. Refuse several."""
        sides = [side.reshape(-1) for side in factor.sides]
        if any(len(side) != 1 for side in sides):
            raise UnsuitableError("a factor for each row makes the kernel more than a function of the cosine")
        return self * (float(sides[0]) * float(sides[-1]))

    @override
    def inflate(self, factor: float) -> PowerSeries:
        return PowerSeries(self.coefficients, self.total * factor)

    @override
    def map(self, positions: PositionMap) -> PowerSeries:
        raise UnsuitableError("a network on positions has no kernel of the cosine alone; flatten the images")

    @override
    def decorrelate(self) -> PowerSeries:
        return self

    @property
    @override
    def positions(self) -> Shape:
        return ()

    @property
    @override
    def variance(self) -> PerExample:
        return PerExample((torch.tensor([self.total], dtype=torch.float64),))

    @override
    def position_gram(self) -> PerExample:
        raise UnsuitableError("vectors have no positions")


def zonal_series(kernel: NetworkKernel, std: float, features: int) -> PowerSeries:
    """Compute the kernel of rows of one norm, x.x / d = std^2, as a power series.

    Raises
    ------
    UnsuitableError
        A layer or activation has no series, or the kernel overflows.
    """
    try:
        series = kernel.represent(PowerSeries.of_input(std), features)
    except OverflowError as error:
        raise UnsuitableError(f"{kernel!r} overflows at standard deviation {std:.3g}; scale down") from error
    return PowerSeries(series.coefficients.clamp(min=0), series.total)


def _values(coefficients: Tensor) -> Tensor:
    """Evaluate a series at all points of the circle."""
    powers = _RADIUS ** torch.arange(len(coefficients), dtype=torch.float64)
    return torch.fft.fft(coefficients * powers, n=_POINTS)


def _series_of(values: Tensor) -> Tensor:
    """Find the coefficients of a function from its values on the circle; it is real on the real axis."""
    powers = _RADIUS ** torch.arange(DEGREE + 1, dtype=torch.float64)
    return torch.fft.ifft(values).real[: DEGREE + 1] / powers


def _functions(dual: Dual, std: Tensor) -> tuple[Function, Function]:
    """The dual and its slope at one standard deviation, as functions of a complex correlation."""
    if dual.slopes is not None:
        return _arc_cosine(*dual.slopes, float(std))
    series = dual.series(std, 1e-15)
    if series is not None:
        return _polynomial(series.value[0].square()), _polynomial(series.slope[0].square())
    if not isinstance(dual, Activation):
        raise UnsuitableError(f"{dual!r}: no series in the correlation is known")
    value, slope = _hermite(dual, float(std))
    return _polynomial(value.square()), _polynomial(slope.square())


def _arc_cosine(a: float, b: float, std: float) -> tuple[Function, Function]:
    """In closed form: (a^2 + b^2) / 2 rho + (a - b)^2 / (2 pi) (sin t - t cos t), and its derivative."""
    square, jump = (a**2 + b**2) / 2, (a - b) ** 2 / (2 * math.pi)

    def value(rho: Tensor) -> Tensor:
        return std**2 * (square * rho + jump * ((1 - rho * rho).sqrt() - rho * rho.acos()))

    def slope(rho: Tensor) -> Tensor:
        return square - jump * rho.acos()

    return value, slope


def _polynomial(coefficients: Tensor) -> Function:
    """Make a polynomial a function, by Horner's rule."""

    def evaluate(rho: Tensor) -> Tensor:
        total = torch.zeros_like(rho)
        for coefficient in coefficients.tolist()[::-1]:
            total = total * rho + coefficient
        return total

    return evaluate


def _hermite(activation: Activation, std: float) -> tuple[Tensor, Tensor]:
    """Coefficients of an activation with kinks and of its derivative, by Gauss's rule between the kinks."""
    from numpy.polynomial.legendre import leggauss

    reach = 13.0  # where exp(-z^2 / 4) is 4e-19
    inner = sorted(kink / std for kink in activation.kinks if std and abs(kink) < reach * std)
    ends = [-reach, *inner, reach]
    nodes, weights = (torch.from_numpy(part) for part in leggauss(_NODES))
    middles = [(a + b) / 2 + (b - a) / 2 * nodes for a, b in pairwise(ends)]
    halves = [(b - a) / 2 * weights for a, b in pairwise(ends)]
    z, w = torch.cat(middles), torch.cat(halves)
    rows = hermite_functions(z, _TERMS) * (w * torch.exp(-z * z / 4) / math.sqrt(2 * math.pi))
    value, slope = value_and_slope(activation.fn, std * z)
    return rows @ value, rows @ slope
