"""A kernel's matrix as a task: examples on two sides, and calls of the kernel for some of them."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from torch import Tensor
from typing_extensions import override

from neural_kernels.storage.fingerprint import library_version
from neural_kernels.storage.matrix import MatrixTask


class MatrixSide(ABC):
    """The examples of one side of a matrix, any of them at any time."""

    @property
    @abstractmethod
    def count(self) -> int:
        """The number of examples."""

    @abstractmethod
    def take(self, rows: slice) -> Any:
        """The examples of some rows, as the kernel takes them."""

    @abstractmethod
    def identity(self) -> dict[str, Any]:
        """What they are, by value or by hash, for JSON."""


class KernelTask(MatrixTask, ABC):
    """A kernel between two batches.

    Parameters
    ----------
    kernel : callable
        Gives a block for the examples of its rows and of its columns, or of both; shows no progress of its own.
    identity : mapping
        What the kernel is, by value or by hash, for JSON.
    first, second : MatrixSide
        None for the second makes a symmetric matrix.
    progress : bool
    """

    def __init__(
        self,
        kernel: Callable[..., Any],
        identity: Mapping[str, Any],
        first: MatrixSide,
        second: MatrixSide | None,
        progress: bool,
    ) -> None:
        self._kernel, self._identity, self._first, self._second = kernel, identity, first, second
        self.symmetric, self.progress = second is None, progress

    @property
    @override
    def shape(self) -> tuple[int, int]:
        return self._first.count, (self._second or self._first).count

    @override
    def identity(self) -> dict[str, Any]:
        sides = {"x1": self._first} | ({} if self._second is None else {"x2": self._second})
        data = {f"{side}: {what}": of for side, examples in sides.items() for what, of in examples.identity().items()}
        return {"library": library_version(), **self._identity, **data}

    @override
    def values(self, rows: slice, columns: slice) -> np.ndarray:
        mine = self._first.take(rows)
        if self.symmetric and rows == columns:
            result = self._kernel(mine)
        else:
            result = self._kernel(mine, (self._second or self._first).take(columns))
        return result.detach().cpu().numpy() if isinstance(result, Tensor) else result
