"""Results of kernels: within the memory budget, in memory that fits, and in the range of their precision."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from neural_kernels.exact.arrays import Batch
from neural_kernels.exact.evaluate import evaluate
from neural_kernels.exact.expressions.nodes import Expression
from neural_kernels.runtime.boundary import read_out
from neural_kernels.runtime.types import Shape


def gram_matrices(
    kernels: Sequence[Expression],
    batches: tuple[Batch, Batch],
    outs: Sequence[Any] | None,
    memory_budget: int | None,
    progress: bool,
) -> list[Tensor]:
    """Evaluate several kernels of one network, into the user's memory or new one.

    Raises
    ------
    MemoryError
        New results would exceed the budget.
    OverflowError
        A kernel leaves the range of the precision. Standard deviations tell so beforehand, but those after a map that
        mixes positions cost as much as entries: there, the results are looked at.
    TypeError, ValueError
        The user's memory does not fit.
    """
    first, second = batches
    dtype = first.rows.dtype
    simple = [not kernel.mixes for kernel in kernels]
    for kernel in itertools.compress(kernels, simple):
        require_range(largest_entry(kernel), dtype)
    shape = (len(first.rows), len(second.rows), *kernels[0].positions * 2)
    if outs is None:
        require_room((len(kernels), *shape), dtype, memory_budget)
        targets = None
    else:
        targets = [read_out(out, shape, dtype, first.rows.std.device) for out in outs]
    results = evaluate(kernels, first.rows, second.rows, targets, progress)
    for kernel, result in zip(kernels, results, strict=True) if first.rows.std.ndim > 1 else ():
        finite = bool(result.isfinite().all())
        if not finite or (kernel.mixes and not result.any()):
            require_range(largest_entry(kernel), dtype)
        if not finite:
            require_range(math.inf, dtype)
    return results


def require_room(shape: Shape, dtype: torch.dtype, memory_budget: int | None) -> None:
    """Raise where results of a shape exceed the budget, in bytes."""
    size = math.prod(shape) * dtype.itemsize
    if memory_budget is not None and size > memory_budget:
        raise MemoryError(
            f"the result takes {size:,} bytes, memory_budget is {memory_budget:,}. Pass out= a "
            "numpy.memmap, compute it block by block of rows, or take features in its place (nk.feature_map)."
        )


def largest_entry(kernel: Expression) -> float:
    """The largest entry, the product of the largest standard deviations."""
    sides = [side.detach() for side in (kernel.stds[0], kernel.stds[-1])]
    return 0.0 if any(len(side) == 0 for side in sides) else float(sides[0].max()) * float(sides[1].max())


def require_range(largest: float, dtype: torch.dtype) -> None:
    """Raise where the largest entry of a kernel is none of the precision's normal numbers, nor 0."""
    limits = torch.finfo(dtype)
    if largest > limits.max or 0 < largest < limits.tiny:
        what = "overflow" if largest > limits.max else "vanish in"
        raise OverflowError(
            f"the kernel's largest entry, {largest:.3g}, would {what} {dtype}. Scale the inputs (StandardScaler, "
            "Normalizer) or pass float64."
        )
