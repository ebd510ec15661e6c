"""Compiled sums over positions: taps of windows, distances of vectors, pools."""

from __future__ import annotations

from neural_kernels.engine.jit import compiled
from neural_kernels.engine.staged import COUNT, FIRST, LOAD, ROWS, TABLE, VECTOR, WEIGHTED


@compiled
def sum_rows(operation, p, n, indices, weights, memory, target):
    """Rows of a matrix, shifted or gathered, added up; several at a time."""
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
def add_gap(left, right, first, count, p, target):
    """Half the squared distance of two vectors, several entries at a time."""
    half = target.dtype.type(0.5)
    v, stop = first, first + count
    while v + 9 <= stop:
        _add_gap3(left, right, v, p, target, True)
        v += 9
    while v + 3 <= stop:
        _add_gap3(left, right, v, p, target, False)
        v += 3
    while v < stop:
        a, x = left[v, p], right[v]
        for k in range(target.size):
            d = a - x[k]
            target[k] += half * (d * d)
        v += 1


@compiled
def _add_gap3(left, right, v, p, target, nine):
    half = target.dtype.type(0.5)
    a0, a1, a2 = left[v, p], left[v + 1, p], left[v + 2, p]
    x0, x1, x2 = right[v], right[v + 1], right[v + 2]
    if not nine:
        for k in range(target.size):
            d0, d1, d2 = a0 - x0[k], a1 - x1[k], a2 - x2[k]
            target[k] += half * (d0 * d0 + d1 * d1 + d2 * d2)
        return
    a3, a4, a5 = left[v + 3, p], left[v + 4, p], left[v + 5, p]
    x3, x4, x5 = right[v + 3], right[v + 4], right[v + 5]
    a6, a7, a8 = left[v + 6, p], left[v + 7, p], left[v + 8, p]
    x6, x7, x8 = right[v + 6], right[v + 7], right[v + 8]
    for k in range(target.size):
        d0, d1, d2 = a0 - x0[k], a1 - x1[k], a2 - x2[k]
        d3, d4, d5 = a3 - x3[k], a4 - x4[k], a5 - x5[k]
        d6, d7, d8 = a6 - x6[k], a7 - x7[k], a8 - x8[k]
        first = (d0 * d0 + d1 * d1) + (d2 * d2 + d3 * d3)
        target[k] += half * (first + (d4 * d4 + d5 * d5) + (d6 * d6 + d7 * d7) + d8 * d8)


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
