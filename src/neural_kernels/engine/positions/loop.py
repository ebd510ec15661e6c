"""The compiled loop over pairs of examples with positions: stage by stage, row by row, operation by operation.

A stage computes what lies between two maps of positions. Its rows are the positions p of the left example; a row's
columns are the positions of the right example (`run_pairs`), or many right examples at the same position p
(`run_diagonal`). A row lies at an address, memory[start + p % height * stride:]. Stride 0 is a register; any other is a
row of a ring, a matrix that later stages read, of which no more rows exist at a time than are still to be read.
"""

from __future__ import annotations

from neural_kernels.engine.codes import ARC, BLEND, MIX, POWERS, SCHUR, SERIES
from neural_kernels.engine.positions import entries as e
from neural_kernels.engine.positions import program as s
from neural_kernels.engine.positions.sums import add_gap, pool, sum_rows
from neural_kernels.engine.positions.windows import window
from neural_kernels.engine.row_operations import arc, blend, mix, powers, schur, series
from neural_kernels.runtime.jit import compiled, inlined


@compiled
def run_pairs(pairs, program, left, right, memory, results):
    """All positions with all positions, for some pairs (i, j) of examples."""
    stages, steps, operations, numbers, indices, weights, outputs = program
    for pair in range(pairs.shape[0]):
        i, j = pairs[pair, 0], pairs[pair, 1]
        sources = left[i], right[j], 0, 1
        for step in range(steps.shape[0]):
            stage, p = stages[steps[step, 0]], steps[step, 1]
            rows, columns, vectors = stage[2], stage[3], stage[4]
            a = left[i, stage[5] : stage[5] + vectors * rows].reshape(vectors, rows)
            b = right[j, stage[6] : stage[6] + vectors * columns].reshape(vectors, columns)
            self_column = indices[stage[7] + p] if pairs[pair, 2] else -1
            for o in range(stage[0], stage[1]):
                _operate(operations[o], numbers[o], p, columns, self_column, a, b, 0, sources, indices, weights, memory)
        for k in range(outputs.shape[0]):
            start, stride, height, columns_at = outputs[k]
            for p in range(results[k].shape[2]):
                at = start + p % height * stride + indices[columns_at + p]
                results[k][pairs[pair, 3], pairs[pair, 4], p] = memory[at]


@compiled
def run_diagonal(block, program, left, right, memory, results):
    """Equal positions of one left example with some right examples; `right` is (rows of all stages * vectors, n2)."""
    stages, steps, operations, numbers, indices, weights, outputs = program
    i, first, last, self_column = block
    n = last - first
    sources = left[i], right.reshape(-1), first, right.shape[1]
    for step in range(steps.shape[0]):
        stage, p = stages[steps[step, 0]], steps[step, 1]
        rows, vectors = stage[2], stage[4]
        a = left[i, stage[5] : stage[5] + vectors * rows].reshape(vectors, rows)
        at = stage[6] + p * vectors
        b = right[at : at + vectors]
        for o in range(stage[0], stage[1]):
            _operate(operations[o], numbers[o], p, n, self_column, a, b, first, sources, indices, weights, memory)
    for k in range(outputs.shape[0]):
        for c in range(n):
            results[k][i, first + c, 0] = memory[outputs[k, 0] + c]


@inlined
def _at(operation, field, p):
    """Where the row of position p lies."""
    start, stride = operation[field], operation[field + 1]
    return start + p % operation[field + 2] * stride if stride else start


@inlined
def _operate(operation, number, p, n, self_column, left, right, column, sources, indices, weights, memory):
    code, v = operation[0], operation[s.VECTOR]
    to = _at(operation, s.TARGET, p)
    width = operation[s.WIDTH] if code == s.POOL else n
    target = memory[to : to + width]
    if code in (s.LOAD, s.GATHER, s.WEIGHTED):
        sum_rows(operation, p, n, indices, weights, memory, target)
        return
    if code == s.GAP:
        target[:] = target.dtype.type(0)
        add_gap(left, right, column, v, operation[s.COUNT], p, target)
        return
    if code == s.FILL:
        target[:] = number[0]
        if self_column >= 0:
            target[self_column] = 0
        return
    others = right[v, column : column + n]
    at = _at(operation, s.FIRST, p)
    a = memory[at : at + n]
    if code == s.WINDOW:
        window(operation, a, number[0], left[v, p], others, p, sources, indices, target)
        return
    at = _at(operation, s.OTHER, p)
    b = memory[at : at + n]
    if code == ARC:
        at = _at(operation, s.SECOND, p)
        arc(a, number[0], target, memory[at : at + n])
    elif code in (s.EXCESS, s.SCALE):
        e.scale(a, number[0] * left[v, p], others, target)
    elif code == s.ENTRIES:
        e.entries(a, number[0] * left[v, p], others, target)
    elif code == s.ADD_ENTRIES:
        e.add_entries(a, number[0], b, number[1] * left[v, p], others, target)
    elif code == s.MULTIPLY_ENTRIES:
        e.multiply_entries(a, b, number[0] * left[v, p], others, target)
    elif code == BLEND:
        blend(a, number[0], b, number[1], target)
    elif code == SCHUR:
        schur(a, b, target)
    elif code == s.MULTIPLY:
        e.multiply(a, b, target)
    elif code == s.TOTAL:
        e.accumulate(a, p == 0, target)
    elif code == MIX:
        mix(a, left[v, p], others, b, left[v + 1, p], right[v + 1, column : column + n], target)
    elif code == s.POOLED:
        losses, norms = right[v + 1, column : column + n], right[v + 2, column : column + n]
        e.pooled(a, left[v, p], left[v + 1, p], left[v + 2, p], others, losses, norms, number[0], target)
        if self_column >= 0:
            target[self_column] = 0
    elif code == s.POOL:
        pool(a, operation[s.COUNT], width, indices, weights, operation[s.ROWS], operation[s.TABLE], target)
    else:
        start = operation[s.SECOND]
        first = memory[start : start + n]
        start = operation[s.SECOND + 1]
        second = memory[start : start + n]
        even = v + operation[s.COUNT]
        if code == SERIES:
            series(a, (v, even), left, p, right, column, target, first, second)
        elif code == POWERS:
            powers(a, (v, even, even + operation[s.ROWS]), left, p, right, column, target, first, second)
