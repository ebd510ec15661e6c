r"""Compiled windows: one minus the correlations of windows from the sum of excesses in them.

With s and t the standard deviations in two windows, times the root of the map's weight w, and S, T their norms,

.. math:: \delta = \frac{w \sum_k e_k}{S T} + \frac12 \sum_k \Big(\frac{s_k}{S} - \frac{t_k}{T}\Big)^2.
"""

from __future__ import annotations

from neural_kernels.engine.positions.entries import scale
from neural_kernels.engine.positions.program import COUNT, OTHER, ROWS, TABLE
from neural_kernels.runtime.jit import compiled


@compiled
def window(operation, excess, weight, inverse, inverses, p, sources, indices, target):
    """Of one window and a row of others, `inverse` and `inverses` being 1 / S and 1 / T.

    The deviations lie in the sources, (left, right, first column, columns) where right is flat; their places are given
    by the operation's tables, a line of all positions for every tap.
    """
    left, right, first, pitch = sources
    start, other, positions = operation[OTHER], operation[OTHER + 1], operation[OTHER + 2]
    rows, columns, count = operation[ROWS] + p, operation[TABLE] + p, operation[COUNT]
    if count == 9:
        where = left, start, indices, rows, positions
        others = right, first + other * pitch, indices, columns, positions, pitch
        _nine(excess, weight * inverse, inverse, inverses, where, others, target)
        return
    n = target.size
    scale(excess, weight * inverse, inverses, target)
    for k in range(0, count * positions, positions):
        at = first + (other + indices[columns + k]) * pitch
        _add(inverse * left[start + indices[rows + k]], right[at : at + n], inverses, target)


@compiled
def _add(share, deviations, inverses, target):
    half = target.dtype.type(0.5)
    for c in range(target.size):
        d = share - deviations[c] * inverses[c]
        target[c] += half * (d * d)


@compiled
def _place(others, k):
    _, start, indices, columns, positions, pitch = others
    return start + indices[columns + k * positions] * pitch


@compiled
def _share(where, k):
    left, start, indices, rows, positions = where
    return left[start + indices[rows + k * positions]]


@compiled
def _nine(excess, scale, inverse, inverses, where, others, target):
    """Nine taps, the window of most convolutions, in one pass."""
    n, right, half = target.size, others[0], target.dtype.type(0.5)
    s0, s1, s2 = inverse * _share(where, 0), inverse * _share(where, 1), inverse * _share(where, 2)
    s3, s4, s5 = inverse * _share(where, 3), inverse * _share(where, 4), inverse * _share(where, 5)
    s6, s7, s8 = inverse * _share(where, 6), inverse * _share(where, 7), inverse * _share(where, 8)
    p0, p1, p2 = _place(others, 0), _place(others, 1), _place(others, 2)
    p3, p4, p5 = _place(others, 3), _place(others, 4), _place(others, 5)
    p6, p7, p8 = _place(others, 6), _place(others, 7), _place(others, 8)
    t0, t1, t2 = right[p0 : p0 + n], right[p1 : p1 + n], right[p2 : p2 + n]
    t3, t4, t5 = right[p3 : p3 + n], right[p4 : p4 + n], right[p5 : p5 + n]
    t6, t7, t8 = right[p6 : p6 + n], right[p7 : p7 + n], right[p8 : p8 + n]
    for c in range(n):
        i = inverses[c]
        d0, d1, d2 = s0 - t0[c] * i, s1 - t1[c] * i, s2 - t2[c] * i
        d3, d4, d5 = s3 - t3[c] * i, s4 - t4[c] * i, s5 - t5[c] * i
        d6, d7, d8 = s6 - t6[c] * i, s7 - t7[c] * i, s8 - t8[c] * i
        gap = ((d0 * d0 + d1 * d1) + (d2 * d2 + d3 * d3)) + ((d4 * d4 + d5 * d5) + (d6 * d6 + d7 * d7)) + d8 * d8
        target[c] = excess[c] * (scale * i) + half * gap
