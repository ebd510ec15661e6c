"""A row of an activation's value and slope from tables: Chebyshev sums in the norms and in a stretched angle.

The columns come sorted by the cell of their norm, so that one pair of cells serves a run of them. For a run the table
is first contracted over the row's polynomials; a column then costs a sum over its own polynomials for each coefficient,
and Clenshaw's recurrence over the coefficients. That is done for LANES columns at a time, whose numbers lie side by
side in one array: loops of a constant length at constant places, for which the compiler needs no checks.
"""

from __future__ import annotations

import math

from neural_kernels.engine.meetings import INTEGERS as MEETING
from neural_kernels.engine.meetings import meet
from neural_kernels.runtime.jit import compiled

NODES = 11  # polynomials of one norm
SCRATCH = NODES + 1  # rows of scratch memory: a contracted table, and the lanes
HEAD = 5  # integers in front: cells of the columns; where cells of rows, order and starts of columns, and pairs begin
LEFT = 1  # of these integers, the one that says where the cells of rows begin
PAIR = (
    7  # of a pair of cells: place of numbers, counts of F and C, if weighted, places of lengths, meetings, their count
)
NUMBERS = 3  # of a pair of cells in front of its coefficients
LONGEST = 1000  # coefficients in all, which fill a row of scratch memory
LANES = 32  # columns at a time

# Where in the last row of scratch memory the numbers of the lanes begin: asinh of the norms and the polynomials in it;
# twice the stretched angle; the recurrence's last two terms; the weight w; the coefficient A.
_NORM, _X, _HIGH, _LOW, _WEIGHT, _APART = 0, *(LANES * k for k in range(NODES, NODES + 5))
_ROOT_TWO, _HALF_LOG_TWO = math.sqrt(2), math.log(2) / 2
_REACHES = (16, 8, 4, 2, 1)


@compiled
def table(delta, row, column, vector, integers, floats, left, right, scratch, value, slope):
    """Value and slope (one minus their correlations) for the columns of one row."""
    cells, n, zero = integers[0], delta.size, floats.dtype.type(0)
    order, starts = integers[2], integers[3]
    cell = integers[integers[LEFT] + row]
    for other in range(cells):
        begin, end = integers[starts + other], integers[starts + other + 1]
        first = _position(integers, order + begin, order + end, column) - order
        last = _position(integers, order + begin, order + end, column + n) - order
        if first == last:
            continue
        pair = integers[4] + PAIR * (cell * cells + other)
        start, counts, meetings = integers[pair], integers[pair + 1] + integers[pair + 2], integers[pair + 6]
        _contract(
            floats, start + NUMBERS, integers, integers[pair + 4] + counts, 1 + integers[pair + 1], 1 + counts, left,
            vector, row, scratch,
        )  # fmt: skip
        for begin in range(first, last, LANES):
            run = integers[order + begin : order + min(begin + LANES, last)]
            _evaluate(
                delta, column, run, integers, pair, floats[start : start + NUMBERS], left[vector, row], right, vector,
                begin, scratch, value, slope,
            )  # fmt: skip
            if meetings:
                places = integers[integers[pair + 5] : integers[pair + 5] + MEETING * meetings]
                meet(
                    delta, column, run, places, floats[start + 2], left, right, vector + NODES, row, begin, value, slope
                )
            for c in run:
                value[c - column] = max(value[c - column], zero)


@compiled
def _evaluate(
    delta, column, run, integers, pair, stretch, tau, right, vector, first, scratch, value, slope
):  # fmt: skip
    """Value and slope for the columns of a run, whose table is contracted."""
    size, widths, lanes = run.size, integers[pair + 4], scratch[NODES]
    value_count, slope_count = integers[pair + 1], integers[pair + 2]
    value_widths = integers[widths : widths + value_count]
    slope_widths = integers[widths + value_count : widths + value_count + slope_count]
    for c in range(size):
        lanes[_WEIGHT + c] = delta[run[c] - column]
    for v in range(NODES):
        for c in range(size):
            lanes[v * LANES + c] = right[vector + v, first + c]
    _stretch(lanes, stretch[0], stretch[1])
    _first_coefficient(lanes, scratch)
    _sum(lanes, scratch, 1, value_widths)
    _join(lanes, tau, integers[pair + 3])
    for c in range(size):
        value[run[c] - column] = lanes[_HIGH + c]
    _sum(lanes, scratch, 1 + value_count, slope_widths)
    for c in range(size):
        slope[run[c] - column] = lanes[_HIGH + c]


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
def _contract(floats, start, integers, lengths, split, end, left, vector, row, scratch):
    """Sum the coefficients over the row's polynomials; what is left is one line for each polynomial of the columns.

    `split` is where those of C begin and `end` where they end, `lengths` where the integers that say which coefficients
    there are.
    """
    for j in range(NODES):
        for k in range(end):
            scratch[j, k] = 0
    for i in range(NODES):
        factor = left[vector + i, row] if i else floats.dtype.type(1)
        for j in range(NODES):
            scratch[j, 0] += factor * floats[start + i * NODES + j]
    start, lengths = _add_all(floats, start + NODES * NODES, integers, lengths, left, vector, row, scratch, 1)
    _add_all(floats, start, integers, lengths, left, vector, row, scratch, split)


@compiled
def _add_all(floats, start, integers, lengths, left, vector, row, scratch, first):
    """Add the coefficients of F or C, and return where what follows begins among the numbers and the integers."""
    for i in range(NODES):
        factor = left[vector + i, row] if i else floats.dtype.type(1)
        count = integers[lengths]
        for j in range(count):
            length = integers[lengths + 1 + j]
            line, numbers = scratch[j, first : first + length], floats[start : start + length]
            for k in range(length):
                line[k] += factor * numbers[k]
            start += length
        lengths += 1 + count
    return start, lengths


@compiled
def _stretch(lanes, b, inverse):
    """Twice the stretched angle of every delta, which its weight replaces; a logarithm in plain arithmetic."""
    for c in range(LANES):
        d = min(max(lanes[_WEIGHT + c], 0.0), 2.0)
        near, far = b * math.sqrt(d * 0.5), b * math.sqrt(1 - d * 0.5)
        root = math.sqrt(1 + near * near)
        first, second = near + root, far + math.sqrt(1 + far * far)
        lanes[_WEIGHT + c] = d / root
        lanes[_HIGH + c] = max(first, second) / min(first, second)
        lanes[_LOW + c] = inverse if first > second else -inverse
        lanes[_X + c] = _HALF_LOG_TWO
    for reach in _REACHES:
        bound, factor, rise = 2.0**reach, 0.5**reach, 2 * reach * _HALF_LOG_TWO
        for c in range(LANES):
            r = lanes[_HIGH + c]
            large = r >= bound
            lanes[_HIGH + c] = r * factor if large else r
            lanes[_X + c] += rise if large else 0.0
    for c in range(LANES):
        r = lanes[_HIGH + c]
        z = (r - _ROOT_TWO) / (r + _ROOT_TWO)
        s = z * z
        series = 1 + s * (1 / 3 + s * (1 / 5 + s * (1 / 7 + s * (1 / 9 + s * (1 / 11 + s * (1 / 13 + s / 15))))))
        lanes[_X + c] = 2 * (lanes[_X + c] + 2 * z * series) * lanes[_LOW + c]


@compiled
def _sum(lanes, scratch, begin, widths):
    """Clenshaw's recurrence in x; its coefficients are sums over the columns' polynomials, its last term the result.

    `widths` says of how many polynomials each coefficient is a sum.
    """
    zero, half = lanes.dtype.type(0), lanes.dtype.type(0.5)
    for c in range(LANES):
        lanes[_HIGH + c], lanes[_LOW + c] = zero, zero
    k = widths.size - 1
    while k >= 0:
        if k >= 3 and max(widths[k], widths[k - 1], widths[k - 2], widths[k - 3]) == 1:
            _four_steps_of_one(lanes, scratch, begin + k)
            k -= 4
        elif k and max(widths[k], widths[k - 1]) <= 3:
            _two_steps_of_three(lanes, scratch, begin + k)
            k -= 2
        elif k and max(widths[k], widths[k - 1]) <= 6:
            _two_steps_of_six(lanes, scratch, begin + k)
            k -= 2
        else:
            _step(lanes, scratch, begin + k)
            k -= 1
    for c in range(LANES):
        lanes[_HIGH + c] -= half * lanes[_X + c] * lanes[_LOW + c]


@compiled
def _four_steps_of_one(lanes, scratch, k):
    """Four steps of the recurrence, whose coefficients are the same for all columns."""
    a, b, c, d = scratch[0, k], scratch[0, k - 1], scratch[0, k - 2], scratch[0, k - 3]
    for i in range(LANES):
        x, high = lanes[_X + i], lanes[_HIGH + i]
        first = a + x * high - lanes[_LOW + i]
        second = b + x * first - high
        third = c + x * second - first
        lanes[_LOW + i] = third
        lanes[_HIGH + i] = d + x * third - second


@compiled
def _two_steps_of_three(lanes, scratch, k):
    """Two steps, whose coefficients are sums of three numbers."""
    a, b, c = scratch[0, k], scratch[1, k], scratch[2, k]
    d, e, f = scratch[0, k - 1], scratch[1, k - 1], scratch[2, k - 1]
    for i in range(LANES):
        p, q, x, high = lanes[LANES + i], lanes[2 * LANES + i], lanes[_X + i], lanes[_HIGH + i]
        term = a + b * p + c * q + x * high - lanes[_LOW + i]
        lanes[_LOW + i] = term
        lanes[_HIGH + i] = d + e * p + f * q + x * term - high


@compiled
def _two_steps_of_six(lanes, scratch, k):
    """Two steps, whose coefficients are sums of six numbers."""
    a, b, c, d, e, f = scratch[0, k], scratch[1, k], scratch[2, k], scratch[3, k], scratch[4, k], scratch[5, k]
    k -= 1
    g, h, o, p, q, r = scratch[0, k], scratch[1, k], scratch[2, k], scratch[3, k], scratch[4, k], scratch[5, k]
    for i in range(LANES):
        s, t, u, v = lanes[LANES + i], lanes[2 * LANES + i], lanes[3 * LANES + i], lanes[4 * LANES + i]
        w, x, high = lanes[5 * LANES + i], lanes[_X + i], lanes[_HIGH + i]
        first = a + b * s + c * t + d * u + e * v + f * w - lanes[_LOW + i] + x * high
        second = g + h * s + o * t + p * u + q * v + r * w - high
        lanes[_LOW + i] = first
        lanes[_HIGH + i] = second + x * first


@compiled
def _step(lanes, scratch, k):
    """One step, whose coefficient is a sum over all polynomials."""
    a, b, c, d, e, f = scratch[0, k], scratch[1, k], scratch[2, k], scratch[3, k], scratch[4, k], scratch[5, k]
    g, h, o, p, q = scratch[6, k], scratch[7, k], scratch[8, k], scratch[9, k], scratch[10, k]
    for i in range(LANES):
        near = a + b * lanes[LANES + i] + c * lanes[2 * LANES + i] + d * lanes[3 * LANES + i]
        far = e * lanes[4 * LANES + i] + f * lanes[5 * LANES + i] + g * lanes[6 * LANES + i] + h * lanes[7 * LANES + i]
        last = o * lanes[8 * LANES + i] + p * lanes[9 * LANES + i] + q * lanes[10 * LANES + i]
        high = lanes[_HIGH + i]
        lanes[_HIGH + i] = near + far + last + lanes[_X + i] * high - lanes[_LOW + i]
        lanes[_LOW + i] = high


@compiled
def _first_coefficient(lanes, scratch):
    """The coefficient A, which multiplies no polynomial of the angle."""
    for i in range(LANES):
        lanes[_APART + i] = scratch[0, 0]
    for v in range(1, NODES):
        factor = scratch[v, 0]
        for i in range(LANES):
            lanes[_APART + i] += factor * lanes[v * LANES + i]


@compiled
def _join(lanes, tau, weighted):
    """What the angle makes, times its weight, and what different norms make."""
    for c in range(LANES):
        gap = tau - lanes[_NORM + c]
        turned = lanes[_HIGH + c] * lanes[_WEIGHT + c] if weighted else lanes[_HIGH + c]
        lanes[_HIGH + c] = turned + lanes[_APART + c] * gap * gap
