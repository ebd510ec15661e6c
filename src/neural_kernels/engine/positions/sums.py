"""Compiled sums over positions: taps of windows, distances of vectors, pools."""

from __future__ import annotations

from neural_kernels.engine.positions.program import COUNT, FIRST, LOAD, ROWS, TABLE, VECTOR, WEIGHTED
from neural_kernels.runtime.jit import compiled


@compiled
def sum_rows(operation, p, n, indices, weights, memory, target):
    """Rows of a matrix, shifted or gathered, added up; several at a time, since each pass reads and writes the target.

    Sums take no vectors: that field holds where the table of the rows' offsets begins. The offsets say which row of the
    ring, so that the operand's stride is free for the width of a row, with the zero behind it that gathers read.
    """
    code, start, pitch = operation[0], operation[FIRST], operation[FIRST + 1]
    first, count, rows, other = operation[VECTOR], operation[COUNT], operation[ROWS], operation[TABLE]
    if code == LOAD and count == 9:
        _sum9(target, memory, start, indices, first + p, rows, other)
        return
    target[:] = target.dtype.type(0)
    for k in range(0, count, 3):
        at = first + k * rows + p
        a, b, c = start + indices[at], start + indices[at + rows], start + indices[at + 2 * rows]
        if code == LOAD:
            a += indices[other + k]
            b += indices[other + k + 1]
            c += indices[other + k + 2]
            _add3(target, memory[a : a + n], memory[b : b + n], memory[c : c + n])
        elif code == WEIGHTED:
            at = other + k * rows + p
            x, y, z = memory[a : a + n], memory[b : b + n], memory[c : c + n]
            _add_weighted3(target, x, weights[at], y, weights[at + rows], z, weights[at + 2 * rows])
        else:
            at = other + k * n
            _gather(target, memory[a : a + pitch], indices[at : at + n])
            _gather(target, memory[b : b + pitch], indices[at + n : at + 2 * n])
            _gather(target, memory[c : c + pitch], indices[at + 2 * n : at + 3 * n])


@compiled
def _sum9(target, memory, start, indices, row, rows, shift):
    """Nine taps, the window of most convolutions, in one pass."""
    n = target.size
    at = start + indices[row] + indices[shift]
    a = memory[at : at + n]
    at = start + indices[row + rows] + indices[shift + 1]
    b = memory[at : at + n]
    at = start + indices[row + 2 * rows] + indices[shift + 2]
    c = memory[at : at + n]
    at = start + indices[row + 3 * rows] + indices[shift + 3]
    d = memory[at : at + n]
    at = start + indices[row + 4 * rows] + indices[shift + 4]
    e = memory[at : at + n]
    at = start + indices[row + 5 * rows] + indices[shift + 5]
    f = memory[at : at + n]
    at = start + indices[row + 6 * rows] + indices[shift + 6]
    g = memory[at : at + n]
    at = start + indices[row + 7 * rows] + indices[shift + 7]
    h = memory[at : at + n]
    at = start + indices[row + 8 * rows] + indices[shift + 8]
    i = memory[at : at + n]
    for k in range(n):
        target[k] = ((a[k] + b[k]) + (c[k] + d[k])) + ((e[k] + f[k]) + (g[k] + h[k])) + i[k]


@compiled
def _add3(target, a, b, c):
    for k in range(target.size):
        target[k] += a[k] + b[k] + c[k]


@compiled
def _add_weighted3(target, a, u, b, v, c, w):
    for k in range(target.size):
        target[k] += u * a[k] + v * b[k] + w * c[k]


@compiled
def _gather(target, row, columns):
    for k in range(target.size):
        target[k] += row[columns[k]]


@compiled
def add_gap(left, right, column, first, count, p, target):
    """Half the squared distance of two vectors, three entries at a time."""
    half, end = target.dtype.type(0.5), column + target.size
    v, stop = first, first + count
    while v + 3 <= stop:
        a, b, c = left[v, p], left[v + 1, p], left[v + 2, p]
        x, y, z = right[v, column:end], right[v + 1, column:end], right[v + 2, column:end]
        for k in range(target.size):
            d, e, f = a - x[k], b - y[k], c - z[k]
            target[k] += half * (d * d + e * e + f * f)
        v += 3
    while v < stop:
        a, x = left[v, p], right[v, column:end]
        for k in range(target.size):
            d = a - x[k]
            target[k] += half * (d * d)
        v += 1


@compiled
def _dot(a, b):
    total = a.dtype.type(0)
    for k in range(a.size):
        total += a[k] * b[k]
    return total


@compiled
def pool(a, count, width, indices, weights, columns, at, target):
    """Columns added up with weights; a single result reads all columns in order."""
    if width == 1:
        target[0] = _dot(a, weights[at : at + a.size])
        return
    target[:] = target.dtype.type(0)
    for k in range(count):
        for c in range(width):
            target[c] += weights[at + k * width + c] * a[indices[columns + k * width + c]]
