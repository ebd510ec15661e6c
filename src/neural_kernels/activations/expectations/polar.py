"""Expectations of any function with no kink but at the origin, in polar coordinates: one rule for all norms.

With X = s r cos(a), Y = t r cos(a - theta) and the radius on a logarithmic scale, a function that varies near the
origin and grows or saturates beyond does so at every s in the same way, only moved along: the trapezoid rule in log r
and the double-exponential rule between the changes of sign need hardly more nodes at s = 1000 than at 1.
"""

from __future__ import annotations

import math
from functools import cache

import numpy as np
import torch
from torch import Tensor

from neural_kernels.activations.expectations.hermite import Function, value_and_slope
from neural_kernels.activations.expectations.wedge import double_exponential

_STEP, _FARTHEST = 0.16, 2.3  # of log r: exp(-r^2 / 2) is below 1e-21 beyond
_ANGULAR = (
    (2.0, 0.12),
    (30.0, 0.09),
    (300.0, 0.07),
    (3000.0, 0.055),
    (math.inf, 0.03),
)  # steps, for standard deviations up to a bound
_REACH = 3.3  # the rule begins at 3e-19 of a wedge, far below 1 / s
_MOST = 48  # standard deviations of Y at a time


def _radii(largest: float, step: float) -> tuple[np.ndarray, np.ndarray]:
    """Return radii and their weights dr, on a logarithmic scale that goes to 0 double-exponentially below 1 / s."""
    start = -math.log(max(largest, 1.0)) - 2.5
    t = np.arange(start - 2.6, _FARTHEST, step)
    bend = np.exp(start - t)
    r = np.exp(t - bend)
    return r, step * r * (1 + bend)


@cache
def _rule(level: float) -> tuple[Tensor, Tensor, Tensor]:
    """Return radii, shares of the angle from one end of a wedge, and their weights without its width."""
    angular = next(step for bound, step in _ANGULAR if level <= bound)
    r, dr = _radii(level, _STEP)
    x, _, weight = np.array(double_exponential(angular, _REACH)).T
    weights = (dr * r * np.exp(-r * r / 2))[:, None] * weight / (2 * math.pi)
    return torch.from_numpy(r), torch.from_numpy(x), torch.from_numpy(weights)


def _sides(fn: Function) -> tuple[int, ...]:
    """Return (1, -1), or (1,) for an even or odd function, whose products are the same on both sides."""
    x = torch.linspace(0.01, 6, 97, dtype=torch.float64)
    above, below = fn(x).detach(), fn(-x).detach()
    close = 1e-15 * above.abs().max()
    return (1,) if bool(((above - below).abs() <= close).all() | ((above + below).abs() <= close).all()) else (1, -1)


def polar_products(fn: Function, std1: Tensor, std2: Tensor, delta: Tensor, one_plus: Tensor) -> tuple[Tensor, Tensor]:
    """Return E[fn(X) fn(Y)] and E[fn'(X) fn'(Y)] on a grid, shape (m, n, k), float64.

    Parameters
    ----------
    fn : callable
        Entry by entry, differentiable by autograd; a kink at the origin does no harm, others do.
    std1, std2, delta, one_plus : Tensor, shapes (m,), (n,), (k,) and (k,)
        Standard deviations of X and of Y, one minus their correlation and one plus it.
    """
    if len(std2) > _MOST:
        parts = zip(*(polar_products(fn, std1, part, delta, one_plus) for part in std2.split(_MOST)), strict=True)
        return tuple(torch.cat(part, 1) for part in parts)  # pyright: ignore[reportReturnType]
    std, count = torch.cat([std1, std2]), len(std1)
    radii, shares, weights = _rule(2.0 ** math.ceil(math.log2(float(std.max()))))
    sides = _sides(fn)
    scaled = std[:, None, None] * radii[:, None]
    totals = torch.zeros(2, len(delta), count, len(std2), dtype=torch.float64)
    near, far = delta.sqrt(), one_plus.sqrt()
    widths = torch.stack([2 * torch.atan2(far, near), 2 * torch.atan2(near, far)], 1)
    for k, pair in enumerate(widths.tolist()):
        for width, sign in zip(pair, (1, -1), strict=True):
            x, weight = scaled * torch.sin(width * shares), width * 2 / len(sides) * weights
            for side in sides:
                first, second = value_and_slope(fn, side * x[:count]), value_and_slope(fn, sign * side * x[count:])
                for part, (f, g) in enumerate(zip(first, second, strict=True)):
                    totals[part, k] += (weight * f).flatten(1) @ g.flip(2).flatten(1).T
    return tuple(totals.movedim(1, -1))  # pyright: ignore[reportReturnType]


@cache
def _line() -> tuple[Tensor, Tensor]:
    r, dr = _radii(1e9, 0.1)
    return torch.from_numpy(r), torch.from_numpy(dr * np.exp(-r * r / 2) / math.sqrt(2 * math.pi))


def mean_products(fn: Function, std1: Tensor, std2: Tensor) -> tuple[Tensor, Tensor]:
    """Return E[fn(s z) fn(t z)] and the same of fn', z standard normal, where the standard deviations are broadcast."""
    z, weights = _line()
    sides = _sides(fn)
    value = slope = torch.zeros(torch.broadcast_shapes(std1.shape, std2.shape), dtype=torch.float64)
    for side in sides:
        first, second = (value_and_slope(fn, side * std[..., None] * z) for std in (std1, std2))
        value = value + 2 / len(sides) * ((first[0] * second[0]) @ weights)
        slope = slope + 2 / len(sides) * ((first[1] * second[1]) @ weights)
    return value, slope
