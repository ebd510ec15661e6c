"""The compiled loop over pairs of examples with positions: stage by stage, row by row, operation by operation.

A stage computes what lies between two maps of positions. Its rows are the positions p of the left example; a row's
columns are the positions of the right example (every), or many right examples at the same position p (equal). A row
lives at a place, memory[start + p * stride:]: stride 0 is a register, any other a row of a matrix for later stages.
"""

from __future__ import annotations

from neural_kernels.engine.jit import compiled
from neural_kernels.engine.machine import _arc, _blend, _mix, _powers, _schur, _series
from neural_kernels.engine.operations import ARC, BLEND, MIX, POWERS, SCHUR, SERIES
from neural_kernels.engine.staged import (
    ADD_ENTRIES,
    ENTRIES,
    EXCESS,
    FILL,
    GAP,
    GATHER,
    LOAD,
    MULTIPLY,
    MULTIPLY_ENTRIES,
    POOL,
    POOLED,
    SCALE,
    WEIGHTED,
    WINDOW,
)


@compiled
def run_every(pairs, program, left, right, memory, results):
    """All positions with all positions, for some pairs (i, j) of examples."""
    stages, operations, numbers, indices, weights, outputs = program
    for pair in range(pairs.shape[0]):
        i, j = pairs[pair, 0], pairs[pair, 1]
        for s in range(stages.shape[0]):
            stage = stages[s]
            rows, columns, vectors = stage[2], stage[3], stage[4]
            a = left[i, stage[5] : stage[5] + vectors * rows].reshape(vectors, rows)
            b = right[j, stage[6] : stage[6] + vectors * columns].reshape(vectors, columns)
            for p in range(rows):
                own = indices[stage[7] + p] if pairs[pair, 2] else -1
                for o in range(stage[0], stage[1]):
                    _operate(operations[o], numbers[o], p, columns, own, a, b, indices, weights, memory)
        for k in range(outputs.shape[0]):
            start, stride, columns_at = outputs[k]
            for p in range(results[k].shape[2]):
                results[k][pairs[pair, 3], pairs[pair, 4], p] = memory[start + p * stride + indices[columns_at + p]]


@compiled
def run_equal(block, program, left, right, memory, results):
    """Equal positions of one left example with some right examples; `right` is (rows of all stages * vectors, n2)."""
    stages, operations, numbers, indices, weights, outputs = program
    i, first, last, own = block
    n = last - first
    for s in range(stages.shape[0]):
        stage = stages[s]
        rows, vectors = stage[2], stage[4]
        a = left[i, stage[5] : stage[5] + vectors * rows].reshape(vectors, rows)
        for p in range(rows):
            at = stage[6] + p * vectors
            b = right[at : at + vectors, first:last]
            for o in range(stage[0], stage[1]):
                _operate(operations[o], numbers[o], p, n, own, a, b, indices, weights, memory)
    for k in range(outputs.shape[0]):
        for c in range(n):
            results[k][i, first + c, 0] = memory[outputs[k, 0] + c]


@compiled
def _operate(operation, number, p, n, own, left, right, indices, weights, memory):
    code, v = operation[0], operation[9]
    to = operation[1] + p * operation[2]
    width = operation[13] if code == POOL else n
    target = memory[to : to + width]
    if code in (LOAD, GATHER, WEIGHTED):
        _sum_rows(operation, p, n, indices, weights, memory, target)
        return
    if code == GAP:
        target[:] = target.dtype.type(0)
        _add_gap(left, right, v, operation[10], p, target)
        return
    if code == FILL:
        target[:] = number[0]
        if own >= 0:
            target[own] = 0
        return
    at = operation[3] + p * operation[4]
    a = memory[at : at + n]
    at = operation[5] + p * operation[6]
    b = memory[at : at + n]
    if code == WINDOW:
        _scale(a, number[0] * left[v, p], right[v], target)
        _add_gap(left, right, v + 1, operation[10], p, target)
    elif code == ARC:
        at = operation[7] + p * operation[8]
        _arc(a, number[0], target, memory[at : at + n])
    elif code == EXCESS:
        _scale(a, number[0] * left[v, p], right[v], target)
    elif code == ENTRIES:
        _entries(a, number[0] * left[v, p], right[v], target)
    elif code == ADD_ENTRIES:
        _add_entries(a, number[0], b, number[1] * left[v, p], right[v], target)
    elif code == MULTIPLY_ENTRIES:
        _multiply_entries(a, b, number[0] * left[v, p], right[v], target)
    elif code == BLEND:
        _blend(a, number[0], b, number[1], target)
    elif code == SCHUR:
        _schur(a, b, target)
    elif code == MULTIPLY:
        _multiply(a, b, target)
    elif code == SCALE:
        _scale(a, number[0] * left[v, p], right[v], target)
    elif code == MIX:
        _mix(a, left[v, p], right[v], b, left[v + 1, p], right[v + 1], target)
    elif code == POOLED:
        _pooled(a, left[v, p], left[v + 1, p], left[v + 2, p], right[v], right[v + 1], right[v + 2], number[0], target)
        if own >= 0:
            target[own] = 0
    elif code == POOL:
        _pool(a, operation[10], width, indices, weights, operation[11], operation[12], target)
    else:
        first, second = memory[operation[7] : operation[7] + n], memory[operation[8] : operation[8] + n]
        even = v + operation[10]
        if code == SERIES:
            _series(a, (v, even), left, p, right, 0, target, first, second)
        elif code == POWERS:
            _powers(a, (v, even, even + operation[11]), left, p, right, 0, target, first, second)


@compiled
def _sum_rows(operation, p, n, indices, weights, memory, target):
    """Rows of a matrix, shifted or gathered, added up; several at a time."""
    code, start, pitch = operation[0], operation[3], operation[4]
    first, count, rows, other = operation[9], operation[10], operation[11], operation[12]
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
def _add_gap(left, right, first, count, p, target):
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
def _pooled(total, inverse, loss, norm, inverses, losses, norms, floor, target):
    """One minus the correlations after a mixing map; the rounding of what cancels, `floor`, would bias the angle."""
    real = target.dtype.type
    zero, two, one = real(0), real(2), real(1)
    for k in range(target.size):
        lost = (one + floor) * (loss * norms[k] + losses[k] * norm) - loss * losses[k]
        target[k] = min(max((total[k] - lost) * (inverse * inverses[k]), zero), two)


@compiled
def _scale(a, scale, other, target):
    for k in range(target.size):
        target[k] = (scale * other[k]) * a[k]


@compiled
def _entries(delta, scale, other, target):
    one = target.dtype.type(1)
    for k in range(target.size):
        target[k] = (scale * other[k]) * (one - delta[k])


@compiled
def _add_entries(a, weight, delta, scale, other, target):
    one = target.dtype.type(1)
    for k in range(target.size):
        target[k] = weight * a[k] + (scale * other[k]) * (one - delta[k])


@compiled
def _multiply_entries(a, delta, scale, other, target):
    one = target.dtype.type(1)
    for k in range(target.size):
        target[k] = a[k] * ((scale * other[k]) * (one - delta[k]))


@compiled
def _multiply(a, b, target):
    for k in range(target.size):
        target[k] = a[k] * b[k]


@compiled
def _dot(a, b):
    total = a.dtype.type(0)
    for k in range(a.size):
        total += a[k] * b[k]
    return total


@compiled
def _pool(a, count, width, indices, weights, columns, at, target):
    """Columns added up with weights; a single result reads all columns in order."""
    if width == 1:
        target[0] = _dot(a, weights[at : at + a.size])
        return
    target[:] = target.dtype.type(0)
    for k in range(count):
        for c in range(width):
            target[c] += weights[at + k * width + c] * a[indices[columns + k * width + c]]
