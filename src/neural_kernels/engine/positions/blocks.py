"""The loop over blocks of pairs of examples with positions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from neural_kernels.engine.positions.program import STRIP, PositionProgram
from neural_kernels.runtime.tiles import Grid, Tile, run_tiles

_BLOCKS = 2048  # about so many, where the matrix is large
_SIDE = 16  # examples on a side of the largest


def fill_pairs(program: PositionProgram, symmetric: bool, results: Sequence[np.ndarray], progress: bool) -> None:
    """Matrices (n1, n2) of kernels that take all pairs of positions; one thread works on a pair."""
    from neural_kernels.engine.positions.loop import run_pairs
    from neural_kernels.engine.vectors.rows import mirror

    shape, arrays = results[0].shape, program.arrays()
    targets = tuple(result[:, :, None] for result in results)
    side = max(1, min(_SIDE, int((shape[0] * shape[1] / _BLOCKS) ** 0.5)))

    def work(tile: Tile, memory: dict[str, Any]) -> None:
        rows, columns = tile
        pairs = np.array(
            [
                (i, j, symmetric and i == j, i, j)
                for i in range(rows.start, rows.stop)
                for j in range(max(i, columns.start) if symmetric else columns.start, columns.stop)
            ],
            np.int64,
        ).reshape(-1, 5)
        run_pairs(pairs, arrays, program.left, program.right, _workspace(program, memory), targets)
        if symmetric:
            for result in results:
                mirror(result, rows.start, rows.stop - rows.start, columns.start, columns.stop - columns.start)

    run_tiles(Grid((shape[0], shape[1]), (side, side), symmetric), work, progress)


def fill_self(program: PositionProgram, result: np.ndarray) -> None:
    """Entries of every example with itself, equal positions, (n, 1, positions)."""
    from neural_kernels.engine.positions.loop import run_pairs

    arrays = program.arrays()

    def work(tile: Tile, memory: dict[str, Any]) -> None:
        pairs = np.array([(i, i, 1, i, 0) for i in range(tile[0].start, tile[0].stop)], np.int64)
        run_pairs(pairs, arrays, program.left, program.right, _workspace(program, memory), (result,))

    run_tiles(Grid((len(result), 1), (max(1, len(result) // 64), 1), symmetric=False), work, progress=False)


def fill_diagonal(program: PositionProgram, symmetric: bool, results: Sequence[np.ndarray], progress: bool) -> None:
    """Matrices (n1, n2) of kernels that need equal positions alone; many right examples at a time."""
    from neural_kernels.engine.positions.loop import run_diagonal
    from neural_kernels.engine.vectors.rows import mirror

    (n1, n2), arrays = results[0].shape, program.arrays()
    targets = tuple(result[:, :, None] for result in results)

    def work(tile: Tile, memory: dict[str, Any]) -> None:
        rows, columns = tile
        for i in range(rows.start, rows.stop):
            first = max(i, columns.start) if symmetric else columns.start
            if first < columns.stop:
                block = i, first, columns.stop, 0 if symmetric and first == i else -1
                run_diagonal(block, arrays, program.left, program.right, _workspace(program, memory), targets)
        if symmetric:
            for result in results:
                mirror(result, rows.start, rows.stop - rows.start, columns.start, columns.stop - columns.start)

    height = max(1, min(_SIDE, n1 // (8 * torch.get_num_threads())))
    run_tiles(Grid((n1, n2), (height, STRIP), symmetric), work, progress)


def _workspace(program: PositionProgram, memory: dict[str, Any]) -> np.ndarray:
    if "workspace" not in memory:
        memory["workspace"] = program.workspace()
    return memory["workspace"]
