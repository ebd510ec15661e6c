"""A small machine for one row of a tile at a time: every operation is a loop over columns that stay in the first cache.

A program is a table of operations on registers; a register holds one minus the correlation for a strip of columns. What
depends on the example alone comes from two tables of vectors, one row each per vector: `left` by row and `right` by
column of the matrix.
"""

from __future__ import annotations

import math

from neural_kernels.engine.arc import angle, lens
from neural_kernels.engine.vectors.program import ARC, BLEND, CHAIN, GROUP, MIX, POWERS, SCHUR, SERIES
from neural_kernels.runtime.jit import compiled


@compiled
def execute(program, registers, row, column, n, results):
    """Run a program on `n` columns, whose inputs are in register 0, and write the kernels to `results`.

    The program is (table, numbers, left, right, outputs, stds): `outputs` are the registers of the kernels'
    correlations, `stds` the vectors of their standard deviations.
    """
    table, numbers, left, right, outputs, stds = program
    for o in range(table.shape[0]):
        _operate(table[o], numbers[o], row, column, n, left, right, registers)
    for k in range(len(results)):
        scale = left[stds[k], row]
        source = registers[outputs[k], :n]
        other = right[stds[k], column : column + n]
        target = results[k][row, column : column + n]
        for c in range(n):
            target[c] = scale * other[c] * (1 - source[c])


@compiled
def _operate(operation, number, row, column, n, left, right, registers):
    code, target = operation[0], registers[operation[1], :n]
    a = registers[operation[3], :n]
    vector = operation[5]
    if code == ARC:
        _arc(a, number[0], target, registers[operation[2], :n])
    elif code == SCHUR:
        _schur(a, registers[operation[4], :n], target)
    elif code == BLEND:
        _blend(a, number[0], registers[operation[4], :n], number[1], target)
    elif code == CHAIN:
        _chain(a, registers[operation[4], :n], number[0], registers[vector, :n], number[1], target)
    elif code == MIX:
        w, v = left[vector, row], left[vector + 1, row]
        others = right[vector, column : column + n], right[vector + 1, column : column + n]
        _mix(a, w, others[0], registers[operation[4], :n], v, others[1], target)
    else:
        even, spare = vector + operation[6], registers.shape[0] - 2
        first, second = registers[spare, :n], registers[spare + 1, :n]
        if code == SERIES:
            _series(a, (vector, even), left, row, right, column, target, first, second)
        elif code == POWERS:
            odd = even + operation[7]
            _powers(a, (vector, even, odd), left, row, right, column, target, first, second)


@compiled
def _arc(delta, cusp, value, slope):
    """Arc-cosine kernels: value delta - cusp (sin t - t cos t) / pi, slope cusp t / pi, with t the angle.

    Where rounding leaves a distance below 0, its size is as near and costs less than a maximum.
    """
    real = delta.dtype.type
    half, one, two = real(0.5), real(1), real(2)
    for c in range(delta.size):
        d = delta[c]
        far = d > one
        m = half * abs(two - d if far else d)
        y = cusp * math.sqrt(m)
        t = y * angle(m)
        slope[c] = cusp - t if far else t
        value[c] = abs((d - cusp * (d - one) if far else d) - y * m * lens(m))


@compiled
def _schur(a, b, target):
    for c in range(a.size):
        target[c] = a[c] + b[c] - a[c] * b[c]


@compiled
def _blend(a, wa, b, wb, target):
    for c in range(a.size):
        target[c] = wa * a[c] + wb * b[c]


@compiled
def _chain(a, slope, wa, b, wb, target):
    for c in range(a.size):
        target[c] = wa * (a[c] + slope[c] - a[c] * slope[c]) + wb * b[c]


@compiled
def _mix(a, w, w_other, b, v, v_other, target):
    half = a.dtype.type(0.5)
    for c in range(a.size):
        dw, dv = w - w_other[c], v - v_other[c]
        target[c] = w * w_other[c] * a[c] + v * v_other[c] * b[c] + half * (dw * dw + dv * dv)


@compiled
def _series(delta, terms, left, row, right, column, target, tail, total):
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
def _powers(delta, terms, left, row, right, column, target, square, odd):
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
