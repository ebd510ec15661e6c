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

    Attributes
    ----------
    example : tuple of int
        Shape of one row.

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
        self.rows, self.example = len(X), tuple(X.shape[1:])
        self._step = max(1, numbers // max(1, math.prod(X.shape[1:])))

    @override
    def blocks(self) -> Iterator[Block]:
        assert self.rows is not None
        return (self._take(slice(start, start + self._step)) for start in range(0, self.rows, self._step))

    def begun_by_sample(self, count: int, seed: int) -> RowSource:
        """The same rows in another order: `count` of them, drawn at random, come first, in one block.

        What learns from the rows that come first then learns from all parts of the array, however that is sorted.
        """
        assert self.rows is not None
        return self if count >= self.rows else _SampleFirst(self, self._drawn(count, seed))

    def sample(self, count: int, seed: int) -> Block:
        """Rows drawn at random, in their order; all, if there are no more than `count`."""
        return self._take(self._drawn(count, seed))

    def _drawn(self, count: int, seed: int) -> np.ndarray:
        assert self.rows is not None
        count = min(count, self.rows)
        return np.sort(np.random.default_rng(seed).choice(self.rows, count, replace=False, shuffle=False))

    def _take(self, rows: Any) -> Block:
        return Block(*(None if values is None else _held(values[rows]) for values in self._all))


def _held(values: Any) -> Any:
    """Of a memory map a plain array."""
    return np.asarray(values) if isinstance(values, np.ndarray) else values


class _SampleFirst(RowSource):
    """Some rows of an array, and then all others."""

    def __init__(self, source: ArrayRows, drawn: np.ndarray) -> None:
        self._source, self._drawn, self.rows = source, drawn, source.rows

    @override
    def blocks(self) -> Iterator[Block]:
        yield self._source._take(self._drawn)
        start = 0
        for block in self._source.blocks():
            stop = start + len(block.X)
            gone = self._drawn[slice(*np.searchsorted(self._drawn, (start, stop)))] - start
            left = np.delete(np.arange(stop - start), gone)
            yield Block(*(None if values is None else values[left] for values in block))
            start = stop
