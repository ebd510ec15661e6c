"""What a quadrant of two normal variables is made of, for a threshold of a row and those of its columns.

With thresholds h and k, correlation rho and its sine, let u = (k - rho h) / sine and v = (h - rho k) / sine be the
places of the quadrant's corner along its two sides, phi the normal density and Q its tail. Then

    L = P(z1 > h, z2 > k),  F = phi(h) Q(u),  G = phi(k) Q(v),  D = sine phi(h) phi(u) = sine phi(k) phi(v).

L is the sum of two functions of (h, u) and of (k, v), by the series of `quadrants`; F and G come from Mills' ratio, and
one exponential serves all four.
"""

from __future__ import annotations

import math

from neural_kernels.engine.arc import angle
from neural_kernels.engine.normal_tails import PLACE, clenshaw, clenshaw_by_column, exponential
from neural_kernels.engine.quadrants import FARTHEST, SMALL, TERMS
from neural_kernels.runtime.jit import compiled

# rows of scratch memory: of the correlation, given; results L, F, G, D with the places; the rest in between
ROWS = 19
SINE, INVERSE, ACUTE, PROBABILITY, FIRST_SIDE, SECOND_SIDE, BOTH, U, V = range(9)
_X, _Y, _DENSITY, _FIRST, _SECOND, _P, _Q, _HIGH, _LOW, _LINE = range(9, 19)
THRESHOLD = 3 + TERMS  # vectors of a threshold: h, 2 pi Q(h), phi(h), series
_ROOT = 1 / math.sqrt(2 * math.pi)


@compiled
def corners(left, right, row, column, one, other, near, mills, scratch):
    """Fill the rows of L, F, G, D, u and v of scratch memory, ROWS rows of which the first three are given.

    `near` is one minus the correlation, SINE, INVERSE and ACUTE its sine, the inverse of that, and the smaller of the
    angle and pi less it; `one` and `other` are the first vectors of both thresholds, `mills` the series of the tails.
    """
    n = near.size
    inverse, u, v, e = scratch[INVERSE, :n], scratch[U, :n], scratch[V, :n], scratch[_DENSITY, :n]
    x, y, first, second = scratch[_X, :n], scratch[_Y, :n], scratch[_FIRST, :n], scratch[_SECOND, :n]
    p, q, high, low = scratch[_P, :n], scratch[_Q, :n], scratch[_HIGH, :n], scratch[_LOW, :n]
    line = scratch[_LINE, :TERMS]
    stop = column + n
    h, k = left[one, row], right[other, column:stop]
    a1, b1, c1, most = _mapping(h)
    for c in range(n):
        gap = k[c] - h
        u[c], v[c] = (gap + near[c] * h) * inverse[c], (near[c] * k[c] - gap) * inverse[c]
        e[c] = 0.5 * (h * h + u[c] * u[c])
    for c in range(n):
        r, s = abs(u[c]), abs(v[c])
        p[c], q[c] = 1 - 2 * PLACE / (r + PLACE), 1 - 2 * PLACE / (s + PLACE)
        w = min(r, most)
        x[c] = (a1 * w - b1) / (c1 * w + b1)
    for c in range(n):
        a2, b2, c2, bound = _mapping(k[c])
        w = min(abs(v[c]), bound)
        y[c] = (a2 * w - b2) / (c2 * w + b2)
    exponential(e, first)
    for j in range(TERMS):
        line[j] = left[one + 3 + j, row]
    clenshaw(line, x, high, low, first)
    clenshaw_by_column(right, other + 3, TERMS, column, y, high, low, second)
    clenshaw(mills, p, high, low, p)
    clenshaw(mills, q, high, low, q)
    tails, densities = right[other + 1, column:stop], right[other + 2, column:stop]
    _join(h, left[one + 1, row], left[one + 2, row], k, tails, densities, near, scratch)


@compiled
def _mapping(h):
    """Numbers a, b, c and a bound that map u to the argument (a w - b) / (c w + b) of the series, w = min(u, bound)."""
    small = h < SMALL
    return (
        2.0 if small else 1.0,
        FARTHEST if small else 2 + 0.25 * h,
        0.0 if small else 1.0,
        FARTHEST if small else 1e200,
    )


@compiled
def _join(h, tail, density, k, tails, densities, near, scratch):
    """The results from sums of the series, first as if the arc cotangents added up, then where they do not."""
    n = near.size
    sine, acute, u, v = scratch[SINE, :n], scratch[ACUTE, :n], scratch[U, :n], scratch[V, :n]
    probability, f, g = scratch[PROBABILITY, :n], scratch[FIRST_SIDE, :n], scratch[SECOND_SIDE, :n]
    both, e, first, second = scratch[BOTH, :n], scratch[_DENSITY, :n], scratch[_FIRST, :n], scratch[_SECOND, :n]
    p, q = scratch[_P, :n], scratch[_Q, :n]
    apart = False
    for c in range(n):
        r, s = abs(u[c]), abs(v[c])
        beyond, others = _ROOT * e[c] * p[c] / (r + PLACE), _ROOT * e[c] * q[c] / (s + PLACE)
        f[c] = beyond if u[c] >= 0 else density - beyond
        g[c] = others if v[c] >= 0 else densities[c] - others
        both[c] = sine[c] * e[c] / (2 * math.pi)
        turned = -h * first[c] if u[c] >= 0 else tail - math.pi + h * first[c]
        back = -k[c] * second[c] if v[c] >= 0 else tails[c] - math.pi + k[c] * second[c]
        total = (math.pi - acute[c] if near[c] < 1 else acute[c]) + turned + back
        probability[c] = max(total / (2 * math.pi), 0.0)
        apart |= max(max(h, k[c]) * (FARTHEST / SMALL), max(r, s)) >= FARTHEST
    if apart:
        _part(h, u, first, e, p)
        for c in range(n):
            square, size = k[c] * k[c] + v[c] * v[c], abs(v[c])
            q[c] = _one_part(k[c], square, size, second[c], e[c])
        for c in range(n):
            total = (p[c] if u[c] >= 0 else tail - p[c]) + (q[c] if v[c] >= 0 else tails[c] - q[c])
            large = max(max(h, k[c]) * (FARTHEST / SMALL), max(abs(u[c]), abs(v[c]))) >= FARTHEST
            probability[c] = max(total / (2 * math.pi), 0.0) if large else probability[c]


@compiled
def _part(h, u, value, density, target):
    """2 pi q of one threshold for places |u| (see `quadrants`), where the arc cotangents do not add up."""
    for c in range(u.size):
        square, size = h * h + u[c] * u[c], abs(u[c])
        target[c] = _one_part(h, square, size, value[c], density[c])


@compiled
def _one_part(h, square, size, value, density):
    """The same for one place of this size, h^2 + u^2 in `square`; both forms are computed, so that it vectorises."""
    root = math.sqrt(square)
    m = 0.5 * h * h / (root * (root + size) + 1e-300)
    seen = 1.0 if size < FARTHEST else 0.0
    small = (math.pi * math.sqrt(m) * angle(m) - h * value) * seen
    large = density * h * value / (square * (1 + size) + 1e-300)
    return small if h < SMALL else large
