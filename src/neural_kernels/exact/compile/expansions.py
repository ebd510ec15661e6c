"""Activations' Hermite series as vectors of one number per unit, as the engine's operations take them.

In come an activation and the standard deviations of the units that it is applied to, out go the coefficients of its
output (or derivative) in normalised Hermite polynomials, one vector for each degree. The kernel is then the power
series rho -> sum_j l_j r_j rho^j with l and r the coefficients of the left and of the right unit: one operation for
every smooth activation, with a few hundred bytes of numbers per unit in place of a formula for each.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from neural_kernels.activations import HermiteSeries
from neural_kernels.engine.codes import GROUP, POWERS, SERIES
from neural_kernels.exact.expressions.duals import Activated, Slope
from neural_kernels.exact.expressions.pairs import PerUnit
from neural_kernels.runtime.numerics import safe_divide

_TOLERANCE = {
    torch.float32: 2e-7,
    torch.float64: 1e-15,
}  # of truncated series: about the rounding of the inputs' cosines
_NEGLIGIBLE = {torch.float32: 3e-8, torch.float64: 1e-18}  # share of one term

_LARGE = 2.0  # standard deviation from which sharp activations take hundreds of terms
_SHORT = 256  # terms

# The series of an activation for units of some standard deviations, for its value and its slope; by their identities.
SeriesCache = dict[tuple[int, int], HermiteSeries | None]


class SeriesOperation(NamedTuple):
    """An operation of the engine that evaluates a series.

    Parameters
    ----------
    code : int
        SERIES or POWERS.
    vectors : list of PerUnit
        Coefficients.
    counts : tuple of int
        How many of them are of even and of odd degree; for SERIES, how many there are, and 0.
    """

    code: int
    vectors: list[PerUnit]
    counts: tuple[int, int]


def unit_coefficients(node: Activated, dtype: torch.dtype, cache: SeriesCache) -> list[Tensor] | None:
    """Coefficients of norm 1 (or 0) for each side, shapes (degrees, *units); None without a short series.

    Of norm 1, since the series is then the correlation, and one minus it a sum of squares and of deltas (`as_series`).
    """
    stds = node.argument.stds
    key = id(node.dual), id(stds[0])
    if key not in cache:
        cache[key] = node.dual.series(torch.cat([std.reshape(-1) for std in stds]), _TOLERANCE[dtype])
    series = cache[key]
    if series is None:
        return None
    scaled = _unit(node, series).to(dtype)
    parts = scaled.T.contiguous().split([std.numel() for std in stds], 1)
    return [part.reshape(len(part), *std.shape) for part, std in zip(parts, stds, strict=True)]


def _unit(node: Activated, series: HermiteSeries) -> Tensor:
    """The coefficients of the value or of the slope, scaled to norm 1 (or 0), shape (n, degrees)."""
    coefficients = series.slope if isinstance(node, Slope) else series.value
    norm = torch.linalg.vector_norm(coefficients, dim=1)
    return coefficients * safe_divide(torch.ones_like(norm), norm)[:, None]


def one_side(node: Activated, terms: int, dtype: torch.dtype, std: Tensor) -> Tensor:
    """What a side of an activation's operation needs, for standard deviations of shape (n,), in float64.

    Returns
    -------
    Tensor, shape (n, 1 + terms)
        The standard deviation of the output, then the first coefficients as those of `unit_coefficients`; NaN without
        a short series.
    """
    series = node.dual.series(std, _TOLERANCE[dtype])
    if series is None:
        return std.new_full((len(std), 1 + terms), torch.nan)
    unit = _unit(node, series)[:, :terms]
    return torch.cat([node.std(std)[:, None], unit, unit.new_zeros(len(std), terms - unit.shape[1])], dim=1)


def short_coefficients(node: Activated, dtype: torch.dtype, cache: SeriesCache) -> list[Tensor] | None:
    """Those, where they are few enough to cost less than a table."""
    largest = max((float(std.max()) for std in node.argument.stds if std.numel()), default=0.0)
    if largest > _LARGE and not node.dual.finite:
        return None
    unit = unit_coefficients(node, dtype, cache)
    return None if unit is None or (len(unit[0]) > _SHORT and not node.dual.finite) else unit


def as_series(unit: Sequence[Tensor]) -> SeriesOperation:
    """One degree after the other: nothing cancels near correlation 1, which an activation with a cusp would see."""
    return SeriesOperation(SERIES, list(zip(*unit, strict=True)), (len(unit[0]), 0))


def as_powers(unit: Sequence[Tensor], dtype: torch.dtype) -> SeriesOperation:
    """Even and odd degrees apart, without the ends that vanish: quicker, and good to rounding away from cusps.

    Each is filled up to whole groups, which the engine takes in one pass over the columns.
    """
    size = torch.stack([side.abs().flatten(1).amax(1) for side in unit]).amax(0)
    vectors, lengths = [], []
    for parity in (0, 1):
        present = torch.nonzero(size[parity::2].square() > _NEGLIGIBLE[dtype])
        length = int(present[-1]) + 1 if len(present) else 0
        vectors += [tuple(side[degree] for side in unit) for degree in range(parity, parity + 2 * length, 2)]
        vectors += [tuple(torch.zeros_like(side[0]) for side in unit)] * (-length % GROUP)
        lengths.append(length + -length % GROUP)
    return SeriesOperation(POWERS, vectors, (lengths[0], lengths[1]))


def term_degrees(code: int, counts: Sequence[int]) -> list[int]:
    """The degree that each vector of a SERIES or of POWERS belongs to; those that fill a group up count on."""
    first, second = counts
    return list(range(first)) if code == SERIES else [*range(0, 2 * first, 2), *range(1, 2 * second, 2)]
