"""A small machine for one row of a tile at a time: every operation is a loop over columns that stay in the first cache.

A program is a table of operations on registers; a register holds one minus the correlation for a strip of columns. What
depends on the example alone comes from two tables of vectors, one row each per vector: `left` by row and `right` by
column of the matrix.
"""

from __future__ import annotations

from neural_kernels.engine.codes import (
    ARC,
    BLEND,
    CHAIN,
    INPUT,
    KINKS,
    MIX,
    OPPOSITE,
    POWERS,
    RAISED,
    SCHUR,
    SERIES,
    TABLE,
    WAVES,
)
from neural_kernels.engine.kinks import SCRATCH as KINKS_SCRATCH
from neural_kernels.engine.kinks import kinks
from neural_kernels.engine.row_operations import arc, arc_of_ends, blend, mix, powers, raise_order, schur, series
from neural_kernels.engine.tables import SCRATCH, table
from neural_kernels.engine.waves import waves
from neural_kernels.runtime.jit import compiled


@compiled
def execute(program, registers, row, column, n, results):
    """Run a program on `n` columns, whose inputs are in two registers, and write the kernels to `results`."""
    compute(program, registers, row, column, n)
    _, _, left, right, outputs, stds, _, _ = program
    for k in range(len(results)):
        scale = left[stds[k], row]
        source = registers[outputs[k], :n]
        other = right[stds[k], column : column + n]
        target = results[k][row, column : column + n]
        for c in range(n):
            target[c] = scale * other[c] * (1 - source[c])


@compiled
def compute(program, registers, row, column, n):
    """Run a program on `n` columns, whose inputs are in two registers; what it makes of them stays in others.

    The program is (operations, numbers, left, right, outputs, stds, integers, floats): `outputs` are the registers of
    the kernels' correlations, `stds` the vectors of their standard deviations, the last two are of tables.
    """
    operations, numbers, left, right, _, _, integers, floats = program
    for o in range(operations.shape[0]):
        if operations[o, 0] == TABLE:
            _look_up(operations[o], row, column, n, left, right, integers, floats, registers)
        elif operations[o, 0] == KINKS:
            _integrate(operations[o], row, column, n, left, right, integers, floats, registers)
        elif operations[o, 0] == WAVES:
            _resound(operations[o], row, column, n, left, right, floats, registers)
        else:
            _operate(operations[o], numbers[o], row, column, n, left, right, registers)


@compiled
def _operate(operation, number, row, column, n, left, right, registers):
    code, target = operation[0], registers[operation[1], :n]
    a = registers[operation[3], :n]
    vector = operation[5]
    if code in (ARC, RAISED):
        slope = registers[operation[2], :n]
        if operation[3] == INPUT:
            arc_of_ends(a, registers[OPPOSITE, :n], number[0], target, slope)
        else:
            arc(a, number[0], target, slope)
        if code == RAISED:
            raise_order(a, operation[5], target, slope)
    elif code == SCHUR:
        schur(a, registers[operation[4], :n], target)
    elif code == BLEND:
        blend(a, number[0], registers[operation[4], :n], number[1], target)
    elif code == CHAIN:
        _chain(a, registers[operation[4], :n], number[0], registers[vector, :n], number[1], target)
    elif code == MIX:
        w, v = left[vector, row], left[vector + 1, row]
        others = right[vector, column : column + n], right[vector + 1, column : column + n]
        mix(a, w, others[0], registers[operation[4], :n], v, others[1], target)
    else:
        even, spare = vector + operation[6], registers.shape[0] - 2
        first, second = registers[spare, :n], registers[spare + 1, :n]
        if code == SERIES:
            series(a, (vector, even), left, row, right, column, target, first, second)
        elif code == POWERS:
            odd = even + operation[7]
            powers(a, (vector, even, odd), left, row, right, column, target, first, second)


@compiled
def _look_up(operation, row, column, n, left, right, integers, floats, registers):
    value, slope, delta = registers[operation[1], :n], registers[operation[2], :n], registers[operation[3], :n]
    scratch = registers[registers.shape[0] - 1 - SCRATCH : registers.shape[0] - 1]
    table(delta, row, column, operation[5], integers[operation[4] :], floats, left, right, scratch, value, slope)


@compiled
def _integrate(operation, row, column, n, left, right, integers, floats, registers):
    value, slope, delta = registers[operation[1], :n], registers[operation[2], :n], registers[operation[3], :n]
    end = registers.shape[0] - 1
    scratch, opposite = registers[end - KINKS_SCRATCH : end - 1], registers[end - 1, :n]
    _face(operation[3], registers, opposite)
    kinks(
        delta, opposite, row, column, operation[5], integers[operation[4] :], floats, left, right, scratch, value, slope
    )


@compiled
def _resound(operation, row, column, n, left, right, floats, registers):
    value, slope, delta = registers[operation[1], :n], registers[operation[2], :n], registers[operation[3], :n]
    opposite = registers[registers.shape[0] - 2, :n]
    _face(operation[3], registers, opposite)
    waves(delta, opposite, row, column, operation[5], floats[operation[4] :], left, right, value, slope)


@compiled
def _face(operand, registers, opposite):
    """One plus the correlations of an operand, which of the input are known apart."""
    for c in range(opposite.size):
        opposite[c] = registers[OPPOSITE, c] if operand == INPUT else 2 - registers[operand, c]


@compiled
def _chain(a, slope, wa, b, wb, target):
    for c in range(a.size):
        target[c] = wa * (a[c] + slope[c] - a[c] * slope[c]) + wb * b[c]
