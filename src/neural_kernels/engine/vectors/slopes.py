"""How a kernel of vectors changes with the angle between them, tile after tile."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch

from neural_kernels.engine.codes import INPUT, OPPOSITE
from neural_kernels.engine.inputs import NEAR, DenseRows
from neural_kernels.engine.vectors.machine import compute
from neural_kernels.engine.vectors.program import VectorProgram
from neural_kernels.engine.vectors.rows import ends_dense, mirror
from neural_kernels.runtime.jit import compiled
from neural_kernels.runtime.tiles import Grid, Tile, run_tiles

_STEP = 1e-5  # of log tan(angle / 2); the root of rounding would be too small for tables, of which digits are lost
_SAME = 1e-15  # one minus the cosine of rows that are one
_TILE = (64, 1024)


def fill_slopes(program: VectorProgram, left: DenseRows, right: DenseRows, result: np.ndarray) -> None:
    r"""The derivative of a program's only kernel by one minus the cosine, float64; 0 for rows that are one.

    It is taken between two angles, a little apart in :math:`u = \log \tan(\theta / 2)`, in which a kernel is as smooth
    at nearly equal and nearly opposite rows as anywhere: with one minus the correlation as the machine has it, nothing
    cancels, and what is lost is the third derivative times 1e-10, and rounding times 1e5. Symmetric, at half the work,
    if `left` is `right`.
    """
    symmetric = left is right
    threshold, constants = np.float64(NEAR[torch.float64]), program.arrays()
    sides = (left.x.numpy(), left.inverse.numpy()), (right.x.numpy(), right.inverse.numpy())

    def work(tile: Tile, memory: dict[str, Any]) -> None:
        rows, columns = tile
        if not memory:
            memory["registers"], memory["kept"] = program.memory(), np.empty((3, program.strip))
        products = (left.x[rows] @ right.x[columns].T).numpy()
        place = rows.start, columns.start, symmetric
        _slopes(products, place, *sides, threshold, constants, memory["registers"], memory["kept"], _FACTORS, result)
        if symmetric:
            mirror(result, rows.start, len(products), columns.start, products.shape[1])

    run_tiles(Grid((len(left), len(right)), _TILE, symmetric), work, progress=False)


_FACTORS = np.array([math.exp(2 * _STEP), math.exp(-2 * _STEP)])


@compiled
def _slopes(products, place, left, right, threshold, program, registers, kept, factors, result):
    first_row, first_column, symmetric = place
    rows, columns = products.shape
    strip = registers.shape[1]
    outputs, stds = program[4], program[5]
    for i in range(rows):
        row = first_row + i
        scale = program[2][stds[0], row]
        for j in range(max(0, row - first_column) if symmetric else 0, columns, strip):
            n, column = min(strip, columns - j), first_column + j
            ends = registers[INPUT, :n], registers[OPPOSITE, :n]
            ends_dense(products[i, j : j + n], row, column, left, right, threshold, ends)
            delta, opposite, upper = kept[0, :n], kept[1, :n], kept[2, :n]
            _copy(ends[0], delta)
            _copy(ends[1], opposite)
            _shift(delta, opposite, factors[0], ends)
            compute(program, registers, row, column, n)
            _copy(registers[outputs[0], :n], upper)
            _shift(delta, opposite, factors[1], ends)
            compute(program, registers, row, column, n)
            others = program[3][stds[0], column : column + n]
            _divide(delta, opposite, upper, registers[outputs[0], :n], factors, scale, others, result[row, column:])


@compiled
def _copy(source, target):
    for c in range(source.size):
        target[c] = source[c]


@compiled
def _shift(delta, opposite, factor, ends):
    """Both ends of the angle, the square of the tangent of its half times a factor."""
    for c in range(delta.size):
        total = (delta[c] * factor + opposite[c]) / 2
        ends[0][c], ends[1][c] = delta[c] * factor / total, opposite[c] / total


@compiled
def _divide(delta, opposite, upper, lower, factors, scale, others, target):
    """The quotient of differences; the step of one minus the cosine from both ends, in which nothing cancels."""
    for c in range(delta.size):
        d, e = delta[c], opposite[c]
        step = 2 * d * e * (factors[0] - factors[1]) / ((d * factors[0] + e) * (d * factors[1] + e))
        near = d < _SAME or e < _SAME
        target[c] = 0.0 if near else -scale * others[c] * (upper[c] - lower[c]) / step
