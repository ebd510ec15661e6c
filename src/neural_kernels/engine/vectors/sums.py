"""Sums of a kernel's rows times coefficients, tile after tile: the matrix itself is never written."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from neural_kernels.engine.codes import INPUT, OPPOSITE
from neural_kernels.engine.inputs import NEAR, DenseRows
from neural_kernels.engine.vectors.machine import compute
from neural_kernels.engine.vectors.program import VectorProgram
from neural_kernels.engine.vectors.rows import ends_dense
from neural_kernels.runtime.jit import compiled
from neural_kernels.runtime.tiles import Grid, Tile, run_tiles

_ROWS = 32  # whose products with all columns are made at once


def row_sums(
    programs: Sequence[VectorProgram], left: DenseRows, right: DenseRows, coefficients: np.ndarray
) -> list[np.ndarray]:
    """The only kernel of each program times coefficients of the columns, float64.

    Parameters
    ----------
    programs : sequence of VectorProgram
        In float64, of the same inputs but for their norms.
    left, right : DenseRows
    coefficients : ndarray of shape (m, o)

    Returns
    -------
    list of ndarray of shape (n, o)
    """
    threshold, by_output = np.float64(NEAR[torch.float64]), np.ascontiguousarray(coefficients.T)
    sides = (left.x.numpy(), left.inverse.numpy()), (right.x.numpy(), right.inverse.numpy())
    results = [np.zeros((len(left), len(by_output))) for _ in programs]

    def work(tile: Tile, memory: dict[str, Any]) -> None:
        rows, _ = tile
        products = (left.x[rows] @ right.x.T).numpy()
        for k, (program, result) in enumerate(zip(programs, results, strict=True)):
            if k not in memory.setdefault("registers", {}):
                memory["registers"][k] = program.memory()
            _add(products, rows.start, *sides, threshold, program.arrays(), memory["registers"][k], by_output, result)

    run_tiles(Grid((len(left), len(right)), (_ROWS, max(1, len(right))), False), work, progress=False)
    return results


@compiled
def _add(products, first, left, right, threshold, program, registers, coefficients, result):
    rows, columns = products.shape
    strip = registers.shape[1]
    outputs, stds = program[4], program[5]
    for j in range(0, columns, strip):  # vectors of these columns stay in the cache while the rows pass
        n = min(strip, columns - j)
        ends = registers[INPUT, :n], registers[OPPOSITE, :n]
        entries, others = registers[outputs[0], :n], program[3][stds[0], j : j + n]
        for i in range(rows):
            ends_dense(products[i, j : j + n], first + i, j, left, right, threshold, ends)
            compute(program, registers, first + i, j, n)
            for o in range(len(coefficients)):
                line, total = coefficients[o, j : j + n], 0.0
                for c in range(n):
                    total += line[c] * others[c] * (1 - entries[c])
                result[first + i, o] += program[2][stds[0], first + i] * total
