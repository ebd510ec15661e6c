r"""Duals as tables: products of Chebyshev polynomials in the two norms and in a stretched angle, right at any norm.

With p, q the standard deviations of X and Y, delta one minus their correlation, s and s' the standard deviations of
sigma(X) and sigma'(X), what is tabulated is smooth:

.. math::

    1 - \kappa / (s_p s_q) &= A(p, q) (\tau_p - \tau_q)^2 + w F(p, q, x), \qquad \tau = \mathrm{asinh}\, p, \\
    \text{slope} / (s'_p s'_q) &= C(p, q, x), \\
    x &= [\mathrm{asinh}(b y) - \mathrm{asinh}(b z)] / \mathrm{asinh}\, b, \qquad y = \sqrt{\delta / 2},
    \ z = \sqrt{1 - \delta / 2},

with :math:`w = \delta / \sqrt{1 + (b y)^2}`. What an activation makes of nearly equal or nearly opposite variables
changes within an angle of 1 / b, where b is about the smaller of p and q: in x that is a share of the range, whatever
the norms. Nothing cancels at delta = 0, where F is an integral of the slope (Price's theorem). The norms are cut into
cells, and there is one b for each pair of cells. A table is computed once in a process for each pair of cells that
occurs, and costs some hundred multiply-adds for each value after that.

Kinks off the origin make that singular where they meet: what is tabulated then is the expectation less the singular
part, which has a closed form (`engine.meetings`), in cells of half the width with three times as many angles.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from functools import cache, lru_cache
from threading import Lock

import numpy as np
import torch
from torch import Tensor

from neural_kernels.activations.base import Activation, Dual
from neural_kernels.activations.cell_table import NODES, TOLERANCE, CellTable, needed, size_of
from neural_kernels.activations.expectations import chebyshev
from neural_kernels.activations.expectations.meetings import Bend, bends, meetings, met, window_of
from neural_kernels.activations.norm_cells import FINE, USUAL, NormCells

_ACCURACY = 1e-8  # of the last coefficients, or there is no table
_PRICE = 1e-9  # by how much the two ways to the value may differ: more where the function jumps
_VANISHING = 1e-10  # share of the slope in a kernel
_NEAR = 0.1  # share of 1 / b up to which, in delta, the integral of the slope is the better way
_DENSE = 3  # times as many angles where kinks lie off the origin
_ALIGNED = torch.zeros(1, dtype=torch.float64), torch.full((1,), 2.0, dtype=torch.float64)
_KEPT = 2048  # tables of some ten kilobytes
_known: dict[tuple[Dual, int, int], CellTable | None] = {}  # the oldest go first
_lock = Lock()


def cell_tables(dual: Dual, left: Sequence[int], right: Sequence[int]) -> dict[tuple[int, int], CellTable | None]:
    """Return the table of every pair of cells; None where the dual is not smooth enough for one.

    A kink off the origin is one in the norms, too, where p and q meet: it is taken off (`engine.meetings`). Where the
    function itself jumps there, there is no table. Tables that the process does not know yet are computed, which takes
    some hundredths of a second each for a closed form and some tenths for a function.
    """
    if bends_of(dual) is None:
        return dict.fromkeys((p, q) for p in left for q in right)
    wanted = sorted({(min(p, q), max(p, q)) for p in left for q in right})
    with _lock:
        for first in sorted({p for p, _ in wanted}):
            unknown = [q for p, q in wanted if p == first and (dual, p, q) not in _known]
            if unknown:
                with torch.inference_mode(False), torch.no_grad():
                    tables = _tabulate(dual, first, unknown)
                _known.update({(dual, first, q): table for q, table in zip(unknown, tables, strict=True)})
        found = {(p, q): _known[dual, p, q] for p, q in wanted}
        while len(_known) > _KEPT:
            _known.pop(next(iter(_known)))
    return {(p, q): found[p, q] if p <= q else _transposed(found[q, p]) for p in left for q in right}


def pairs_to_integrate(dual: Dual, left: Sequence[int], right: Sequence[int]) -> int:
    """Return for how many pairs of variables the tables that are not known yet take integrals; 0 but with such kinks.

    Integrals along rays cost some tenths of a millisecond each.
    """
    if not bends_of(dual):
        return 0
    unknown = {(min(p, q), max(p, q)) for p in left for q in right if (dual, min(p, q), max(p, q)) not in _known}
    angles = (_DENSE * _count(_stretch(FINE.middle(p))) for p, _ in unknown)
    return NODES * (NODES - 1) * sum(angles)


@lru_cache(maxsize=64)
def bends_of(dual: Dual) -> tuple[Bend, ...] | None:
    """Return the kinks off the origin, of which none may be a jump of the function itself; None if one is."""
    if not any(dual.kinks):
        return ()
    return bends(dual.fn, dual.kinks) if isinstance(dual, Activation) else None


def cells_of(dual: Dual) -> NormCells:
    """Return the cells of its tables."""
    return FINE if any(dual.kinks) else USUAL


def _transposed(table: CellTable | None) -> CellTable | None:
    return None if table is None else table.transposed


def _tabulate(dual: Dual, left: int, right: Sequence[int]) -> list[CellTable | None]:
    """Return the tables of a cell with others of no smaller norms, all at once where they share a set of angles.

    A kink at the origin is as sharp as the larger norm makes it.
    """
    central = 0.0 in dual.kinks
    if central and len(right) > 1:
        return [_tabulate(dual, left, [cell])[0] for cell in right]
    cells, kinks = cells_of(dual), bends_of(dual) or ()
    b = _stretch(cells.middle(right[0] if central else left))
    delta, integral = _angles(b, _DENSE if kinks else 1)
    first, second = cells.nodes(left, NODES - 1), [cells.nodes(cell, NODES) for cell in right]  # no common point
    others = torch.cat([std for _, std in second])
    # 2 - delta is that of the node on the other side: a difference would lose the angles of nearly opposite variables.
    value, slope = dual.grid(first[1], others, delta, delta.flip(0))
    still = dual.aligned(first[1], others)
    tables = []
    for cell, of_cell, *parts in zip(
        right, second, *(part.split(NODES, 1) for part in (value, slope, still)), strict=True
    ):
        window = window_of(cells.middle(left), cells.middle(cell))
        found = meetings(kinks, cells.ends(left), cells.ends(cell))
        for i, j in found:
            at = kinks[i], kinks[j], first[1], of_cell[1]
            rest = met(*at, delta, delta.flip(0), window)
            parts = [parts[0] - rest[0], parts[1] - rest[1], parts[2] - met(*at, *_ALIGNED, window)[0][..., 0]]
        table = _table(dual, b, integral, delta, first, of_cell, *parts)
        tables.append(table and replace(table, window=window, meetings=found))
    return tables


def _table(
    dual: Dual,
    b: float,
    integral: Tensor,
    delta: Tensor,
    first: tuple[Tensor, Tensor],
    second: tuple[Tensor, Tensor],
    value: Tensor,
    slope: Tensor,
    still: Tensor,
) -> CellTable | None:
    (tau1, std1), (tau2, std2) = first, second
    scale = dual.std(std1)[:, None] * dual.std(std2)
    slope_scale = dual.slope_std(std1)[:, None] * dual.slope_std(std2)
    vanishing = any(dual.kinks)  # that the slope may be, near the origin
    if not bool((scale > 0).all() & (vanishing | (slope_scale > 0)).all() & (scale + slope_scale).isfinite().all()):
        return None
    apart = (1 - still / scale) / (tau1[:, None] - tau2).square()
    units = std1[:, None] * std2 / scale
    share = float((units * slope_scale).max())  # of the slope in a kernel
    turned = (still[..., None] - value) / scale[..., None]
    price = (slope @ integral.T) * units[..., None]
    near = delta < _NEAR / b
    weighted = bool((price - turned)[..., near].abs().max() < _PRICE)
    if weighted:
        turned = torch.where(near, price, turned) * torch.sqrt(1 + b * b * delta / 2) / delta
    change = 1 - slope / slope_scale[..., None] if share > _VANISHING else torch.zeros_like(slope)
    parts = [_coefficients(part) for part in (turned, change)]
    apart = _coefficients(apart[..., None], 2)
    reach = float((tau1[:, None] - tau2).square().max())
    unsettled = _last(reach * apart, 2), _last(parts[0]), min(1.0, share) * _last(parts[1])
    if not all(number < _ACCURACY for number in unsettled):  # NaN is not
        return None
    value = torch.cat([apart, parts[0]], -1)
    counts = [needed(part, TOLERANCE) for part in parts]
    return CellTable(b, weighted, value[..., : counts[0] + 1].contiguous(), parts[1][..., : counts[1]].contiguous())


def _stretch(p: float) -> float:
    """Return b for norms of this size, a power of 2 so that few sets of angles occur."""
    return 2.0 ** min(29, round(1 + math.log2(max(1.0, p))))


def _count(b: float) -> int:
    """Return how many nodes x takes, found by trial over the activations of this package."""
    return 20 + round(10 * math.asinh(b))


@cache
def _angles(b: float, times: int) -> tuple[Tensor, Tensor]:
    """Return the nodes' delta, and the matrix from a function there to its integral over delta up to each of them."""
    count = times * _count(b)
    x = chebyshev.nodes(count).numpy()
    delta, _ = _delta_of(x, b)
    gauss, weight = np.polynomial.legendre.leggauss(count // 2 + 16)
    inner = -1 + (x[:, None] + 1) / 2 * (1 + gauss)
    _, rate = _delta_of(inner, b)
    basis = chebyshev.polynomials(torch.from_numpy(inner), count)
    weights = torch.from_numpy((x[:, None] + 1) / 2 * weight * rate)
    return torch.from_numpy(delta), torch.einsum("xg,xgk->xk", weights, basis) @ chebyshev.transform(count)


def _delta_of(x: np.ndarray, b: float) -> tuple[np.ndarray, np.ndarray]:
    """Return delta of the stretched angle x, and its derivative there, by bisection and then Newton's method."""
    reach = math.asinh(b)
    low, high = np.zeros_like(x), np.full_like(x, math.pi / 2)
    for _ in range(60):
        half = (low + high) / 2
        below = np.arcsinh(b * np.sin(half)) - np.arcsinh(b * np.cos(half)) < reach * x
        low, high = np.where(below, half, low), np.where(below, high, half)
    y, z = np.sin(high), np.cos(high)
    root1, root2 = np.sqrt(1 + (b * y) ** 2), np.sqrt(1 + (b * z) ** 2)
    return 2 * y * y, 4 * y * z * reach / (b * (z / root1 + y / root2))


def _coefficients(values: Tensor, axes: int = 3) -> Tensor:
    """Return Chebyshev coefficients along the first axes, with zeros up to NODES along the first."""
    for axis in range(axes):
        transform = chebyshev.transform(values.shape[axis])
        values = (values.movedim(axis, -1) @ transform.T).movedim(-1, axis)
    return torch.cat([values, values.new_zeros(NODES - len(values), *values.shape[1:])])


def _last(coefficients: Tensor, axes: int = 3) -> float:
    """Return the largest of the last coefficients along each of the first axes; NaN if one is."""
    size = coefficients.abs() / size_of(coefficients)
    last = [size[NODES - 2], size[:, NODES - 1], size[..., -3:]][:axes]
    return float(torch.stack([part.max() for part in last]).max())
