"""Kernels bound to one of their two batches: what depends on it alone is computed once."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

from neural_kernels.engine.inputs import Rows
from neural_kernels.exact.arrays import Batch, dress, read_pair
from neural_kernels.exact.expressions.nodes import Expression
from neural_kernels.exact.kernel import Kernel
from neural_kernels.exact.results import require_range, require_room
from neural_kernels.runtime.boundary import is_of_dask


class BoundLater:
    """A kernel bound to a batch by its first call, for those who may never make one."""

    def __init__(self, kernel: Kernel, x2: Any):
        self._kernel, self._x2 = kernel, x2
        self._bound: Callable[[Any], Any] | None = None

    def __call__(self, x1: Any) -> Any:
        """The Gram matrix, shape (n1, n2)."""
        if self._bound is None:
            self._bound = self._kernel.bind(self._x2)
        return self._bound(x1)


class BoundNetwork:
    """A network's kernel of any batch with one that stays: ``bound(x1)`` equals ``kernel(x1, x2)``, to rounding.

    Of vectors through layers whose kernels are functions of angle and norm, a program is compiled once, and a call
    computes the numbers of `x1` alone. Batches with norms beyond those of `x2`, where an activation has series or
    tables, are computed as without. Other kernels save the reading of `x2`: images, layers that look at their inputs,
    and activations in float64 whose formulas torch evaluates (GELU of large norms).

    Parameters
    ----------
    kernel : NetworkKernel
    batch : Batch
        x2.
    """

    def __init__(self, kernel: Any, batch: Batch):
        from neural_kernels.exact.compile.halves import HalfProgram  # the passes are loaded with the first kernel

        self._kernel, self._batch = kernel, batch
        _, self._through = kernel.net.split()
        self._seen = batch.seen(self._through)
        self._half = None if batch.single else HalfProgram.of(self._expression, self._seen.rows)

    def __call__(self, x1: Any) -> Any:
        """The Gram matrix, shape (n1, n2); errors as those of the kernel."""
        if is_of_dask(x1):
            return self._kernel(x1, self._batch.origin)
        first, second = read_pair(x1, self._batch)
        result = self._by_half(first) if second is self._batch else None
        return self._kernel(x1, self._batch) if result is None else dress(result, first, second)

    def _by_half(self, first: Batch) -> torch.Tensor | None:
        """By the program of which one half is there; None where it does not serve."""
        seen = first.seen(self._through)
        std = seen.rows.std
        if self._half is None or len(std) == 0 or std.requires_grad:
            return None
        completed = self._half.complete(std.numpy())
        if completed is None:
            return None
        from neural_kernels.engine.vectors.fill import fill

        program, largest = completed
        dtype, shape = seen.rows.dtype, (len(std), len(self._seen.rows))
        require_range(largest, dtype)
        require_room(shape, dtype, self._kernel.memory_budget)
        result = torch.empty(shape, dtype=dtype)
        fill(program, seen.rows, self._seen.rows, [result.numpy()], self._kernel.progress)
        return result

    def _expression(self, sides: list[Rows]) -> Expression:
        return self._kernel.expression(sides)
