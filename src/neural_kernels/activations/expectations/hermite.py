"""Hermite series of an analytic activation, by one matrix product in float64.

With he_j the probabilists' Hermite polynomials and z standard normal, the coefficients

    c_j(s) = E[fn(s z) he_j(z)] / sqrt(j!)

give ``E[fn(X) fn(Y)] = sum_j c_j(s) c_j(t) rho^j`` for jointly normal X, Y of standard deviations s, t and correlation
rho (Mehler; Daniely, Frostig, Singer 2016, arXiv 1602.05897); the slope is the same sum for fn'.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import lru_cache

import torch
from torch import Tensor

from neural_kernels.activations.expectations.interpolation import Interpolation
from neural_kernels.runtime.numerics import safe_divide, safe_sqrt

Function = Callable[[Tensor], Tensor]
Table = tuple[Tensor, Tensor, Tensor]

# exp(-L^2 / 4) is below the rounding of float64; wider only for functions that grow like an exponential.
_HALF_WIDTH = 13.0
_WIDEST = 52.0
# Decay of the spectrum of fn(s z) to 1e-16: exp(-37) with the poles of fn at distance 1 or more.
_DECAY = 37.0
_MOST_NODES = 16384
_ENTRIES = 1 << 20


@dataclass(frozen=True)
class HermiteSeries:
    """Coefficients of a dual and of its slope in powers of the correlation, one row per standard deviation.

    With ``value`` from standard deviations s and t, ``dual = sum_j value[s, j] value[t, j] rho^j`` and likewise
    ``dual_slope = sum_j slope[s, j] slope[t, j] rho^j``.

    Parameters
    ----------
    value : Tensor, shape (n, J + 1)
    slope : Tensor, shape (n, J)
    """

    value: Tensor
    slope: Tensor


def hermite_rows(z: Tensor) -> Iterator[Tensor]:
    """Yield he_j(z) exp(-z^2 / 4) / sqrt(j!) for j = 0, 1, ..., by the stable upward recurrence."""
    previous, current = torch.zeros_like(z), torch.exp(-z * z / 4)
    for j in itertools.count():
        yield current
        previous, current = current, (z * current - math.sqrt(j) * previous) / math.sqrt(j + 1)


def hermite_functions(z: Tensor, degree: int) -> Tensor:
    """Return those of `hermite_rows` for j = 0..degree, stacked in front."""
    return torch.stack(list(itertools.islice(hermite_rows(z), degree + 1)))


def _table(half_width: float, nodes: int, degree: int, device: torch.device) -> Table:
    """Return nodes, weights and Hermite functions, kept where they are small: most layers ask for the same."""
    if nodes * degree > _ENTRIES // 8:
        return _new_table(half_width, nodes, degree, device)
    return _kept_table(half_width, nodes, degree, device)


def _new_table(half_width: float, nodes: int, degree: int, device: torch.device) -> Table:
    """Return nodes z_k, roots of the Gaussian weights w_k, and sqrt(w_k) he_j(z_k) / sqrt(j!), (nodes, degree + 1)."""
    with torch.inference_mode(False), torch.no_grad():  # what is kept must serve later gradients too
        z = torch.linspace(-half_width, half_width, nodes, dtype=torch.float64, device=device)
        step = 2 * half_width / (nodes - 1)
        factor = math.sqrt(step / math.sqrt(2 * math.pi))
        return z, factor * torch.exp(-z * z / 4), factor * hermite_functions(z, degree).T


_kept_table = lru_cache(maxsize=16)(_new_table)


def value_and_slope(fn: Function, x: Tensor) -> tuple[Tensor, Tensor]:
    """Evaluate fn and fn' entry by entry, by autograd; part of the graph of ``x`` when it has one."""
    graph = torch.is_grad_enabled() and x.requires_grad
    with torch.enable_grad():
        x = x if graph else x.detach().requires_grad_()
        value = fn(x)
        if not value.requires_grad:
            return value, torch.zeros_like(x)
        (slope,) = torch.autograd.grad(value.sum(), x, create_graph=graph, allow_unused=True)
    return value if graph else value.detach(), torch.zeros_like(x) if slope is None else slope


def derivative(fn: Function, x: Tensor) -> Tensor:
    """Evaluate fn' entry by entry; 0 where fn does not depend on x."""
    return value_and_slope(fn, x)[1]


def _half_width(fn: Function, std: float, device: torch.device) -> float:
    """Return where fn(s z) exp(-z^2 / 4) has fallen to rounding."""
    z = torch.linspace(-_WIDEST, _WIDEST, 417, dtype=torch.float64, device=device)
    size = (fn(std * z).detach().abs() * torch.exp(-z * z / 4)).nan_to_num(0.0, 0.0, 0.0)
    beyond = z[size > 1e-17 * size.max()].abs()
    return min(max(_HALF_WIDTH, 1 + float(beyond.max()) if beyond.numel() else 0.0), _WIDEST)


def _nodes(half_width: float, std: float, degree: int) -> int:
    """Count nodes for a trapezoid rule without aliasing, by the spectra of weight, Hermite function and fn(s z)."""
    band = 9 + math.sqrt(degree) + _DECAY * std
    return min(1 + 32 * math.ceil(half_width * band / math.pi / 32), _MOST_NODES)


def _integrate(fn: Function, std: Tensor, table: Table) -> tuple[tuple[Tensor, Tensor], ...]:
    """Return coefficients, shape (n, degree + 1), and mean square of fn(s z) and of fn'(s z), by the trapezoid rule."""
    z, root, hermite = table
    rows = max(1, _ENTRIES // len(z))
    chunks = [[y * root for y in value_and_slope(fn, part[:, None] * z)] for part in std.split(rows)]
    value, slope = zip(*chunks, strict=True)
    return tuple(
        (torch.cat([v @ hermite for v in part]), torch.cat([v.square().sum(-1) for v in part]))
        for part in (value, slope)
    )


def mean_squares(fn: Function, std: Tensor) -> tuple[Tensor, Tensor]:
    """Return E[fn(s z)^2] and E[fn'(s z)^2] for each standard deviation s, in float64."""
    rows = Interpolation(std.to(torch.float64))
    largest = float(rows.nodes.detach().max()) if len(std) else 0.0
    half_width = _half_width(fn, largest, std.device)
    table = _table(half_width, _nodes(half_width, largest, 0), 0, std.device)
    (_, value), (_, slope) = _integrate(fn, rows.nodes, table)
    return rows.spread(value), rows.spread(slope)


def _cut(coefficients: Tensor, norm: Tensor, tolerance: float) -> int | None:
    """How many coefficients leave out at most ``tolerance`` of the norm in every row; None if more than there are.

    What lies beyond the computed degree counts only above the rounding of the directly integrated norm.
    """
    squares = coefficients.detach().square()
    beyond = norm.detach() - squares.sum(-1)
    beyond = torch.where(beyond > 1e-13 * norm.detach(), beyond, 0)
    tail = squares.flip(-1).cumsum(-1).flip(-1) + beyond[:, None]
    needed = tail > tolerance * norm.detach()[:, None]
    if bool(needed[:, -max(1, needed.shape[1] // 8) :].any()):
        return None
    return max(1, int(needed.sum(-1).max()))


def hermite_expansion(fn: Function, std: Tensor, tolerance: float, terms: int) -> tuple[HermiteSeries, bool]:
    """Return the series cut at ``tolerance``, or else at ``terms``, and whether the tolerance was reached."""
    rows = Interpolation(std.to(torch.float64))
    largest = float(rows.nodes.detach().max()) if len(std) else 0.0
    half_width = _half_width(fn, largest, std.device)
    most = terms + terms // 4 + 8
    degree = min(64, most)
    while True:
        table = _table(half_width, _nodes(half_width, largest, degree), degree, std.device)
        (value, norm), (slope, slope_norm) = _integrate(fn, rows.nodes, table)
        cuts = _cut(value, norm, tolerance), _cut(slope, slope_norm, tolerance)
        length = terms + 1 if cuts[0] is None or cuts[1] is None else max(cuts[0], cuts[1] + 1)
        if length <= terms or degree >= most:
            reached, length = length <= terms, min(length, terms)
            return HermiteSeries(rows.spread(value[:, :length]), rows.spread(slope[:, : length - 1])), reached
        degree = min(2 * degree, most)


def hermite_series(fn: Function, std: Tensor, tolerance: float, terms: int = 1024) -> HermiteSeries | None:
    """Normalised Hermite coefficients of an analytic function and of its derivative, for each standard deviation.

    Parameters
    ----------
    fn : callable
        Entry by entry, differentiable by autograd.
    std : Tensor, shape (n,)
        Non-negative. The coefficients are differentiable in it.
    tolerance : float
        The tail's share of sqrt(kappa(s, s) kappa(t, t)), at most, for the dual and for its slope.
    terms : int
        The most coefficients.

    Returns
    -------
    HermiteSeries or None
        In float64; None where more than ``terms`` coefficients are needed.
    """
    series, reached = hermite_expansion(fn, std, tolerance, terms)
    return series if reached else None


def series_dual(left: Tensor, right: Tensor, delta: Tensor) -> Tensor:
    """``sum_j left_j right_j (1 - delta)^j`` by Horner's rule.

    Parameters
    ----------
    left, right : Tensor, shape (..., J)
        Such as (n1, 1, J) and (1, n2, J): never multiplied out over j.
    delta : Tensor
        One minus the correlation, broadcastable with the shapes before J.
    """
    rho = 1 - delta
    total = torch.zeros_like(rho)
    for a, b in zip(reversed(left.unbind(-1)), reversed(right.unbind(-1)), strict=True):
        total = torch.addcmul(a * b, total, rho)
    return total


def series_delta(left: Tensor, right: Tensor, delta: Tensor) -> Tensor:
    """One minus the correlation of two functions from their coefficients, without cancellation.

    With the unit vectors a = left / |left| and b = right / |right| and rho = 1 - delta,

        1 - sum_j a_j b_j rho^j = |a - b|^2 / 2 + delta sum_j a_j b_j (1 + rho + ... + rho^(j-1)),

    exactly 0 at delta = 0 between equal rows; the parameters are those of :func:`series_dual`. Arbitrary (in [0, 2])
    where a row vanishes.
    """
    a = safe_divide(left, safe_sqrt(left.square().sum(-1, keepdim=True))).unbind(-1)
    b = safe_divide(right, safe_sqrt(right.square().sum(-1, keepdim=True))).unbind(-1)
    rho = 1 - delta
    above = torch.zeros_like(rho)
    series = torch.zeros_like(rho)
    distance = (a[0] - b[0]).square()
    for x, y in zip(reversed(a[1:]), reversed(b[1:]), strict=True):
        above = above + x * y
        series = torch.addcmul(above, series, rho)
        distance = distance + (x - y).square()
    return (distance / 2 + delta * series).clamp(0, 2)
