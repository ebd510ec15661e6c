"""Exponentials and tails of the normal distribution on a row of numbers, in plain arithmetic that vectorises.

The tail beyond u >= 0 is exp(-u^2 / 2) Q(x) / (PLACE + u) with Q a Chebyshev sum in x = 1 - 2 PLACE / (PLACE + u)
(Shepherd and Laframboise 1981, Mathematics of Computation 36), whose coefficients come from outside.
"""

from __future__ import annotations

import math

import numpy as np

from neural_kernels.runtime.jit import compiled

PLACE = 5.3
MILLS_TERMS = 28  # good to 1e-14

_LOG_TWO, _INVERSE_LOG_TWO = math.log(2), 1 / math.log(2)
_LARGEST = 640.0  # exponents beyond are taken for it: subnormal numbers would be slow


@compiled
def exponential(x, scale):
    """Replace every x >= 0 by exp(-x), to rounding; `scale` is a row of scratch memory."""
    bits = scale.view(np.int64)
    for c in range(x.size):
        t = -min(x[c], _LARGEST)
        power = np.int32(t * _INVERSE_LOG_TWO - 0.5)
        r = t - power * _LOG_TWO
        total = 1 / 479001600
        total = total * r + 1 / 39916800
        total = total * r + 1 / 3628800
        total = total * r + 1 / 362880
        total = total * r + 1 / 40320
        total = total * r + 1 / 5040
        total = total * r + 1 / 720
        total = total * r + 1 / 120
        total = total * r + 1 / 24
        total = total * r + 1 / 6
        total = total * r + 0.5
        x[c] = (total * r + 1) * r + 1
        bits[c] = (np.int64(power) + 1023) << 52
    for c in range(x.size):
        x[c] *= scale[c]


@compiled
def clenshaw(coefficients, x, high, low, total):
    """Chebyshev sums in x of numbers that all columns share, a multiple of four; by Clenshaw's recurrence."""
    for c in range(x.size):
        high[c], low[c] = 0.0, 0.0
    for j in range(coefficients.size - 4, -1, -4):
        p, q, r, s = coefficients[j], coefficients[j + 1], coefficients[j + 2], coefficients[j + 3]
        for c in range(x.size):
            y = 2 * x[c]
            third = s + y * high[c] - low[c]
            second = r + y * third - high[c]
            first = q + y * second - third
            high[c], low[c] = p + y * first - second, first
    for c in range(x.size):
        total[c] = high[c] - x[c] * low[c]


@compiled
def clenshaw_by_column(vectors, first, count, column, x, high, low, total):
    """The same where every column has coefficients of its own, some rows of `vectors`."""
    stop = column + x.size
    for c in range(x.size):
        high[c], low[c] = 0.0, 0.0
    for j in range(first + count - 4, first - 1, -4):
        p, q = vectors[j, column:stop], vectors[j + 1, column:stop]
        r, s = vectors[j + 2, column:stop], vectors[j + 3, column:stop]
        for c in range(x.size):
            y = 2 * x[c]
            third = s[c] + y * high[c] - low[c]
            second = r[c] + y * third - high[c]
            first_of = q[c] + y * second - third
            high[c], low[c] = p[c] + y * first_of - second, first_of
    for c in range(x.size):
        total[c] = high[c] - x[c] * low[c]
