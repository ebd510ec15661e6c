r"""Signed Hermite coefficients of an activation at every standard deviation, kinks or not.

:math:`c_j(s) = E[\sigma(s z)\, he_j(z)] / \sqrt{j!}` for standard normal z, so that the dual of units with standard
deviations s and t and correlation rho is :math:`\sum_j c_j(s) c_j(t) \rho^j`. Coefficients of one standard deviation
serve no other: rescaled ones diverge (by 10^3 and more at twice the deviation).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cache

import torch
from numpy.polynomial.legendre import leggauss
from torch import Tensor

from neural_kernels.activations import Activation, Dual
from neural_kernels.activations.expectations.hermite import hermite_functions, value_and_slope
from neural_kernels.features.method import UnsuitableError

_REACH = 13.0  # where exp(-z^2 / 4) is 4e-19
_NODES = 160  # of each piece between kinks
_TOLERANCE = 1e-9  # of a series
_TEMPORARY = 1 << 22
_PROBES = 0.5, 1.0, 2.0  # standard deviations at which the structure of an activation shows
_VANISHING = 1e-11


def hermite_coefficients(dual: Dual, std: Tensor, degree: int, temporary: int = _TEMPORARY) -> tuple[Tensor, Tensor]:
    """Return coefficients of the function and of its derivative, both of shape (*std.shape, degree + 1), in float64.

    Parameters
    ----------
    dual : Dual
    std : Tensor, any shape
    degree : int
    temporary : int
        How many numbers one temporary may have: deviations are taken in chunks.

    Raises
    ------
    UnsuitableError
        For a kernel that no function belongs to, unless its series is known.
    """
    flat = std.to(torch.float64).reshape(-1)
    if dual.slopes is not None:
        value, slope = (torch.from_numpy(part) for part in _of_ramp(*dual.slopes, degree))
        value, slope = flat[:, None] * value.to(flat), slope.to(flat).expand(len(flat), -1)
    else:
        value, slope = _general(dual, flat, degree, temporary)
    return value.reshape(*std.shape, degree + 1), slope.reshape(*std.shape, degree + 1)


def _general(dual: Dual, std: Tensor, degree: int, temporary: int) -> tuple[Tensor, Tensor]:
    """Take the series if the dual knows it, else integrate."""
    series = dual.series(std, _TOLERANCE) if len(std) else None
    if series is not None:
        return tuple(_resized(part, degree + 1) for part in (series.value, series.slope))  # pyright: ignore[reportReturnType]
    if not isinstance(dual, Activation):
        raise UnsuitableError(f"{dual!r} has no function, and no series is known; use ZonalFeatures or Nystrom")
    kinks = sorted(dual.kinks)
    rows = max(1, temporary // (_NODES * (len(kinks) + 1) * (degree + 1)))
    parts = [_integrals(dual, kinks, chunk, degree) for chunk in std.split(rows)]
    value, slope = zip(*parts, strict=True)
    return torch.cat(value), torch.cat(slope)


def _resized(coefficients: Tensor, count: int) -> Tensor:
    return torch.nn.functional.pad(coefficients, (0, max(0, count - coefficients.shape[1])))[:, :count]


def _integrals(dual: Activation, kinks: list[float], std: Tensor, degree: int) -> tuple[Tensor, Tensor]:
    """Integrate by Gauss's rule between the kinks, at one standard deviation a row."""
    inner = [torch.where(std > 0, kink / std, math.copysign(_REACH, kink)).clamp(-_REACH, _REACH) for kink in kinks]
    ends = torch.stack([torch.full_like(std, -_REACH), *inner, torch.full_like(std, _REACH)], 1)
    nodes, weights = (part.to(std) for part in _rule())
    middle, half = (ends[:, 1:] + ends[:, :-1]) / 2, ends.diff(dim=1) / 2
    z = (middle[..., None] + half[..., None] * nodes).flatten(1)
    weight = (half[..., None] * weights).flatten(1) * torch.exp(-z * z / 4) / math.sqrt(2 * math.pi)
    functions = hermite_functions(z, degree) * weight
    value, slope = value_and_slope(dual.fn, std[:, None] * z)
    return (functions * value).sum(-1).T, (functions * slope).sum(-1).T


@cache
def _rule() -> tuple[Tensor, Tensor]:
    nodes, weights = leggauss(_NODES)
    return torch.from_numpy(nodes), torch.from_numpy(weights)


@cache
def _of_ramp(a: float, b: float, degree: int):
    """At standard deviation 1, of a min(x, 0) + b max(x, 0) and its derivative."""
    from neural_kernels.activations import ABReLU

    one = torch.ones(1, dtype=torch.float64)
    value, slope = _integrals(ABReLU(a, b), [0.0], one, degree)
    return value[0].numpy(), slope[0].numpy()


@dataclass(frozen=True)
class LowDegrees:
    """What of an activation is known exactly, as columns: functions of the standard deviation alone.

    Parameters
    ----------
    mean : bool
        Whether E[sigma] is not 0 throughout.
    linear : bool
        Whether the coefficient of the linear part, c_1(s) / s, is not.
    slope : bool
        Whether E[sigma'] is not.
    continuous : bool
        Whether the last two are the same function, as for continuous activations.
    homogeneous : bool
        Whether the last two are constants.
    """

    mean: bool
    linear: bool
    slope: bool
    continuous: bool
    homogeneous: bool

    @classmethod
    @cache
    def of(cls, dual: Dual) -> LowDegrees:
        """Find out at a few standard deviations."""
        std = torch.tensor(_PROBES, dtype=torch.float64)
        with torch.inference_mode(False), torch.no_grad():
            parts = low_degrees(dual, std)
            sizes = dual.std(std), dual.std(std) / std, dual.slope_std(std)
        mean, linear, slope = (
            bool((part.abs() > _VANISHING * size).any()) for part, size in zip(parts, sizes, strict=True)
        )
        continuous = bool(((parts[1] - parts[2]).abs() <= 1e-7 * sizes[1]).all())
        return cls(mean, linear, slope, continuous, dual.slopes is not None)


def low_degrees(dual: Dual, std: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Return E[sigma(s z)], c_1(s) / s and E[sigma'(s z)] for every standard deviation, in float64."""
    value, slope = hermite_coefficients(dual, std, 1)
    wide = std.to(torch.float64)
    linear = torch.where(wide > 0, value[..., 1] / torch.where(wide > 0, wide, 1), slope[..., 0])
    return value[..., 0], linear, slope[..., 0]
