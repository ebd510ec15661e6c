"""Where a kink of one variable meets one of the other: what no table has of value and slope.

Let X = p Z1 and Y = q Z2 be normal, a and b the places of the kinks in Z1 and Z2, A_k and B_k the jumps of the k-th
derivatives by Z1 and Z2 there, and delta one minus the correlation. With d = Z1 - a - (Z2 - b) and m = (Z1 + Z2) / 2,
which are independent, the product of (Z1 - a)_+^j and (Z2 - b)_+^k, integrated over m, is smooth in d but for odd
powers of |d|. With M = (a + b) / 2, phi the normal density, W_n = E[sgn(d) d^n exp(-d^2 / 2 w^2)] and
A_j * B_k = (-1)^(k+1) A_j B_k / 2, these make of the expectation

    S = phi(M) (T3 W3 + ... + T7 W7),    T_n = sum_{j+k=n-1} A_j * B_k / n! + R_n,
    R3 = -A1 B1 delta (M^2 - 1) / 48,    R5 = A1 B1 (M^2 - 1) / 480 - M (A1 B2 + A2 B1) / 480,

where terms of higher order than 5 in d, sqrt(delta) and M are left out of R, and T5 and T7 have besides what makes up
for the window: T3 / 2 w^2, T5 / 2 w^2 + T3 / 8 w^4. S is singular at delta = 0 and a = b alone, that is where p and q
are in the ratio of the kinks; the window w keeps it small elsewhere, and 1 - (delta / 2)^4 makes an end of it at
delta = 2. The expectation less S is nearly as smooth as that of a function without kinks. With d normal of mean b - a
and variance v = 2 delta, W_n follows by Stein's recursion from an error function, and its derivative by delta from
dE[f(d)] / dv = E[f''(d)] / 2.
"""

from __future__ import annotations

import math

from neural_kernels.runtime.jit import compiled, inlined

NUMBERS = 6  # of a kink for a unit: its place, five jumps
INTEGERS = 3  # of a meeting: the vectors of the kinks of row and column, and whether they lie on different sides
_ROOT_TWO, _ROOT_TWO_OVER_PI = math.sqrt(2), math.sqrt(2 / math.pi)
_DENSITY = 1 / math.sqrt(2 * math.pi)
_LEAST = 1e-300
_NOTHING = 36.0  # exp(-36) is 2e-16


@compiled
def meet(delta, column, run, integers, window, left, right, vector, row, first, value, slope):
    """Put what is at meetings into value and slope (one minus their correlations) for columns of one row.

    `vector` is that of the ratio of the units of value and slope, from which those of the kinks count; jumps are in
    units of the output's standard deviation. `run` says which columns are meant, `first` which is the first in `right`.
    """
    for at in range(0, integers.size, INTEGERS):
        i, j, turned = vector + integers[at], vector + integers[at + 1], integers[at + 2]
        one = left[i : i + NUMBERS, row]
        ratio = -left[vector, row] if turned else left[vector, row]
        for c in range(run.size):
            k, place = first + c, run[c] - column
            near = 2 - delta[place] if turned else delta[place]
            part, change = _meeting(one, right[j : j + NUMBERS, k], near, window)
            value[place] -= part
            slope[place] += ratio * right[vector, k] * change


@compiled
def meeting_on_grid(one, other, near, window, value, change):
    """Add the part of one meeting and its derivative, (n1, n2, k), for kinks of units, (6, n1) and (6, n2)."""
    for i in range(one.shape[1]):
        for j in range(other.shape[1]):
            for k in range(near.size):
                part, derivative = _meeting(one[:, i], other[:, j], near[k], window)
                value[i, j, k] += part
                change[i, j, k] += derivative


@inlined
def _meeting(one, other, near, window):
    """S, and its derivative by `near`, which is delta or, where kinks lie on different sides, 2 - delta."""
    a1, a2, a3, a4, a5 = one[1], one[2], one[3], one[4], one[5]
    b1, b2, b3, b4, b5 = other[1], other[2], other[3], other[4], other[5]
    delta = min(max(near, 0.0), 2.0)
    mean, middle = other[0] - one[0], (one[0] + other[0]) / 2
    variance, square = 2 * delta, window * window
    exponent = (middle * middle + mean * mean / (variance + square)) / 2
    if exponent > _NOTHING:
        return 0.0, 0.0
    share, rate = square / (variance + square), 1 / square
    _, m1, m2, m3, m4, m5, m6, m7, m8, m9 = _moments(mean * share, max(variance * share, _LEAST))
    both, curved = a1 * b1, middle * middle - 1
    flat, bent = both / 12, -both * curved / 48
    t3, t4 = flat + delta * bent, (a2 * b1 - a1 * b2) / 48
    t5 = (a1 * b3 - a2 * b2 + a3 * b1) / 240 + (both * curved - middle * (a1 * b2 + a2 * b1)) / 480
    t6 = (a4 * b1 - a3 * b2 + a2 * b3 - a1 * b4) / 1440 + t4 * rate / 2
    t7 = (a1 * b5 - a2 * b4 + a3 * b3 - a4 * b2 + a5 * b1) / 10080 + (t5 + flat * rate / 4) * rate / 2
    t5 += flat * rate / 2
    part = t3 * m3 + t4 * m4 + t5 * m5 + t6 * m6 + t7 * m7
    change = bent * m3
    change += t3 * (6 * m1 - rate * (7 * m3 - rate * m5)) + t4 * (12 * m2 - rate * (9 * m4 - rate * m6))
    change += t5 * (20 * m3 - rate * (11 * m5 - rate * m7)) + t6 * (30 * m4 - rate * (13 * m6 - rate * m8))
    change += t7 * (42 * m5 - rate * (15 * m7 - rate * m9))
    scale = _DENSITY * math.sqrt(share) * math.exp(-exponent)
    cube = delta * delta * delta / 8
    end = 1 - cube * delta / 2
    return scale * end * part, scale * (end * change - 2 * cube * part)


@inlined
def _moments(mean, variance):
    """E[sgn(d) d^n] of a normal variable, n = 0..9."""
    deviation = math.sqrt(variance)
    z = mean / deviation
    m0 = math.erf(z / _ROOT_TWO)
    m1 = deviation * _ROOT_TWO_OVER_PI * math.exp(-z * z / 2) + mean * m0
    m2 = mean * m1 + variance * m0
    m3 = mean * m2 + 2 * variance * m1
    m4 = mean * m3 + 3 * variance * m2
    m5 = mean * m4 + 4 * variance * m3
    m6 = mean * m5 + 5 * variance * m4
    m7 = mean * m6 + 6 * variance * m5
    m8 = mean * m7 + 7 * variance * m6
    m9 = mean * m8 + 8 * variance * m7
    return m0, m1, m2, m3, m4, m5, m6, m7, m8, m9
