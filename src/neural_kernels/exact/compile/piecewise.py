"""Piecewise polynomial activations as the engine reads them (`engine.kinks`).

In come activations with the standard deviations of the units that they are applied to, out go the place of their
integers (which quadrants there are, and which moments are added up) and their vectors: what belongs to a threshold,
coefficients of polynomials, and weights of ramps, all of them over the standard deviations of the outputs.
"""

from __future__ import annotations

import itertools
import math
from functools import cache

import torch
from torch import Tensor

from neural_kernels.activations import Dual
from neural_kernels.activations.expectations import chebyshev
from neural_kernels.activations.expectations.pieces import Pieces, Ramp
from neural_kernels.activations.expectations.powers import power_coefficients
from neural_kernels.activations.expectations.ramps import ramp_coefficients
from neural_kernels.activations.expectations.thresholds import threshold_series
from neural_kernels.engine.corners import THRESHOLD
from neural_kernels.engine.kinks import ORDERS
from neural_kernels.engine.normal_tails import MILLS_TERMS, PLACE
from neural_kernels.exact.compile.pools import Pools
from neural_kernels.exact.expressions.duals import Activated
from neural_kernels.exact.expressions.pairs import PerUnit
from neural_kernels.runtime.numerics import safe_divide

_LARGEST = 36.0  # thresholds beyond are exceeded with a probability near the smallest normal number


def is_piecewise(dual: Dual) -> bool:
    """Whether the engine has the activation: polynomial pieces of low degree, with kinks off the origin."""
    pieces = dual.pieces if any(dual.kinks) else None
    if pieces is None or pieces.polynomial is None or not any(ramp.threshold for ramp in pieces.ramps):
        return False
    return max(ramp.order for ramp in pieces.ramps) < ORDERS


def piecewise_operands(node: Activated, pools: Pools) -> tuple[int, list[PerUnit]] | None:
    """Place of the integers and the vectors of value and slope; None where the engine has no form of the activation."""
    value = node.dual.pieces
    if value is None or not is_piecewise(node.dual):
        return None
    stds = [std.to(torch.float64) for std in node.argument.stds]
    if 0.0 in value.kinks and any(bool((std == 0).any()) for std in stds):
        return None  # the value at the kink itself would count
    duals = (value, node.dual.std), (value.lowered(), node.dual.slope_std)
    thresholds = sorted({ramp.threshold for ramp in value.ramps}, reverse=True)
    places: dict[tuple[int, int, float, int], int] = {}
    sides = []
    for std in stds:
        vectors = [line for a in thresholds for line in _threshold(a, std)]
        scales = [safe_divide(torch.ones_like(std), of(std)) for _, of in duals]
        for (pieces, _), scale in zip(duals, scales, strict=True):
            vectors += [line * scale for line in _polynomials(pieces, std)]
        for part, ((pieces, _), scale) in enumerate(zip(duals, scales, strict=True)):
            for ramp in pieces.ramps:
                places[part, ramp.side, ramp.threshold, ramp.order] = len(vectors)
                vectors.append(ramp.coefficient * std**ramp.order * scale)
        vectors.append(torch.zeros_like(std))
        sides.append(vectors)
    counts = [len(pieces.polynomial or ()) for pieces, _ in duals]
    quadrants = _quadrants(thresholds, [pieces.ramps for pieces, _ in duals], places, len(sides[0]) - 1)
    head = [pools.add_floats(mills_series()), len(thresholds), *counts, len(quadrants)]
    integers = torch.tensor([*head, *itertools.chain(*quadrants)], dtype=torch.int64)
    return pools.add_integers([integers]), list(zip(*sides, strict=True))


def _threshold(a: float, std: Tensor) -> list[Tensor]:
    """The threshold in standard deviations, 2 pi times the tail beyond, the density, and the series."""
    h = torch.where(std > 0, a / torch.where(std > 0, std, 1), _LARGEST if a else 0).clamp(max=_LARGEST)
    lines = [h, math.pi * torch.erfc(h / math.sqrt(2)), torch.exp(-h * h / 2) / math.sqrt(2 * math.pi)]
    lines += threshold_series(h).unbind(-1)
    assert len(lines) == THRESHOLD
    return lines


def _polynomials(pieces: Pieces, std: Tensor) -> list[Tensor]:
    """Hermite coefficients of the function, then of its ramps, as far as the polynomial goes."""
    rest = torch.stack(power_coefficients(pieces.polynomial or (), std), -1)
    ramps = torch.where((std > 0)[:, None], ramp_coefficients(pieces.ramps, std, rest.shape[-1] - 1), 0)
    return [*(rest + ramps).unbind(-1), *ramps.unbind(-1)]


def _quadrants(
    thresholds: list[float],
    parts: list[tuple[Ramp, ...]],
    places: dict[tuple[int, int, float, int], int],
    nothing: int,
) -> list[list[int]]:
    """The integers of every quadrant with its products; both of its sides have the same moments."""
    result = []
    for (i, a), (j, b), turned in itertools.product(enumerate(thresholds), enumerate(thresholds), (0, 1)):
        products: dict[tuple[int, int, int], list[int]] = {}
        for part, ramps in enumerate(parts):
            for one, other in itertools.product(ramps, ramps):
                if one.threshold == a and other.threshold == b and (one.side != other.side) == bool(turned):
                    both = products.setdefault((part, one.order, other.order), [])
                    both += [places[part, r.side, r.threshold, r.order] for r in (one, other)]
        if products:
            most = max(max(m, n) for _, m, n in products)
            lines = [[part, ORDERS * m + n, *(both + [nothing] * 2)[:4]] for (part, m, n), both in products.items()]
            result.append([i, j, turned, most, len(lines), *itertools.chain(*lines)])
    return result


@cache
def mills_series() -> Tensor:
    """Chebyshev coefficients of (PLACE + u) exp(u^2 / 2) Q(u), Q the tail of the normal distribution."""
    x = chebyshev.nodes(MILLS_TERMS)
    u = PLACE * (1 + x) / (1 - x)
    values = (PLACE + u) * torch.special.erfcx(u / math.sqrt(2)) / 2
    return chebyshev.transform(MILLS_TERMS) @ values
