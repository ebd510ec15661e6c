"""A row of an activation's value and slope from tables: Chebyshev sums in the norms and in a stretched angle.

The columns come sorted by the cell of their norm, so that one pair of cells serves a run of them. For a run the table
is first contracted over the row's polynomials; a column then costs a sum over its own polynomials for each coefficient,
and Clenshaw's recurrence over the coefficients.
"""

from __future__ import annotations

import math

from neural_kernels.runtime.jit import compiled

NODES = 11  # polynomials of one norm
BUFFERS = 6
SCRATCH = NODES + BUFFERS
HEAD = 5  # integers in front: cells of the columns; where cells of rows, order and starts of columns, and pairs begin
PAIR = 5  # integers for a pair of cells: where its numbers begin, counts of F and C, if weighted, where widths are
LONGEST = 1000  # coefficients in all, which fill a row of scratch memory
_BLOCK = 256  # columns whose polynomials stay in the first cache

_ROOT_TWO, _HALF_LOG_TWO = math.sqrt(2), math.log(2) / 2
_REACHES = (16, 8, 4, 2, 1)


@compiled
def table(delta, row, column, vector, integers, floats, left, right, scratch, value, slope):
    """Value and slope (one minus their correlations) for the columns of one row."""
    cells, n = integers[0], delta.size
    order, starts = integers[2], integers[3]
    cell = integers[integers[1] + row]
    for other in range(cells):
        begin, end = integers[starts + other], integers[starts + other + 1]
        first = _position(integers, order + begin, order + end, column) - order
        last = _position(integers, order + begin, order + end, column + n) - order
        if first == last:
            continue
        pair = integers[4] + PAIR * (cell * cells + other)
        start, counts = integers[pair], integers[pair + 1] + integers[pair + 2]
        lengths = integers[integers[pair + 4] + counts : integers[pair + 4] + counts + 2 * NODES * NODES]
        _contract(floats, start + 2, 1 + counts, 1 + integers[pair + 1], lengths, left, vector, row, scratch)
        for begin in range(first, last, _BLOCK):
            run = integers[order + begin : order + min(begin + _BLOCK, last)]
            _evaluate(
                delta, column, run, integers, pair, floats[start : start + 2], left[vector, row], right, vector, begin,
                scratch, value, slope,
            )  # fmt: skip


@compiled
def _evaluate(
    delta, column, run, integers, pair, stretch, tau, right, vector, first, scratch, value, slope
):  # fmt: skip
    """Value and slope for the columns of a run, whose table is contracted."""
    size, widths = run.size, integers[pair + 4]
    value_count, slope_count = integers[pair + 1], integers[pair + 2]
    value_widths = integers[widths : widths + value_count]
    slope_widths = integers[widths + value_count : widths + value_count + slope_count]
    x, weight, apart = scratch[NODES, :size], scratch[NODES + 1, :size], scratch[NODES + 5, :size]
    total, high, low = scratch[NODES + 2, :size], scratch[NODES + 3, :size], scratch[NODES + 4, :size]
    for c in range(size):
        weight[c] = delta[run[c] - column]
    _stretch(weight, stretch[0], stretch[1], x, high, low)
    _coefficients(scratch, 0, NODES, right, vector, first, apart)
    _sum(x, scratch, 1, value_widths, right, vector, first, total, high, low)
    _join(tau, right[vector, first : first + size], weight, integers[pair + 3], apart, total)
    for c in range(size):
        value[run[c] - column] = total[c]
    _sum(x, scratch, 1 + value_count, slope_widths, right, vector, first, total, high, low)
    for c in range(size):
        slope[run[c] - column] = total[c]


@compiled
def _position(integers, low, high, bound):
    """The first place in a sorted part of the integers that holds at least the bound."""
    while low < high:
        middle = (low + high) // 2
        if integers[middle] < bound:
            low = middle + 1
        else:
            high = middle
    return low


@compiled
def _contract(floats, start, width, split, lengths, left, vector, row, scratch):
    """Sum the coefficients over the row's polynomials; what is left is one line for each polynomial of the columns.

    `split` is where those of C begin, `lengths` says how many of either function matter by pair of polynomials.
    """
    for j in range(NODES):
        target, source = scratch[j, :width], floats[start + j * width : start + (j + 1) * width]
        for k in range(width):
            target[k] = source[k]
    for i in range(1, NODES):
        factor = left[vector + i, row]
        for j in range(NODES):
            pair = i * NODES + j
            begin = start + pair * width
            _add(factor, floats, begin, scratch[j, : lengths[pair]])
            _add(factor, floats, begin + split, scratch[j, split : split + lengths[NODES * NODES + pair]])


@compiled
def _add(factor, floats, begin, target):
    source = floats[begin : begin + target.size]
    for k in range(target.size):
        target[k] += factor * source[k]


@compiled
def _stretch(delta, b, inverse, x, ratio, sign):
    """The stretched angle x of every delta, which is replaced by its weight; a logarithm in plain arithmetic."""
    for c in range(delta.size):
        d = min(max(delta[c], 0.0), 2.0)
        near, far = b * math.sqrt(d * 0.5), b * math.sqrt(1 - d * 0.5)
        root = math.sqrt(1 + near * near)
        first, second = near + root, far + math.sqrt(1 + far * far)
        delta[c] = d / root
        ratio[c] = max(first, second) / min(first, second)
        sign[c] = inverse if first > second else -inverse
        x[c] = _HALF_LOG_TWO
    for reach in _REACHES:
        bound, factor, rise = 2.0**reach, 0.5**reach, 2 * reach * _HALF_LOG_TWO
        for c in range(delta.size):
            r = ratio[c]
            large = r >= bound
            ratio[c] = r * factor if large else r
            x[c] += rise if large else 0.0
    for c in range(delta.size):
        z = (ratio[c] - _ROOT_TWO) / (ratio[c] + _ROOT_TWO)
        s = z * z
        series = 1 + s * (1 / 3 + s * (1 / 5 + s * (1 / 7 + s * (1 / 9 + s * (1 / 11 + s * (1 / 13 + s / 15))))))
        x[c] = (x[c] + 2 * z * series) * sign[c]


@compiled
def _sum(x, scratch, begin, widths, right, vector, first, total, high, low):
    """Clenshaw's recurrence in x, its coefficients sums over the polynomials of the columns; result in `total`.

    `widths` says of how many polynomials each coefficient is a sum.
    """
    zero = x.dtype.type(0)
    for c in range(x.size):
        high[c], low[c] = zero, zero
    for k in range(widths.size - 1, 0, -1):
        _recur(x, scratch, begin + k, widths[k], right, vector, first, total, high, low)
        high, low = low, high
    _coefficients(scratch, begin, widths[0], right, vector, first, total)
    _end(x, high, low, total)


@compiled
def _recur(x, scratch, k, width, right, vector, first, total, high, low):
    """One step of the recurrence, in place of what lies two steps back; short sums are not stored in between."""
    two, constant = x.dtype.type(2), scratch[0, k]
    v, stop = vector + 1, first + x.size
    if width <= 1:
        for c in range(x.size):
            low[c] = constant + two * x[c] * high[c] - low[c]
    elif width <= 3:
        a, b = scratch[1, k], scratch[2, k]
        p, q = right[v, first:stop], right[v + 1, first:stop]
        for c in range(x.size):
            low[c] = constant + a * p[c] + b * q[c] + two * x[c] * high[c] - low[c]
    else:
        _coefficients(scratch, k, width, right, vector, first, total)
        for c in range(x.size):
            low[c] = total[c] + two * x[c] * high[c] - low[c]


@compiled
def _end(x, high, low, total):
    for c in range(x.size):
        total[c] += x[c] * high[c] - low[c]


@compiled
def _coefficients(scratch, k, width, right, vector, first, total):
    """One coefficient for every column, five polynomials at a time: more would not vectorise."""
    n = total.size
    constant = scratch[0, k]
    if width <= 1:
        for c in range(n):
            total[c] = constant
        return
    a, b, d, e, f = scratch[1, k], scratch[2, k], scratch[3, k], scratch[4, k], scratch[5, k]
    v, stop = vector + 1, first + n
    p, q, r = right[v, first:stop], right[v + 1, first:stop], right[v + 2, first:stop]
    s, t = right[v + 3, first:stop], right[v + 4, first:stop]
    for c in range(n):
        total[c] = constant + a * p[c] + b * q[c] + d * r[c] + e * s[c] + f * t[c]
    if width <= 6:
        return
    a, b, d, e, f = scratch[6, k], scratch[7, k], scratch[8, k], scratch[9, k], scratch[10, k]
    v = vector + 6
    p, q, r = right[v, first:stop], right[v + 1, first:stop], right[v + 2, first:stop]
    s, t = right[v + 3, first:stop], right[v + 4, first:stop]
    for c in range(n):
        total[c] += a * p[c] + b * q[c] + d * r[c] + e * s[c] + f * t[c]


@compiled
def _join(tau, others, weight, weighted, apart, total):
    """What the angle makes, times its weight, and what different norms make."""
    zero = total.dtype.type(0)
    for c in range(total.size):
        gap = tau - others[c]
        turned = total[c] * weight[c] if weighted else total[c]
        total[c] = max(turned + apart[c] * gap * gap, zero)
