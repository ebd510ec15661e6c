"""A row of value and slope of piecewise polynomial activations: truncated moments of two normal variables.

With the four functions L, F, G and D of thresholds and correlation (`corners`), every moment
E[(z1 - h)_+^m (z2 - k)_+^n] is a polynomial in h, k, rho and the sine times u and v, by Stein's recursion. Value and
slope are sums of such moments and of a polynomial in rho, so both are made of the same few functions.
"""

from __future__ import annotations

import math

from neural_kernels.engine.arc import angle
from neural_kernels.engine.corners import (
    ACUTE,
    BOTH,
    FIRST_SIDE,
    INVERSE,
    PROBABILITY,
    SECOND_SIDE,
    SINE,
    THRESHOLD,
    U,
    V,
    corners,
)
from neural_kernels.engine.corners import ROWS as CORNER_ROWS
from neural_kernels.engine.normal_tails import MILLS_TERMS
from neural_kernels.runtime.jit import compiled

ORDERS = 3  # powers m and n below it
HEAD = 5  # integers in front: where Mills' series is, thresholds, coefficients of value and of slope, quadrants
QUADRANT = 5  # of a quadrant: thresholds of row and column, whether z2 is turned, highest power, products
PRODUCT = 6  # of a product: value or slope, moment, and twice the vectors of weights of row and column
SCRATCH = CORNER_ROWS + ORDERS * ORDERS + 1  # the last is one plus the correlations
_BLOCK = 128  # columns whose scratch memory stays in the first cache
_LEAST_SINE = 1e-120
_COINCIDENT = 1e-30  # what rounding leaves of the distance of equal rows, squared


@compiled
def kinks(delta, opposite, row, column, vector, integers, floats, left, right, scratch, value, slope):
    """Value and slope (one minus their correlations) for the columns of one row.

    Vectors are those of every threshold; then Hermite coefficients of the function and of its ramps, both as far as
    the polynomial goes, of value and then of slope; then weights of the ramps, which the products name.
    """
    size = delta.size
    for start in range(0, size, _BLOCK):
        stop = min(start + _BLOCK, size)
        _block(
            delta[start:stop], opposite[start:stop], row, column + start, vector, integers, floats, left, right,
            scratch, value[start:stop], slope[start:stop],
        )  # fmt: skip


@compiled
def _block(delta, opposite, row, column, vector, integers, floats, left, right, scratch, value, slope):
    n = delta.size
    sine, inverse, acute = scratch[SINE, :n], scratch[INVERSE, :n], scratch[ACUTE, :n]
    for c in range(n):
        d, o = min(max(delta[c], 0.0), 2.0), min(max(opposite[c], 0.0), 2.0)
        sine[c] = max(math.sqrt(d * o), _LEAST_SINE)
        inverse[c] = 1 / sine[c]
        m = min(d, o) / 2
        acute[c] = math.pi * math.sqrt(m) * angle(m)
    stop = column + n
    first = vector + integers[1] * THRESHOLD
    _polynomial(delta, left, right, row, column, first, integers[2], value)
    _polynomial(delta, left, right, row, column, first + 2 * integers[2], integers[3], slope)
    mills = floats[integers[0] : integers[0] + MILLS_TERMS]
    at = HEAD
    for _ in range(integers[4]):
        a, b, turned, most, products = (
            integers[at], integers[at + 1], integers[at + 2], integers[at + 3], integers[at + 4],
        )  # fmt: skip
        at += QUADRANT
        near = opposite if turned else delta
        one, other = vector + a * THRESHOLD, vector + b * THRESHOLD
        corners(left, right, row, column, one, other, near, mills, scratch)
        _moments(left[one, row], right[other, column:stop], near, most, scratch)
        for _ in range(products):
            moment = scratch[CORNER_ROWS + integers[at + 1], :n]
            target = slope if integers[at] else value
            w1, w2 = left[vector + integers[at + 2], row], left[vector + integers[at + 4], row]
            v1, v2 = right[vector + integers[at + 3], column:stop], right[vector + integers[at + 5], column:stop]
            for c in range(n):
                target[c] += (w1 * v1[c] + w2 * v2[c]) * moment[c]
            at += PRODUCT
    h, others = left[vector, row], right[vector, column:stop]
    for c in range(n):
        same = delta[c] < _COINCIDENT and h == others[c]
        value[c] = 0.0 if same else min(max(1 - value[c], 0.0), 2.0)
        slope[c] = 0.0 if same else min(max(1 - slope[c], 0.0), 2.0)


@compiled
def _polynomial(delta, left, right, row, column, first, count, target):
    """Powers of rho with the products of the function's coefficients less those of the ramps'."""
    stop = column + delta.size
    for c in range(delta.size):
        target[c] = 0.0
    for j in range(count - 1, -1, -1):
        whole, ramps = left[first + j, row], left[first + count + j, row]
        wholes, others = right[first + j, column:stop], right[first + count + j, column:stop]
        for c in range(delta.size):
            target[c] = target[c] * (1 - delta[c]) + (whole * wholes[c] - ramps * others[c])


@compiled
def _moments(h, k, near, most, scratch):
    """All moments of powers up to `most`, m and n, in the last rows of scratch memory."""
    n, base = near.size, CORNER_ROWS
    sine, probability, both = scratch[SINE, :n], scratch[PROBABILITY, :n], scratch[BOTH, :n]
    f, g, u, v = scratch[FIRST_SIDE, :n], scratch[SECOND_SIDE, :n], scratch[U, :n], scratch[V, :n]
    n00, n01 = scratch[base, :n], scratch[base + 1, :n]
    n10, n11 = scratch[base + ORDERS, :n], scratch[base + ORDERS + 1, :n]
    for c in range(n):
        rho = 1 - near[c]
        n00[c] = probability[c]
        n10[c] = f[c] + rho * g[c] - h * probability[c]
        n01[c] = g[c] + rho * f[c] - k[c] * probability[c]
        n11[c] = (rho + h * k[c]) * probability[c] - k[c] * f[c] - h * g[c] + both[c]
    if most < 2:
        return
    n02, n12, n20 = scratch[base + 2, :n], scratch[base + ORDERS + 2, :n], scratch[base + 2 * ORDERS, :n]
    n21, n22 = scratch[base + 2 * ORDERS + 1, :n], scratch[base + 2 * ORDERS + 2, :n]
    for c in range(n):
        rho = 1 - near[c]
        n20[c] = n00[c] - h * n10[c] + rho * (both[c] - sine[c] * v[c] * g[c])
        n02[c] = n00[c] - k[c] * n01[c] + rho * (both[c] - sine[c] * u[c] * f[c])
        n21[c] = n01[c] - h * n11[c] + rho * n10[c]
        n12[c] = n10[c] - k[c] * n11[c] + rho * n01[c]
        n22[c] = n02[c] - h * n12[c] + 2 * rho * n11[c]
