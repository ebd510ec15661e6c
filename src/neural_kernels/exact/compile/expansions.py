"""Activations' Hermite series as vectors of one number per unit, as the engine's operations take them."""

from __future__ import annotations

from collections.abc import Sequence

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

SeriesCache = dict[tuple[int, int], HermiteSeries | None]
SeriesOperation = tuple[
    int, list[PerUnit], tuple[int, int]
]  # operation, its vectors, how many of them are of which kind


def unit_coefficients(node: Activated, stds: PerUnit, dtype: torch.dtype, known: SeriesCache) -> list[Tensor] | None:
    """Coefficients of norm 1 (or 0) for each side, shapes (degrees, *units); None without a short series.

    `known` keeps the series of an activation and an argument for its value and slope.
    """
    key = id(node.dual), id(stds[0])
    if key not in known:
        known[key] = node.dual.series(torch.cat([std.reshape(-1) for std in stds]), _TOLERANCE[dtype])
    series = known[key]
    if series is None:
        return None
    coefficients = series.slope if isinstance(node, Slope) else series.value
    norm = torch.linalg.vector_norm(coefficients, dim=1)
    scaled = coefficients * safe_divide(torch.ones_like(norm), norm)[:, None]
    parts = scaled.to(dtype).T.contiguous().split([std.numel() for std in stds], 1)
    return [part.reshape(len(part), *std.shape) for part, std in zip(parts, stds, strict=True)]


def as_series(unit: Sequence[Tensor]) -> SeriesOperation:
    """One degree after the other."""
    return SERIES, list(zip(*unit, strict=True)), (len(unit[0]), 0)


def as_powers(unit: Sequence[Tensor], dtype: torch.dtype) -> SeriesOperation:
    """Even and odd degrees, without the ends that vanish, each filled up to whole groups."""
    size = torch.stack([side.abs().flatten(1).amax(1) for side in unit]).amax(0)
    vectors, lengths = [], []
    for parity in (0, 1):
        present = torch.nonzero(size[parity::2].square() > _NEGLIGIBLE[dtype])
        length = int(present[-1]) + 1 if len(present) else 0
        vectors += [tuple(side[degree] for side in unit) for degree in range(parity, parity + 2 * length, 2)]
        vectors += [tuple(torch.zeros_like(side[0]) for side in unit)] * (-length % GROUP)
        lengths.append(length + -length % GROUP)
    return POWERS, vectors, (lengths[0], lengths[1])
