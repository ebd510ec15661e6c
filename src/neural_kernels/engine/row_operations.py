"""Compiled operations on a row of numbers, of which both machines are made.

A row holds one minus the correlation of one unit with many others, and stays in the first cache.
"""

from __future__ import annotations

import math

import numpy as np

from neural_kernels.engine.arc import angle, lens
from neural_kernels.engine.codes import GROUP
from neural_kernels.runtime.jit import compiled


@compiled
def arc(delta, cusp, value, slope):
    """Arc-cosine kernels: value delta - cusp (sin t - t cos t) / pi, slope cusp t / pi, with t the angle.

    Where rounding leaves a distance below 0, its size is as near and costs less than a maximum.
    """
    two = delta.dtype.type(2)
    for c in range(delta.size):
        value[c], slope[c] = _arc(delta[c], two - delta[c], cusp)


@compiled
def arc_of_ends(delta, opposite, cusp, value, slope):
    """The same of one minus and one plus the correlations: the angle is as exact near opposite ones as near equal ones.

    Two minus a `delta` near 2 would be known to rounding of one only, and the angle to the root of that.
    """
    for c in range(delta.size):
        value[c], slope[c] = _arc(delta[c], opposite[c], cusp)


@compiled
def raise_order(delta, order, value, slope):
    """Arc-cosine kernels of higher order, from those of orders 1 and 0 in `value` and `slope`, which become n, n - 1.

    For normalised ones, 1 - e_n = rho (1 - e_(n-1)) + (n-1)^2 / ((2n-1) (2n-3)) sin^2 (1 - e_(n-2)): by parts, from
    Cho and Saul (NeurIPS 2009). Every e_n near 0 is a multiple of delta, and nothing cancels.
    """
    one, two = delta.dtype.type(1), delta.dtype.type(2)
    for n in range(2, order + 1):
        share = delta.dtype.type((n - 1) * (n - 1) / ((2 * n - 1) * (2 * n - 3)))
        for c in range(delta.size):
            d, last = delta[c], value[c]
            value[c] = d + (one - d) * last - share * d * (two - d) * (one - slope[c])
            slope[c] = last


@compiled
def _arc(d, opposite, cusp):
    real = type(d)
    half, one, two = real(0.5), real(1), real(2)
    far = d > one
    m = half * abs(opposite if far else d)
    y = cusp * math.sqrt(m)
    t = y * angle(m)
    straight = (two - cusp) + (cusp - one) * opposite if far else d
    return abs(straight - y * m * lens(m)), cusp - t if far else t


@compiled
def schur(a, b, target):
    """One minus the product of two correlations."""
    for c in range(a.size):
        target[c] = a[c] + b[c] - a[c] * b[c]


@compiled
def blend(a, wa, b, wb, target):
    """A sum whose summands have the same share in all units."""
    for c in range(a.size):
        target[c] = wa * a[c] + wb * b[c]


@compiled
def mix(a, w, w_other, b, v, v_other, target):
    """A sum whose summands have the shares w and v here, other ones in the units of the columns."""
    half = a.dtype.type(0.5)
    for c in range(a.size):
        dw, dv = w - w_other[c], v - v_other[c]
        target[c] = w * w_other[c] * a[c] + v * v_other[c] * b[c] + half * (dw * dw + dv * dv)


@compiled
def series(delta, terms, left, row, right, column, target, tail, total):
    """|l - r|^2 / 2 + delta sum_j l_j r_j (1 + rho + ... + rho^(j - 1)) for unit vectors l, r: nothing cancels."""
    real, n = delta.dtype.type, delta.size
    half, one, zero = real(0.5), real(1), real(0)
    for c in range(n):
        target[c], tail[c], total[c] = zero, zero, zero
    for vector in range(terms[1] - 1, terms[0] - 1, -1):
        a, other = left[vector, row], right[vector, column : column + n]
        for c in range(n):
            b = other[c]
            total[c] = total[c] * (one - delta[c]) + tail[c]
            tail[c] += a * b
            target[c] += half * (a - b) * (a - b)
    for c in range(n):
        target[c] = max(target[c] + delta[c] * total[c], zero)


@compiled
def powers(delta, terms, left, row, right, column, target, square, odd):
    """1 - sum_j l_j r_j rho^j, even and odd powers apart: quicker, and as good where no cusp follows."""
    real, n = delta.dtype.type, delta.size
    one, zero = real(1), real(0)
    for c in range(n):
        square[c] = (one - delta[c]) * (one - delta[c])
        target[c], odd[c] = zero, zero
    _horner(square, terms[0], terms[1], left, row, right, column, target)
    _horner(square, terms[1], terms[2], left, row, right, column, odd)
    for c in range(n):
        target[c] = max(one - target[c] - (one - delta[c]) * odd[c], zero)


@compiled
def _horner(x, start, stop, left, row, right, column, total):
    """sum_k l_k r_k x^k for the vectors from start to stop, a multiple of GROUP; `total` starts at 0."""
    n = x.size
    for v in range(stop - GROUP, start - 1, -GROUP):
        a, b, c, d = left[v, row], left[v + 1, row], left[v + 2, row], left[v + 3, row]
        p, q = right[v, column : column + n], right[v + 1, column : column + n]
        r, s = right[v + 2, column : column + n], right[v + 3, column : column + n]
        for k in range(n):
            y = x[k]
            total[k] = (((total[k] * y + d * s[k]) * y + c * r[k]) * y + b * q[k]) * y + a * p[k]


@compiled
def squares(x, results):
    """Sums of the squares of rows, in float64."""
    for i in range(x.shape[0]):
        total = 0.0
        for c in range(x.shape[1]):
            value = np.float64(x[i, c])
            total += value * value
        results[i] = total
