"""Kernels as matrices on disk."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch
from torch import Tensor
from typing_extensions import override

from neural_kernels.exact.arrays import read_pair
from neural_kernels.exact.graphs import Graphs
from neural_kernels.exact.kernel import Kernel
from neural_kernels.runtime.boundary import CSRRows, as_array, read_rows
from neural_kernels.runtime.digests import dtype_name, hash_data, hash_text
from neural_kernels.storage.fingerprint import describe
from neural_kernels.storage.kernel_task import KernelTask, MatrixSide

_SIDE = 1 << 12  # of a block of numbers: 64 MB in float32
_POSITIONS = 1 << 14  # of the data, along a side of a block: a pair of 32 x 32 images takes milliseconds
_ALIGNMENT = 64  # bytes; that of torch's own allocations


class BatchTask(KernelTask):
    """A kernel between two batches of arrays or graphs; a symmetric matrix where the second is None or the first.

    Parameters
    ----------
    kernel : Kernel
        Shows no progress of its own.
    identity : dict
        What the kernel is, by value or by hash, for JSON.
    data : tuple
        x1 and x2.
    memory_budget : int or None
        Bytes that one block may take.
    progress : bool

    Raises
    ------
    ValueError, TypeError
        Data that no kernel takes, or no batches.
    """

    def __init__(
        self, kernel: Kernel, identity: dict[str, str], data: tuple[Any, Any], memory_budget: int | None, progress: bool
    ) -> None:
        x1, x2 = data
        first = BatchSide(x1, "x1")
        second = None if x2 is None or x2 is x1 else BatchSide(x2, "x2")
        given = read_pair(first.x, None if second is None else second.x)
        if any(batch.single or len(batch.rows) == 0 for batch in given):
            raise ValueError("to_disk: expected batches of one example or more")
        super().__init__(kernel, identity, first, second, progress)
        self._memory_budget, self._positions = memory_budget, first.positions

    @override
    def side(self, entry: np.ndarray) -> int:
        numbers = _SIDE**2  # fewer where there are positions: entries of images take longer
        if self._memory_budget is not None:
            numbers = int(min(numbers, self._memory_budget // entry.itemsize))
        return max(1, min(_POSITIONS // self._positions, math.isqrt(numbers // entry.size)))


class BatchSide(MatrixSide):
    """Arrays or graphs, of a kind that can be cut into rows: NumPy, torch or CSR.

    Parameters
    ----------
    x : array or Graphs
        Of any make.
    name : str
        What messages call it.
    """

    def __init__(self, x: Any, name: str) -> None:
        self.x = _batch(x, name)
        self._main = self.x.x if isinstance(self.x, Graphs) else self.x

    @property
    @override
    def count(self) -> int:
        return self._main.shape[0]

    @property
    def positions(self) -> int:
        """The number of positions, or nodes, of one example; 1 for vectors."""
        return self._main.shape[1] if isinstance(self.x, Graphs) else math.prod(self._main.shape[2:])

    @override
    def take(self, rows: slice) -> Any:
        return _take(self.x, rows)

    @override
    def identity(self) -> dict[str, Any]:
        shape, dtype = list(self._main.shape), dtype_name(self._main)
        return {"kind": _kind(self.x), "shape": shape, "dtype": dtype, "data": _hash(self.x)}


def _hash(x: Any) -> str:
    if not isinstance(x, Graphs):
        return hash_data(x)
    sizes = None if x.sizes is None else np.asarray(x.sizes).astype(np.int64)
    return hash_text(describe([x.x, x.adjacency, sizes]))


def _kind(x: Any) -> str:
    """What results depend on besides the numbers: how they are laid out and where they are computed."""
    if isinstance(x, Graphs):
        return f"graphs of {_kind(x.x)}"
    if isinstance(x, Tensor):
        return "dense" if x.device.type == "cpu" else x.device.type
    return "dense" if isinstance(x, np.ndarray) else "sparse"


def _batch(x: Any, name: str) -> Any:
    if isinstance(x, Graphs):
        return Graphs(_batch(x.x, name), _batch(x.adjacency, f"{name}: adjacency"), x.sizes)
    if isinstance(x, Tensor):
        given = x.detach() if x.layout == torch.strided else read_rows(x, name)
        return given.to_scipy() if isinstance(given, CSRRows) else given
    return x.tocsr() if hasattr(x, "tocsr") else as_array(x, name)


def _take(x: Any, rows: slice) -> Any:
    """Some examples, at an address of fixed alignment, which the rounding of matrix products depends on."""
    if isinstance(x, Graphs):
        sizes = None if x.sizes is None else np.asarray(x.sizes)[rows]
        return Graphs(_take(x.x, rows), _take(x.adjacency, rows), sizes)
    part = x[rows]
    if isinstance(part, Tensor):
        return part.clone()
    if not isinstance(part, np.ndarray):
        return part
    memory = np.empty(part.nbytes + _ALIGNMENT, np.uint8)
    start = -memory.ctypes.data % _ALIGNMENT
    copy = memory[start : start + part.nbytes].view(part.dtype).reshape(part.shape)
    copy[...] = part
    return copy
