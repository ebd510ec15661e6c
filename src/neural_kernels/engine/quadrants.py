"""Compiled probabilities of quadrants of two standard normal variables, from a series for each threshold.

What a threshold h contributes is q(h, u) = 1/(2 pi) times the integral over v > u of exp(-(h^2 + v^2) / 2) h /
(h^2 + v^2): the probability beyond the line at distance h from the origin, as far as it is seen from there on one side
of the quadrant's corner, which lies u along the line (Owen's T function, from the other end). The series give it for
u >= 0, in one of two forms, for small and for large h.
"""

from __future__ import annotations

import math

from neural_kernels.engine.arc import angle
from neural_kernels.runtime.jit import compiled

SMALL = 2.0  # thresholds below are small: q = [acot(u / h) - h series(u)] / (2 pi)
FARTHEST = 7.5  # of u for small thresholds: q is below 1e-13 beyond
TERMS = 32
SCRATCH = 9
BLOCK = 256
_LEAST_SINE = 1e-150


@compiled
def quadrants(h, k, tails1, tails2, left, right, delta, scratch, target):
    """Probabilities that z1 > h and z2 > k, correlation 1 - delta.

    Shapes: h (batch, rows), k (batch, columns), tails of the same, left (batch, rows, TERMS), right (batch, TERMS,
    columns), delta and target (batch, rows, columns), scratch (SCRATCH, BLOCK).
    """
    batch, rows, columns = delta.shape
    for b in range(batch):
        for i in range(rows):
            for start in range(0, columns, BLOCK):
                stop = min(start + BLOCK, columns)
                _run(
                    h[b, i], tails1[b, i], left[b, i], k[b, start:stop], tails2[b, start:stop], right[b], start,
                    delta[b, i, start:stop], scratch, target[b, i, start:stop],
                )  # fmt: skip


@compiled
def _run(h, tail, series, k, tails, right, start, delta, scratch, target):
    """The probabilities of one threshold with some others."""
    n = k.size
    u, v, x, y = scratch[0, :n], scratch[1, :n], scratch[2, :n], scratch[3, :n]
    low, high, first, second = scratch[4, :n], scratch[5, :n], scratch[6, :n], scratch[7, :n]
    apart = scratch[8, :n]
    for c in range(n):
        d = min(max(delta[c], 0.0), 2.0)
        inverse = 1 / max(math.sqrt(d * (2 - d)), _LEAST_SINE)
        gap = k[c] - h
        u[c], v[c] = (gap + d * h) * inverse, (d * k[c] - gap) * inverse
        x[c], y[c] = _place(h, abs(u[c])), _place(k[c], abs(v[c]))
        m = min(d, 2 - d) / 2
        acute = math.pi * math.sqrt(m) * angle(m)
        apart[c] = math.pi - acute if d < 1 else acute  # pi less the angle between the variables
    for c in range(n):
        low[c], high[c] = 0.0, series[TERMS - 1]
    for j in range(TERMS - 2, 0, -1):
        a = series[j]
        for c in range(n):
            above = high[c]
            high[c] = a + 2 * x[c] * above - low[c]
            low[c] = above
    for c in range(n):
        first[c] = series[0] + x[c] * high[c] - low[c]
        low[c], high[c] = 0.0, right[TERMS - 1, start + c]
    for j in range(TERMS - 2, 0, -1):
        line = right[j, start : start + n]
        for c in range(n):
            above = high[c]
            high[c] = line[c] + 2 * y[c] * above - low[c]
            low[c] = above
    for c in range(n):
        second[c] = right[0, start + c] + y[c] * high[c] - low[c]
    for c in range(n):
        if max(h, k[c]) < SMALL and max(abs(u[c]), abs(v[c])) < FARTHEST:
            # the two arc cotangents add up
            total = apart[c] + _turned(h, u[c], tail, first[c]) + _turned(k[c], v[c], tails[c], second[c])
        else:
            total = _part(h, u[c], tail, first[c]) + _part(k[c], v[c], tails[c], second[c])
        target[c] = max(total / (2 * math.pi), 0.0)


@compiled
def _place(h, u):
    """The argument of the series, in [-1, 1]."""
    scale = 2 + h / 4
    return 2 * min(u, FARTHEST) / FARTHEST - 1 if h < SMALL else 1 - 2 * scale / (u + scale)


@compiled
def _turned(h, u, tail, value):
    """2 pi q of a small threshold less the arc cotangent of u / h; `tail` is 2 pi times the probability beyond h."""
    return -h * value if u >= 0 else tail - math.pi + h * value


@compiled
def _part(h, u, tail, value):
    """2 pi q of any threshold."""
    size = abs(u)
    if h < SMALL:
        part = math.atan2(h, size) - h * value if size < FARTHEST else 0.0
    else:
        square = h * h + size * size
        part = math.exp(-square / 2) * h / (square * (1 + size)) * value
    return part if u >= 0 else tail - part
