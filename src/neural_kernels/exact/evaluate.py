"""Where kernels are evaluated: compiled rows on the CPU; torch for gradients, CUDA and all that has no fast form."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from neural_kernels.engine.inputs import Rows
from neural_kernels.exact.compile.run import Run, compile_kernels
from neural_kernels.exact.expressions.nodes import Expression, nodes_of
from neural_kernels.exact.expressions.pairs import BlockPairs
from neural_kernels.exact.variances import self_entries
from neural_kernels.runtime.tiles import Grid, Tile, run_tiles

_BLOCK = (256, 2048)  # of the torch path: a dozen temporaries of float64 in tens of megabytes


def plain(kernels: Sequence[Expression], left: Rows, right: Rows) -> None:
    """In place of the compiler: nothing is compiled, so that the torch formulas do it all."""


def evaluate(
    kernels: Sequence[Expression],
    left: Rows,
    right: Rows,
    targets: Sequence[Tensor] | None = None,
    progress: bool = False,
    compiler: Callable[[Sequence[Expression], Rows, Rows], Run | None] = compile_kernels,
) -> list[Float[Tensor, "n1 n2 ..."]]:
    """The entries of several kernels of one network.

    Parameters
    ----------
    kernels : sequence of Expression
    left, right : rows
        The data that they are expressions of; a symmetric result if both are one object.
    targets : sequence of Tensor, optional
        Filled and returned in place of new tensors, which are differentiable if the data are.
    progress : bool
        Show a progress bar.
    compiler : callable
        What makes a program of the kernels, or None where there is none. With `plain` there never is: the torch
        formulas do it all, the reference that compiled programs are compared with.

    Returns
    -------
    list of Tensor, shape (n1, n2, *positions, *positions)
    """
    lead, device = (len(left), len(right)), left.std.device
    if targets is None and (left.std.requires_grad or right.std.requires_grad):
        return differentiable(kernels, left, right)
    if targets is None:
        shapes = [(*lead, *kernel.positions * 2) for kernel in kernels]
        targets = [_memory(shape, left.dtype, device) for shape in shapes]
    if 0 in lead:
        return list(targets)
    with torch.no_grad():
        run = compiler(kernels, left, right)
        if run is not None:
            run(targets, progress)
        else:
            _by_formulas(kernels, left, right, targets, progress)
        if left is right and not (run is not None and left.std.ndim > 1):  # those programs tell a unit from itself
            _diagonal(kernels, targets)
    return list(targets)


def _memory(shape: tuple[int, ...], dtype: torch.dtype, device: torch.device) -> Tensor:
    """Memory for a result; its content is arbitrary.

    Raises
    ------
    MemoryError
        There is not so much.
    """
    try:
        return torch.empty(shape, dtype=dtype, device=device)
    except RuntimeError as error:  # as torch calls it
        raise MemoryError(
            f"a kernel of shape {shape} takes {math.prod(shape) * dtype.itemsize:,} bytes, more than there are. "
            "Compute it block by block of rows, write it to disk (kernel.to_disk, or out= a numpy.memmap), or take "
            "features in its place, which grow with n alone (nk.feature_map, nk.NeuralFeatureRegressor); exact "
            "estimators do without it by solver=nk.solvers.ConjugateGradient()."
        ) from error


def _diagonal(kernels: Sequence[Expression], targets: Sequence[Tensor]) -> None:
    """Write every example's kernel with itself, exact by its standard deviations.

    Blocks know no unit from itself: they give what rounding makes of coincident ones.
    """
    for kernel, target in zip(kernels, targets, strict=True):
        entries = self_entries(kernel, 0) if kernel.positions else kernel.stds[0].square()
        target.diagonal(dim1=0, dim2=1).movedim(-1, 0).copy_(entries)


def differentiable(kernels: Sequence[Expression], left: Rows, right: Rows) -> list[Float[Tensor, "n1 n2 ..."]]:
    """All entries at once, as one differentiable expression."""
    block = BlockPairs(slice(None), slice(None))
    return [kernel.entries(block, True).to(left.dtype) for kernel in kernels]


def _by_formulas(
    kernels: Sequence[Expression], left: Rows, right: Rows, targets: Sequence[Tensor], progress: bool
) -> None:
    """Fill the targets by the torch formulas, block by block."""
    symmetric = left is right
    widest = max(math.prod(node.positions) for node in nodes_of(*kernels))
    shape = max(1, _BLOCK[0] // widest), max(1, _BLOCK[1] // widest)

    def work(tile: Tile, memory: dict[str, Any]) -> None:
        rows, columns = tile
        with torch.no_grad():
            block = BlockPairs(rows, columns)
            for kernel, target in zip(kernels, targets, strict=True):
                entries = kernel.entries(block, True).to(target.dtype)
                if symmetric:
                    _mirror(target, entries, rows, columns)
                else:
                    target[rows, columns] = entries

    run_tiles(Grid((len(left), len(right)), shape, symmetric), work, progress)


def _mirror(
    target: Float[Tensor, "n n ..."], entries: Float[Tensor, "rows columns ..."], rows: slice, columns: slice
) -> None:
    """Write the entries at and right of the diagonal to both sides, so that the matrix is exactly symmetric."""
    count = (entries.ndim - 2) // 2
    i = torch.arange(rows.start, rows.stop, device=target.device)[:, None]
    upper = (torch.arange(columns.start, columns.stop, device=target.device) >= i)[..., *[None] * 2 * count]
    order = 1, 0, *range(2 + count, 2 + 2 * count), *range(2, 2 + count)
    target[rows, columns] = torch.where(upper, entries, target[rows, columns])
    target[columns, rows] = torch.where(upper.transpose(0, 1), entries.permute(order), target[columns, rows])
