"""Symmetric matrices that are multiplied, strip after strip of rows, and need not lie in memory."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from torch import Tensor
from typing_extensions import override

from neural_kernels.runtime.digests import describe_data
from neural_kernels.runtime.types import Array
from neural_kernels.solvers.rpcholesky import KernelFunction

STRIP = 1 << 27  # bytes of a strip of rows
_PROBES = 4
_CHUNK = 1 << 10  # columns at a time, so that their float64 copy stays in the cache


class GramOperator(ABC):
    """A symmetric matrix K of which one triangle is looked at, a strip of rows at a time."""

    @abstractmethod
    def __len__(self) -> int:
        """The number of rows, n."""

    @abstractmethod
    def diagonal(self) -> Array:
        """Diagonal entries, shape (n,), float64."""

    @abstractmethod
    def columns(self, index: np.ndarray) -> np.ndarray:
        """Some columns, shape (n, len(index))."""

    @abstractmethod
    def block(self, index: np.ndarray) -> np.ndarray:
        """The submatrix of some rows and their columns."""

    @abstractmethod
    def strips(self) -> Iterator[tuple[slice, Tensor]]:
        """Rows a to b, and their entries left of and in the diagonal block, shape (b - a, b): exactly symmetric there.

        The same numbers at every call, so that products are those of one matrix.
        """

    @abstractmethod
    def identity(self) -> str:
        """A text that is the same in every process for the same rows, or for a matrix of the same size."""

    def probe(self) -> np.ndarray:
        """Some columns, which tell a matrix from others with the same `identity`, up to rounding."""
        return self.columns(np.unique(np.linspace(0, len(self) - 1, _PROBES).astype(np.intp)))

    def product(self, vectors: Array) -> Array:
        """K V for columns V, shape (n, c), summed in float64; every entry is used for both of its places."""
        v = torch.from_numpy(np.ascontiguousarray(vectors))
        out = torch.zeros_like(v)
        for rows, strip in self.strips():
            for start in range(0, rows.stop, _CHUNK):
                columns = slice(start, min(start + _CHUNK, rows.stop))
                part = strip[:, columns].to(torch.float64)
                out[rows] += part @ v[columns]
                mirrored = min(columns.stop, rows.start) - start  # the diagonal block stands there whole
                if mirrored > 0:
                    out[start : start + mirrored] += part[:, :mirrored].T @ v[rows]
        return out.numpy()


class MatrixOperator(GramOperator):
    """A matrix at hand, in memory or a `numpy.memmap`: never copied as a whole; its lower triangle is read.

    Parameters
    ----------
    gram : ndarray of shape (n, n)

    Raises
    ------
    ValueError
        For a matrix that is not square.
    """

    def __init__(self, gram: np.ndarray) -> None:
        given = np.asanyarray(gram)
        if given.ndim != 2 or given.shape[0] != given.shape[1] or given.size == 0:
            raise ValueError(f"gram has shape {given.shape}: expected a square matrix, a row and a column per example")
        self._gram = given

    @override
    def __len__(self) -> int:
        return len(self._gram)

    @override
    def diagonal(self) -> Array:
        return np.diagonal(self._gram).astype(np.float64)

    @override
    def columns(self, index: np.ndarray) -> np.ndarray:
        found = np.empty((len(self), len(index)), self._gram.dtype)
        for k, i in enumerate(index):
            found[:i, k], found[i:, k] = self._gram[i, :i], self._gram[i:, i]
        return found

    @override
    def block(self, index: np.ndarray) -> np.ndarray:
        return self.columns(index)[index]

    @override
    def strips(self) -> Iterator[tuple[slice, Tensor]]:
        for rows in strips_of(len(self), self._gram.dtype.itemsize):
            strip = np.array(self._gram[rows, : rows.stop])
            if not np.isfinite(strip).all():
                raise ValueError("gram holds NaN or infinity: check the inputs, or scale them (StandardScaler)")
            square = strip[:, rows]
            square[...] = np.tril(square) + np.tril(square, -1).T
            yield rows, torch.from_numpy(strip)

    @override
    def identity(self) -> str:
        return f"matrix {self._gram.shape} {self._gram.dtype}"


class KernelOperator(GramOperator):
    """The Gram matrix of a kernel on rows, computed anew for every product; the first strips are kept.

    Parameters
    ----------
    kernel : callable with `diag`
        ``kernel(x1, x2)``, and ``kernel(x)`` for a symmetric matrix.
    rows : array of shape (n, ...)
        NumPy, torch (CPU) or CSR.
    kept : float
        Bytes of strips that may stay in memory.
    """

    def __init__(self, kernel: KernelFunction, rows: Any, kept: float = 0.0) -> None:
        self.kernel, self.rows = kernel, rows
        self._kept, self._room = [], kept

    def __getstate__(self) -> dict[str, Any]:
        return {**vars(self), "_kept": []}

    @override
    def __len__(self) -> int:
        return self.rows.shape[0]

    @override
    def diagonal(self) -> Array:
        return np.asarray(self.kernel.diag(self.rows), dtype=np.float64)

    @override
    def columns(self, index: np.ndarray) -> np.ndarray:
        return np.asarray(self.kernel(self.rows, self.rows[index]))

    @override
    def block(self, index: np.ndarray) -> np.ndarray:
        return self._symmetric(self.rows[index])

    @override
    def strips(self) -> Iterator[tuple[slice, Tensor]]:
        for k, rows in enumerate(strips_of(len(self), self.rows.dtype.itemsize)):
            if k < len(self._kept):
                yield rows, self._kept[k]
                continue
            strip = self._strip(rows)
            if k == len(self._kept) and strip.nbytes <= self._room:
                self._kept.append(strip)
                self._room -= strip.nbytes
            yield rows, strip

    @override
    def identity(self) -> str:
        return f"kernel {describe_data(self.rows)}"

    def _strip(self, rows: slice) -> Tensor:
        part = self.rows[rows]
        square = torch.as_tensor(self._symmetric(part))
        strip = square.new_empty((len(square), rows.stop))
        strip[:, rows] = square
        if rows.start:
            strip[:, : rows.start] = torch.as_tensor(self.kernel(part, self.rows[: rows.start]))
        return strip

    def _symmetric(self, part: Any) -> np.ndarray:
        square = np.asarray(self.kernel(part))  # pyright: ignore[reportCallIssue]
        return np.tril(square) + np.tril(square, -1).T


class OperatorFunction:
    """An operator as a function of positions, which is what pivots are drawn by."""

    def __init__(self, operator: GramOperator) -> None:
        self._operator = operator

    def __call__(self, x1: Any, x2: Any = None) -> np.ndarray:
        """Columns x2; x1 stands for all rows."""
        return self._operator.columns(x1 if x2 is None else x2)

    def diag(self, x: Any) -> np.ndarray:
        """The whole diagonal."""
        return self._operator.diagonal()


def strips_of(n: int, itemsize: int) -> Iterator[slice]:
    """Of rows, a strip's bytes at a time."""
    step = max(1, min(n, STRIP // (itemsize * n)))
    return (slice(start, min(start + step, n)) for start in range(0, n, step))
