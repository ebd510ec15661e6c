"""Expectations of any function with kinks, in polar coordinates: one rule for all norms, wherever the kinks lie.

With X = s r and Y = t r along a ray, s and t the projections of the standard deviations on it, the radial integral

    M(s, t) = int r exp(-r^2 / 2) fn(+-s r) fn(+-t r) dr

is a function of two numbers, the same for all rays, correlations and norms. Between the kinks it is taken by Gauss'
rule. It is smooth but where a kink of X and one of Y meet on the ray, that is at a fixed ratio of s and t, so it is
tabulated once for an activation: by the octave of the larger number and, up to the kinks, of the ratio. What is left is
a sum over angles, cut where the kinks meet (`engine.rays`).
"""

from __future__ import annotations

import itertools
import math
import warnings
from functools import lru_cache
from threading import Lock
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from neural_kernels.activations.expectations import chebyshev
from neural_kernels.activations.expectations.hermite import Function, value_and_slope
from neural_kernels.activations.expectations.normal import BivariateNormal
from neural_kernels.activations.expectations.wedge import double_exponential
from neural_kernels.runtime.numerics import safe_sqrt
from neural_kernels.runtime.types import Array
from neural_kernels.runtime.workers import share_out

NODES = 16  # Chebyshev polynomials of the larger number, and of the ratio
_FARTHEST = 8.4  # exp(-r^2 / 2) is below 5e-16 beyond
_GAUSS, _FINE = 12, 16  # nodes of a panel, and those that tell how good they are
_PANEL, _GROWTH = 1.2, 3.0  # widths of panels where the weight varies, and by how much they grow elsewhere
_ENTRIES = 1 << 20
_STEPS = (2.0, 0.05), (30.0, 0.035), (300.0, 0.028), (3000.0, 0.022), (math.inf, 0.016)
_REACH = 3.3
_CHUNK = 256  # pairs
_TINY, _LEAST = 1e-300, 1e-100
LARGEST = 1e12  # standard deviation: octaves cost their number squared
_DOUBTFUL, _NEGLIGIBLE, _SHARE = 1e-8, 1e-14, 1e-2
_lock = Lock()
_SIDES = (1, 1), (-1, -1), (1, -1), (-1, 1)  # of the larger and of the smaller variable


class RadialTable(NamedTuple):
    """M and the same of the derivative, as Chebyshev series in cells, of all octaves up to one.

    Parameters
    ----------
    lowest : int
        The first octave goes from 0 to 2 to this power.
    starts : int64 array, shape (4, octaves + 1)
        Where the cells of an octave begin, by the signs of the larger and of the smaller variable.
    edges : array, shape (cells + 1,)
        Where in the ratio a cell begins.
    counts : int64 array, shape (cells, 2, 2)
        How many polynomials of the larger number and of the ratio matter, of the function and of its derivative.
    coefficients : array, shape (cells, 2, NODES, NODES)
    """

    lowest: int
    starts: Array
    edges: Array
    counts: Array
    coefficients: Array


def ray_products(fn: Function, kinks: tuple[float, ...], normal: BivariateNormal) -> tuple[Tensor, Tensor]:
    """Return E[fn(X) fn(Y)] and E[fn'(X) fn'(Y)], in float64, without gradients.

    Parameters
    ----------
    fn : callable
        Entry by entry, differentiable by autograd, and analytic on the scale of 1 but at the kinks.
    kinks : tuple of float
    normal : BivariateNormal
        X and Y, on the CPU.

    Warns
    -----
    UserWarning
        When the function varies too fast for eight digits.
    """
    from neural_kernels.engine.rays import angular_sums

    given = normal.std1, normal.std2, normal.delta, normal.opposite
    std1, std2, delta, opposite = torch.broadcast_tensors(*(part.detach().double() for part in given))
    near, far = safe_sqrt(delta), safe_sqrt(opposite)
    widths = 2 * torch.stack([torch.atan2(far, near), torch.atan2(near, far)], -1).reshape(-1, 2)
    parts = [std.reshape(-1) for std in (std1, std2)]
    largest = max((float(part.max()) for part in parts if part.numel()), default=0.0)
    table = _table(fn, kinks, max(0, math.ceil(math.log2(max(largest, _TINY))) - _lowest(kinks)))
    step = next(step for bound, step in _STEPS if largest <= bound)
    rule = np.array(double_exponential(step, _REACH))
    sides = [np.array([a for a in (side * kink for kink in kinks) if a > 0]) for side in (1, -1)]
    results = torch.empty(2, len(widths), dtype=torch.float64)

    def work(rows: slice, memory: dict[str, Any]) -> None:
        breaks = np.empty(2 + len(kinks) ** 2)
        arrays = (part[rows].numpy() for part in (*parts, widths))
        out = results[:, rows].numpy()
        angular_sums(*arrays, *sides, *table, rule, breaks, np.empty(2 * NODES), out[0], out[1])

    share_out([slice(start, start + _CHUNK) for start in range(0, len(widths), _CHUNK)], work)
    return results[0].reshape(delta.shape), results[1].reshape(delta.shape)


def line_products(fn: Function, kinks: tuple[float, ...], std1: Tensor, std2: Tensor) -> tuple[Tensor, Tensor]:
    """Return E[fn(s z) fn(t z)] and the same of fn', z standard normal, where the standard deviations are broadcast."""
    s, t = torch.broadcast_tensors(std1, std2)
    parts = [_integrals(fn, kinks, s.reshape(-1), t.reshape(-1), (side, side), 0, _GAUSS) for side in (1, -1)]
    value, slope = ((a + b) / math.sqrt(2 * math.pi) for a, b in zip(*parts, strict=True))
    return value.reshape(s.shape), slope.reshape(s.shape)


def _lowest(kinks: tuple[float, ...]) -> int:
    """The power of 2 that standard deviations must exceed for kinks, and what else the function does, to matter."""
    nearest = min((abs(a) for a in kinks if a), default=1.0)
    return math.floor(math.log2(min(1.0, nearest))) - 3


def _table(fn: Function, kinks: tuple[float, ...], octaves: int) -> RadialTable:
    """Put the octaves up to one together; those that are not known yet are computed, by one thread for all."""
    with _lock:
        return _joined(fn, kinks, octaves)


@lru_cache(maxsize=16)
def _joined(fn: Function, kinks: tuple[float, ...], octaves: int) -> RadialTable:
    parts = [_octave(fn, kinks, sides, octave) for sides in _SIDES for octave in range(octaves + 1)]
    edges, counts, coefficients, doubts = zip(*parts, strict=True)
    if max(doubts) > _DOUBTFUL:
        warnings.warn(
            f"the kernel of a function with kinks is accurate to about {max(doubts):.0e} of its size only: its pieces "
            f"vary too fast for standard deviations up to {2.0 ** (_lowest(kinks) + octaves):.3g}",
            stacklevel=2,
        )
    starts = np.cumsum([0, *map(len, edges)])[:-1].reshape(len(_SIDES), -1)
    cells = (np.concatenate(part) for part in ([*edges, [0.0]], counts, coefficients))
    return RadialTable(_lowest(kinks), starts, *cells)


@lru_cache(maxsize=1024)
def _octave(
    fn: Function, kinks: tuple[float, ...], sides: tuple[int, int], octave: int
) -> tuple[Array, Array, Array, float]:
    """Tabulate one octave of the larger number: where cells begin, counts, coefficients, and what may be wrong."""
    top = 2.0 ** (_lowest(kinks) + octave)
    unit = (1 + chebyshev.nodes(NODES)) / 2
    large = top * unit if octave == 0 else top / 2 * 2**unit
    first, second = ([a for a in (side * kink for kink in kinks) if a > 0] for side in sides)
    meeting = {b / a for a in first for b in second if b < a}
    edges = sorted({0.0, 1.0, *(2.0**-k for k in range(1, octave + 1)), *meeting})
    ratios = torch.cat([low + (high - low) * unit for low, high in itertools.pairwise(edges)])
    s, t = torch.cartesian_prod(ratios, large).flip(1).T
    with torch.inference_mode(False), torch.no_grad():
        values = torch.stack(_integrals(fn, kinks, s, s * t, sides, 1, _GAUSS))
        s, t = s[-NODES * NODES :], t[-NODES * NODES :]
        finer = torch.stack(_integrals(fn, kinks, s, s * t, sides, 1, _FINE)) - values[:, -len(s) :]
        usual = torch.stack(_integrals(fn, kinks, s.new_ones(1), s.new_ones(1), sides, 1, _GAUSS))
    transform = chebyshev.transform(NODES)
    coefficients = transform @ values.reshape(2, -1, NODES, NODES).mT @ transform.T
    size = values.abs().amax(1)
    size[1] = torch.maximum(size[1], size[0] / top**2)  # a function that is constant so far has no slope to compare
    natural = min(1.0, top**2), 1.0  # and what vanishes near the origin need not be right where it is 1e-14
    last = torch.maximum(coefficients[..., -1, :].abs().amax((1, 2)), coefficients[..., -1].abs().amax((1, 2)))
    floor = _SHARE * usual[:, 0].abs() * usual.new_tensor(natural) + _TINY
    doubt = float(((last + finer.abs().amax(1)) / size.maximum(floor)).max())
    matters = coefficients.abs() > _NEGLIGIBLE * size[:, None, None, None]
    places = torch.arange(1, NODES + 1)
    counts = torch.stack([(matters.any(axis) * places).amax(-1) for axis in (-1, -2)], -1)
    counts, coefficients = (part.transpose(0, 1).contiguous().numpy() for part in (counts, coefficients))
    return np.array(edges[:-1]), counts, coefficients, doubt


def _integrals(
    fn: Function, kinks: tuple[float, ...], s: Tensor, t: Tensor, sides: tuple[int, int], power: int, nodes: int
) -> tuple[Tensor, Tensor]:
    """Integrate r^power exp(-r^2 / 2) fn(s r) fn(t r) over r > 0, s and t with their signs, and the same of fn'."""
    edges = _edges(kinks, s, t, sides)
    x, weight = (torch.from_numpy(part) for part in np.polynomial.legendre.leggauss(nodes))
    parts: list[tuple[Tensor, Tensor]] = []
    step = max(1, _ENTRIES // (edges.shape[1] * nodes))
    for a, b, ends in zip(s.split(step), t.split(step), edges.split(step), strict=True):
        half = ends.diff(dim=1)[..., None] / 2
        r = (ends[:, :-1, None] + half * (1 + x)).flatten(1)
        density = (half * weight).flatten(1) * r**power * torch.exp(-r * r / 2)
        one, other = (value_and_slope(fn, side * std[:, None] * r) for side, std in zip(sides, (a, b), strict=True))
        parts.append(((density * one[0] * other[0]).sum(1), (density * one[1] * other[1]).sum(1)))
    value, slope = zip(*parts, strict=True)
    return torch.cat(value), torch.cat(slope)


def _edges(kinks: tuple[float, ...], s: Tensor, t: Tensor, sides: tuple[int, int]) -> Tensor:
    """Return ends of panels in r, shape (n, panels + 1): both variables' kinks, and between them what the rule asks.

    Panels grow with r from where the larger variable is 1/2, to the width that the weight allows.
    """
    s, t = (std.clamp(min=_LEAST) for std in (s, t))  # which have no gradient there, and kinks beyond all radii
    large = torch.maximum(s, t)
    largest = float(large.detach().max()) if len(large) else _LEAST
    count = math.ceil(math.log(max(2 * _FARTHEST * largest, 1.0)) / math.log(_GROWTH))
    growing = 0.5 / large[:, None] * _GROWTH ** torch.arange(count + 1, dtype=torch.float64)
    even = torch.arange(0, _FARTHEST + _PANEL / 2, _PANEL, dtype=torch.float64).expand(len(s), -1)
    own = [kink * side / std for side, std in zip(sides, (s, t), strict=True) for kink in kinks if kink * side > 0]
    edges = torch.cat([even, growing, *(a[:, None] for a in own)], 1)
    return edges.clamp(max=_FARTHEST).sort(dim=1)[0]
