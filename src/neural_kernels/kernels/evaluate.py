"""Where kernels are evaluated: compiled rows on the CPU; torch for gradients, CUDA and all that has no fast form."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from neural_kernels.engine.inputs import DenseRows, SparseRows, delta_tile
from neural_kernels.engine.tiles import Block, Grid, run_tiles
from neural_kernels.kernels.correlation import Tile
from neural_kernels.kernels.gram import Gram

Rows = DenseRows | SparseRows
_BLOCK = (256, 2048)  # of the torch path: a dozen temporaries of float64 in tens of megabytes


def evaluate(
    grams: Sequence[Gram], left: Rows, right: Rows, targets: Sequence[Tensor] | None, progress: bool
) -> list[Float[Tensor, "n1 n2"]]:
    """The entries of several kernels of one network, into `targets` or new tensors; symmetric if `left` is `right`."""
    shape, device = (len(left), len(right)), left.std.device
    if targets is None and any(std.requires_grad for gram in grams for std in gram.stds):
        return differentiable(grams, left, right)
    if targets is None:
        targets = [torch.empty(shape, dtype=left.dtype, device=device) for _ in grams]
    if 0 in shape:
        return list(targets)
    with torch.no_grad():
        if not _compiled(grams, left, right, targets, progress):
            _plain(grams, left, right, targets, progress)
        if left is right:
            for gram, target in zip(grams, targets, strict=True):
                target.diagonal().copy_(gram.variance.sides[0])
    return list(targets)


def differentiable(grams: Sequence[Gram], left: Rows, right: Rows) -> list[Float[Tensor, "n1 n2"]]:
    """All entries at once, as one differentiable expression."""
    assert isinstance(left, DenseRows)
    assert isinstance(right, DenseRows)
    everything = slice(None)
    tile = Tile(everything, everything, delta_tile(left, right, everything, everything), {})
    return [gram.evaluate(tile).to(left.dtype).expand(tile.delta.shape) for gram in grams]


def _compiled(grams: Sequence[Gram], left: Rows, right: Rows, targets: Sequence[Tensor], progress: bool) -> bool:
    """By the row machine, if there is a program for these kernels and the data are where it can run."""
    if left.std.device.type != "cpu":
        return False
    from neural_kernels.engine.tiles import fill
    from neural_kernels.kernels.compile import compile_program

    program = compile_program(grams, left.dtype)
    if program is None:
        return False
    fill(program, left, right, [target.numpy() for target in targets], progress)
    return True


def _plain(grams: Sequence[Gram], left: Rows, right: Rows, targets: Sequence[Tensor], progress: bool) -> None:
    """By the torch formulas, tile by tile."""
    symmetric = left is right
    inputs = _inputs(left, right)

    def work(block: Block, memory: dict[str, Any]) -> None:
        rows, columns = block
        with torch.no_grad():
            tile = Tile(rows, columns, inputs(rows, columns), {})
            for gram, target in zip(grams, targets, strict=True):
                entries = gram.evaluate(tile).expand(tile.delta.shape).to(target.dtype)
                if symmetric:
                    _mirror(target, entries, rows, columns)
                else:
                    target[rows, columns] = entries

    run_tiles(Grid((len(left), len(right)), _BLOCK, symmetric), work, progress)


def _mirror(target: Float[Tensor, "n n"], entries: Float[Tensor, "rows columns"], rows: slice, columns: slice) -> None:
    """Write the entries at and right of the diagonal to both sides, so that the matrix is exactly symmetric."""
    i = torch.arange(rows.start, rows.stop, device=target.device)[:, None]
    upper = torch.arange(columns.start, columns.stop, device=target.device) >= i
    target[rows, columns] = torch.where(upper, entries, target[rows, columns])
    target[columns, rows] = torch.where(upper.T, entries.T, target[columns, rows])


def _inputs(left: Rows, right: Rows) -> Callable[[slice, slice], Tensor]:
    """One minus the cosines of the inputs, tile by tile."""
    if isinstance(left, DenseRows) and isinstance(right, DenseRows):
        return partial(delta_tile, left, right)
    from neural_kernels.engine.tiles import sparse_delta

    assert isinstance(left, SparseRows)
    assert isinstance(right, SparseRows)
    return sparse_delta(left, right)
