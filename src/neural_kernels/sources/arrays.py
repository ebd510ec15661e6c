"""Slices of arrays: of memory maps, whose rows are on disk until they are asked for."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import numpy as np
from typing_extensions import override

from neural_kernels.sources.base import Block, RowSource


class ArrayRows(RowSource):
    """The rows of an array, in their order.

    Parameters
    ----------
    X : array of shape (n, ...)
    y, weight : array of length n, optional
    numbers : int
        Of X in one block, at most; a row in any case.

    Raises
    ------
    ValueError
        y or weight have another length.
    """

    def __init__(self, X: Any, y: Any = None, weight: Any = None, *, numbers: int) -> None:
        self._all = Block(X, *(None if values is None else np.asarray(values) for values in (y, weight)))
        for name, values in zip(("y", "sample_weight"), self._all[1:], strict=True):
            if values is not None and values.shape[:1] != (len(X),):
                raise ValueError(
                    f"inconsistent numbers of samples: X has {len(X):,} rows, {name} is of shape {values.shape}"
                )
        self.rows = len(X)
        self._step = max(1, numbers // max(1, math.prod(X.shape[1:])))

    @override
    def blocks(self) -> Iterator[Block]:
        assert self.rows is not None
        return (self._take(slice(start, start + self._step)) for start in range(0, self.rows, self._step))

    def _take(self, rows: Any) -> Block:
        return Block(*(None if values is None else _held(values[rows]) for values in self._all))


def _held(values: Any) -> Any:
    """Of a memory map a plain array."""
    return np.asarray(values) if isinstance(values, np.ndarray) else values
