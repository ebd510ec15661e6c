"""How one power series is sketched: which degrees, and how many columns each."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from neural_kernels.features.allotment import Part, allot
from neural_kernels.features.angle.power_series import PowerSeries
from neural_kernels.features.angle.powers import inner_width, variance

_LEFT_OUT = 0.03  # of the diagonal, in the highest degrees, at most
_NOTHING = 1e-12  # of the diagonal: rounding


@dataclass(frozen=True)
class DegreePlan:
    """Coefficients with the tail in the last two, columns of all degrees, and the error that is to be expected.

    Parameters
    ----------
    coefficients : ndarray, shape (q + 1,)
    linear : int
        Columns of the linear part.
    widths : dict from int to int
        Columns of the powers from 2 on, by power.
    error : float
        That of an entry of the kernel of rows of norm 1, root mean square over the cosines.
    truncation : float
        The share of the diagonal that is left out.
    """

    coefficients: np.ndarray
    linear: int
    widths: dict[int, int]
    error: float
    truncation: float


def planned(series: PowerSeries, degree: int, cosines: np.ndarray, in_features: int, columns: int) -> DegreePlan:
    """Divide columns among the degrees, and predict the error.

    Parameters
    ----------
    series : PowerSeries
    degree : int
        The highest of the plan, at least 2.
    cosines : ndarray
        Those of the pairs of rows by which the error is predicted.
    in_features, columns : int
        Of the rows, and of all features.
    """
    a = folded(series, degree)
    inner = inner_width(in_features, columns)
    sizes = [variance(p, cosines, inner) for p in range(2, degree + 1)]
    shares = [a[p] * math.sqrt(v.mean()) for p, (v, _) in enumerate(sizes, start=2)]
    parts = [Part(a[0], 1), Part(a[1] * math.sqrt(1 + np.square(cosines).mean()), in_features), *map(Part, shares)]
    _, linear, *widths = allot(parts, columns)
    bias = _values(a, cosines) - _values(series.coefficients.numpy(), cosines)
    square = np.square(bias)
    for p, (own, below) in enumerate(sizes, start=2):
        square = square + a[p] ** 2 * (own / max(1, widths[p - 2]) + below)
    if linear < in_features:
        square = square + a[1] ** 2 * (1 + cosines**2) / max(1, linear)
    truncation = max(0.0, 1 - a.sum() / series.total) if series.total else 0.0
    return DegreePlan(a, linear, dict(enumerate(widths, start=2)), math.sqrt(square.mean()), truncation)


def folded(series: PowerSeries, degree: int) -> np.ndarray:
    """Return coefficients up to the degree, the higher ones added to the last two, but for the highest of all."""
    known = series.coefficients.numpy()
    # Beyond the last known coefficient: of those that fall as j^-3/2 at most, since Dropout adds to the total as well.
    beyond = min(max(0.0, series.total - known.sum()), 2.5 * known[len(known) // 2 :].sum())
    every = np.append(known, beyond)
    above = every[::-1].cumsum()[::-1]  # of a degree and all higher ones
    kept = np.where(above > _LEFT_OUT * above[0], every, 0)
    a = known[: degree + 1].copy()
    for last in (degree, degree - 1):
        a[last] += kept[last + 2 :: 2].sum()
    a[a < _NOTHING * series.total] = 0
    return a


def _values(coefficients: np.ndarray, cosines: np.ndarray) -> np.ndarray:
    return np.polynomial.polynomial.polyval(cosines, coefficients)
