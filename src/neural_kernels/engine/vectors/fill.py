"""Kernels of vectors, tile after tile: inner products by a matrix product, then the program on every row."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch

from neural_kernels.engine.inputs import NEAR, DenseRows, Rows, SparseRows
from neural_kernels.engine.vectors.program import VectorProgram
from neural_kernels.runtime.tiles import Grid, Tile, run_tiles

_FEW = 1 << 16  # entries that are not worth more than one tile


def fill(program: VectorProgram, left: Rows, right: Rows, results: Sequence[np.ndarray], progress: bool) -> None:
    """Compute all kernels of a program into `results`, arrays of shape (n1, n2); symmetric if `left` is `right`."""
    from neural_kernels.engine.vectors.rows import mirror, run_dense, run_sparse

    symmetric, targets, constants = left is right, tuple(results), program.arrays()
    threshold = left.inverse.numpy().dtype.type(NEAR[left.dtype])
    dense = isinstance(left, DenseRows)
    run, choose = (run_dense, _dense_block) if dense else (run_sparse, _sparse_block)
    shape, breadth = (len(left), len(right)), program.strip
    sides = _arrays(left), (_arrays(right) if dense else _by_row_and_column(right))

    def work(block: Tile, memory: dict[str, Any]) -> None:
        rows, columns = block
        if "registers" not in memory:
            memory["registers"] = program.memory()
        first = columns.start if dense else 0
        tile = _buffer(memory, (rows.stop - rows.start, columns.stop - first), left.dtype)
        if isinstance(left, DenseRows):
            torch.mm(left.x[rows], right.x[columns].T, out=tile)  # pyright: ignore[reportAttributeAccessIssue]
        place = rows.start, first, symmetric
        run(tile.numpy(), place, *sides, threshold, constants, memory["registers"], targets)
        if symmetric:
            for target in targets:
                mirror(target, rows.start, tile.shape[0], first, tile.shape[1])

    run_tiles(Grid(shape, choose(*shape, breadth, symmetric), symmetric), work, progress)


def sparse_delta(left: SparseRows, right: SparseRows) -> Callable[[slice, slice], torch.Tensor]:
    """One minus the cosines on a tile, for evaluation in torch."""
    from neural_kernels.engine.vectors.rows import correlate_sparse

    sides = _arrays(left), _by_row_and_column(right)
    threshold = left.data.dtype.type(NEAR[left.dtype])

    def tile(rows: slice, columns: slice) -> torch.Tensor:
        products = np.empty((rows.stop - rows.start, len(right)), left.data.dtype)
        correlate_sparse(products, np.empty_like(products), rows.start, *sides, threshold)
        return torch.from_numpy(products[:, columns])

    return tile


def _dense_block(n1: int, n2: int, breadth: int, symmetric: bool) -> tuple[int, int]:
    """Tall, for a fast matrix product; lower where half of a block on the diagonal is wasted, or workers would idle."""
    if n1 * n2 <= _FEW:
        return n1, n2
    share = n1 * n2 // (8 * torch.get_num_threads() * min(n2, breadth))
    return _even(n1, max(64, min(share, 400 if symmetric else 1024))), _even(n2, breadth)


def _even(n: int, most: int) -> int:
    """The size of nearly equal blocks, in whole cache lines: a thin one at the end makes a slow matrix product."""
    blocks = -(-n // most)
    return -(-n // (16 * blocks)) * 16


def _sparse_block(n1: int, n2: int, breadth: int, symmetric: bool) -> tuple[int, int]:
    """All columns at once, as a product of sparse rows yields them, and rows for about a million numbers."""
    return max(1, min(64, (1 << 20) // max(1, n2))), max(1, n2)


def _arrays(rows: Rows) -> tuple[np.ndarray, ...]:
    if isinstance(rows, DenseRows):
        return rows.x.numpy(), rows.inverse.numpy()
    return rows.indptr, rows.indices, rows.data, rows.inverse.numpy()


def _by_row_and_column(rows: Any) -> tuple[np.ndarray, ...]:
    """Sparse rows by row and by column."""
    return *_arrays(rows), *rows.by_column()


def _buffer(memory: dict[str, Any], shape: tuple[int, int], dtype: torch.dtype) -> torch.Tensor:
    """A contiguous tile in the worker's memory, which grows to the largest asked for."""
    size = shape[0] * shape[1]
    if "tile" not in memory or len(memory["tile"]) < size:
        memory["tile"] = torch.empty(size, dtype=dtype)
    return memory["tile"][:size].view(shape)
