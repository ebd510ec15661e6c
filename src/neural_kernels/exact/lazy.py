"""Kernels of Dask arrays: lazy arrays of blocks, for a block depends on its rows and columns alone."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any

import numpy as np

from neural_kernels.runtime.boundary import is_of_dask, require_whole_rows


def gram_by_blocks(call: Callable[..., Any]) -> Callable[..., Any]:
    """Have a kernel's call give a lazy array where one of its batches is a Dask array.

    Blocks are those of the rows of both batches. Without a second batch the result is symmetric: a block below the
    diagonal is the transpose of the one above it, which is computed once.
    """

    @wraps(call)
    def by_blocks(kernel: Any, x1: Any, x2: Any = None, *args: Any, **kwargs: Any) -> Any:
        if not (is_of_dask(x1) or is_of_dask(x2)):
            return call(kernel, x1, x2, *args, **kwargs)
        if any(value is not None for value in (*args, *kwargs.values())):
            raise TypeError("out: the result of Dask arrays is lazy; store it, for example result.to_zarr(path)")
        return _lazy_gram(kernel, x1, x1 if x2 is None else x2)

    return by_blocks


def diagonal_by_blocks(diag: Callable[..., Any]) -> Callable[..., Any]:
    """Have a kernel's `diag` give a lazy vector for a Dask array."""

    @wraps(diag)
    def by_blocks(kernel: Any, x: Any) -> Any:
        if not is_of_dask(x):
            return diag(kernel, x)
        _require_array(x, "x")
        like = kernel.diag(_one(x))
        return x.map_blocks(
            _diagonal,
            kernel=kernel,
            dtype=like.dtype,
            chunks=(x.chunks[0], *((size,) for size in like.shape[1:])),
            drop_axis=list(range(like.ndim, x.ndim)),
            meta=np.empty((0,) * like.ndim, like.dtype),
        )

    return by_blocks


def _lazy_gram(kernel: Any, x1: Any, x2: Any) -> Any:
    from dask.array import block, from_delayed
    from dask.delayed import delayed

    rows, columns = _parts(x1, "x1"), _parts(x2, "x2")
    like = kernel(_one(x1), _one(x2))  # refuses what does not fit before anything is computed
    if like.ndim != 2:
        raise TypeError(f"the kernel has entries of shape {like.shape[2:]}; of Dask arrays, expected one number each")
    entries, transposed = delayed(_entries, pure=False), delayed(np.transpose, pure=False)
    blocks: dict[tuple[int, int], Any] = {}
    for i, (one, _) in enumerate(rows):
        for j, (other, _) in enumerate(columns):
            below = x1 is x2 and j < i
            same = x1 is x2 and i == j
            blocks[i, j] = transposed(blocks[j, i]) if below else entries(kernel, one, None if same else other)
    return block(
        [
            [from_delayed(blocks[i, j], (n, m), dtype=like.dtype) for j, (_, m) in enumerate(columns)]
            for i, (_, n) in enumerate(rows)
        ],
        allow_unknown_chunksizes=True,
    )


def _entries(kernel: Any, x1: Any, x2: Any) -> Any:
    """A block; of no rows or columns, an empty one."""
    shape = x1.shape[0], (x1 if x2 is None else x2).shape[0]
    return kernel(x1, x2) if all(shape) else np.empty(shape, kernel(_one(x1), _one(x1)).dtype)


def _diagonal(x: Any, kernel: Any) -> Any:
    return kernel.diag(x) if x.shape[0] else kernel.diag(_one(x))[:0]


def _parts(x: Any, name: str) -> list[tuple[Any, float]]:
    """Blocks of rows, and how many rows each has, NaN if that is unknown."""
    if not is_of_dask(x):
        return [(x, x.shape[0])]
    _require_array(x, name)
    return list(zip(x.to_delayed().ravel(), x.chunks[0], strict=True))


def _require_array(x: Any, name: str) -> None:
    if not hasattr(x, "chunks") or not isinstance(x.chunks, tuple):
        raise TypeError(
            f"{name}: got a lazy {type(x).__name__}; of Dask, expected an array: {name}.to_dask_array(lengths=True)"
        )
    require_whole_rows(x, name)


def _one(x: Any) -> np.ndarray:
    """An example of the shape and precision of others."""
    return np.ones((1, *map(int, x.shape[1:])), x.dtype)
