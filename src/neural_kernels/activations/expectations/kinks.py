"""Duals of functions with kinks: truncated powers in closed form, the smooth rest by its Hermite series.

A function whose derivatives jump at points a is ``fn = rest + sum_{a, m} jump_m(a) / m! (x - a)_+^m``, its rest being
smoother than its kinks. Products of truncated powers have expectations by Stein's recursion, ending at the probability
of a quadrant (Genz 2004, Statistics and Computing 14); everything that holds the rest is a Hermite series whose terms
decay fast. For a < 0 the powers are those of a - x, so that nothing is large where fn is not.
"""

from __future__ import annotations

import itertools
import math
import warnings

import numpy as np
import torch
from torch import Tensor

from neural_kernels.activations.expectations.hermite import Function, hermite_rows
from neural_kernels.activations.expectations.interpolation import Interpolation
from neural_kernels.activations.expectations.normal import BivariateNormal
from neural_kernels.activations.expectations.pieces import Pieces, rest
from neural_kernels.activations.expectations.powers import power_coefficients
from neural_kernels.activations.expectations.ramps import ramp_coefficients, ramp_products

_REACH = 13.0
_TOLERANCE, _DOUBTFUL = 1e-9, 1e-8
_LEAST_TERMS, _MOST_TERMS = 128, 8192
_BLOCK = 256


def kinked_dual(fn: Function, pieces: Pieces, normal: BivariateNormal) -> Tensor:
    """E[fn(X) fn(Y)] in float64, in memory of the order of the result.

    Parameters
    ----------
    fn : callable
        The function, entry by entry.
    pieces : Pieces
        Its kinks.
    normal : BivariateNormal
        X and Y, float64.
    """
    total = ramp_products(pieces.ramps, normal)
    parts = _expansions(fn, pieces, normal)
    rho = 1 - normal.delta
    smooth = torch.zeros_like(total)
    for rest1, ramps1, rest2, ramps2 in zip(*(part.unbind(-1)[::-1] for part in parts), strict=True):
        smooth = torch.addcmul(rest1 * (rest2 + ramps2) + ramps1 * rest2, smooth, rho)
    rest1, ramps1, rest2, ramps2 = (part[..., 0] for part in parts)
    means = (rest1 + ramps1) * (rest2 + ramps2)
    return torch.where((normal.std1 == 0) | (normal.std2 == 0), means, total + smooth)


def _expansions(fn: Function, pieces: Pieces, normal: BivariateNormal) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Return Hermite coefficients of the rest and of the ramps for X and for Y, last axis the degree."""
    std = torch.cat([normal.std1.reshape(-1), normal.std2.reshape(-1)])
    if pieces.polynomial is None:
        smooth, ramps = _smooth_coefficients(fn, pieces, std)
    else:
        smooth = torch.stack(power_coefficients(pieces.polynomial, std), -1)
        ramps = ramp_coefficients(pieces.ramps, std, smooth.shape[-1] - 1)
    # At standard deviation 0 all of the function is its value there, in whichever part.
    first = torch.zeros_like(smooth)
    first[:, 0] = fn(torch.zeros_like(std)).detach()
    still = (std == 0)[:, None]
    smooth, ramps = torch.where(still, first, smooth), torch.where(still, 0, ramps)
    shapes, sizes = (normal.std1.shape, normal.std2.shape), [normal.std1.numel(), normal.std2.numel()]
    (smooth1, smooth2), (ramps1, ramps2) = smooth.split(sizes), ramps.split(sizes)
    one, two = (*shapes[0], -1), (*shapes[1], -1)
    return smooth1.reshape(one), ramps1.reshape(one), smooth2.reshape(two), ramps2.reshape(two)


def _smooth_coefficients(fn: Function, pieces: Pieces, std: Tensor) -> tuple[Tensor, Tensor]:
    """Return coefficients of rest and ramps, as many as make their cross terms small against the dual."""
    rows = Interpolation(std)
    degree = _LEAST_TERMS
    while True:
        ramps = ramp_coefficients(pieces.ramps, rows.nodes, degree)
        smooth, norm = _integrate(fn, pieces, rows.nodes, degree)
        # What the last quarter adds is about what is left out beyond it.
        terms = (smooth * (smooth + 2 * ramps)).detach().abs()[:, -(degree // 4) :].sum(-1)
        share = float((terms / torch.where(norm > 0, norm, 1)).max()) if len(terms) else 0.0
        if degree >= _MOST_TERMS or share <= _TOLERANCE:
            if share > _DOUBTFUL:
                warnings.warn(
                    f"the kernel of a function with kinks is accurate to about {share:.0e} of its size only: its "
                    f"pieces vary too fast for standard deviations up to {float(rows.nodes.detach().max()):.3g}",
                    stacklevel=2,
                )
            return rows.spread(smooth), ramp_coefficients(pieces.ramps, std, degree)
        degree *= 2


def _integrate(fn: Function, pieces: Pieces, std: Tensor, degree: int) -> tuple[Tensor, Tensor]:
    """Return coefficients of the rest by Gauss-Legendre panels between the kinks, and E[fn^2], row by row."""
    rows, norms = [], []
    for s in std:
        z, weight = _graded(pieces.kinks, float(s.detach()), degree, std.device)
        root = torch.exp(-z * z / 4) / math.sqrt(2 * math.pi) * weight
        rows.append(_project(root * rest(fn, pieces.ramps)(s * z), z, degree))
        norms.append((root * torch.exp(-z * z / 4) * fn(s * z).detach().square()).sum())
    return torch.stack(rows), torch.stack(norms)


def _project(values: Tensor, z: Tensor, degree: int) -> Tensor:
    """Sum the values times the Hermite functions of degrees 0..degree, some degrees at a time."""
    functions, parts = hermite_rows(z), []
    for start in range(0, degree + 1, _BLOCK):
        parts.append(torch.stack(list(itertools.islice(functions, min(_BLOCK, degree + 1 - start)))) @ values)
    return torch.cat(parts)


def _graded(kinks: tuple[float, ...], std: float, degree: int, device: torch.device) -> tuple[Tensor, Tensor]:
    """Return nodes and weights on [-L, L], split at the kinks, finer towards them, fine enough for the degree."""
    widest = min(0.5, 12 / math.sqrt(degree))
    centres = [a / std for a in kinks if std > 0 and abs(a) < std * _REACH]
    edges = {-_REACH, _REACH, *centres}
    for centre in centres:
        step, offset = min(widest, 0.5 / std), 0.0
        while offset < 2 * _REACH:
            offset += step
            edges |= {e for e in (centre - offset, centre + offset) if abs(e) < _REACH}
            step = min(widest, 1.5 * step)
    if not centres:
        edges |= set(np.arange(-_REACH, _REACH, min(widest, 1 / max(std, 1.0))).tolist())
    x, w = np.polynomial.legendre.leggauss(16)
    bounds = np.array(sorted(edges))
    half = np.diff(bounds)[:, None] / 2
    nodes = bounds[:-1, None] + half * (1 + x)
    return tuple(torch.from_numpy(v.reshape(-1)).to(device) for v in (nodes, half * w))  # pyright: ignore
