"""Kernels as matrices on disk."""

from __future__ import annotations

import math
from importlib.metadata import version
from typing import Any

import numpy as np
from torch import Tensor

from neural_kernels.exact.arrays import read_pair
from neural_kernels.exact.graphs import Graphs
from neural_kernels.exact.kernel import Kernel
from neural_kernels.storage.fingerprint import describe, dtype_name, hash_data, hash_text
from neural_kernels.storage.matrix import Task

_SIDE = 1 << 12  # of a block of numbers: 64 MB in float32
_POSITIONS = 1 << 14  # of the data, along a side of a block: a pair of 32 x 32 images takes milliseconds
_ALIGNMENT = 64  # bytes; that of torch's own allocations


class KernelTask(Task):
    """A kernel between two batches; a symmetric matrix where the second is None.

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
        self._kernel, self._identity, self._memory_budget, self.progress = kernel, identity, memory_budget, progress
        x1, x2 = data
        self.symmetric = x2 is None or x2 is x1
        self._first = _batch(x1)
        self._second = self._first if self.symmetric else _batch(x2)
        given = read_pair(self._first, None if self.symmetric else self._second)
        if any(batch.single or len(batch.rows) == 0 for batch in given):
            raise ValueError("to_disk: expected batches of one example or more")

    @property
    def shape(self) -> tuple[int, int]:
        """Numbers of examples."""
        return _main(self._first).shape[0], _main(self._second).shape[0]

    def identity(self) -> dict[str, Any]:
        """The library's version, what the kernel is, the data by their bytes."""
        identity = {"library": version("neural-kernels"), **self._identity}
        return identity | _identify("x1", self._first) | _identify("x2", None if self.symmetric else self._second)

    def values(self, rows: slice, columns: slice) -> np.ndarray:
        """A call for these examples alone."""
        x = _take(self._first, rows)
        if self.symmetric and rows == columns:
            result = self._kernel(x)
        else:
            result = self._kernel(x, _take(self._second, columns))
        return result.detach().cpu().numpy() if isinstance(result, Tensor) else result

    def side(self, entry: np.ndarray) -> int:
        """By the number of positions: entries of images take longer."""
        shape = _main(self._first).shape
        positions = shape[1] if isinstance(self._first, Graphs) else math.prod(shape[2:])
        numbers = _SIDE**2
        if self._memory_budget is not None:
            numbers = min(numbers, self._memory_budget // entry.itemsize)
        return max(1, min(_POSITIONS // positions, math.isqrt(numbers // entry.size)))


def _identify(name: str, x: Any) -> dict[str, Any]:
    """What data are; None for none."""
    main = _main(x)
    return {
        f"{name}: kind": None if x is None else _kind(x),
        f"{name}: shape": None if x is None else list(main.shape),
        f"{name}: dtype": None if x is None else dtype_name(main),
        f"{name}: data": None if x is None else _hash(x),
    }


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


def _batch(x: Any) -> Any:
    """Of a kind that can be cut into rows: NumPy (pandas, too), torch, CSR or graphs."""
    if isinstance(x, Graphs):
        return Graphs(_batch(x.x), _batch(x.adjacency), x.sizes)
    if isinstance(x, Tensor):
        return x.detach()
    return x.tocsr() if hasattr(x, "tocsr") else np.asarray(x)


def _main(x: Any) -> Any:
    return x.x if isinstance(x, Graphs) else x


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
