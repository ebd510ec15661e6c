"""A uniform sample of the rows of a stream."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from neural_kernels.estimators.accumulation import sample_size
from neural_kernels.estimators.row_table import RowTable, joined
from neural_kernels.runtime.types import Shape


class RowSample:
    """Distinct rows drawn at random, the same whatever the order in which rows come; no more than twice as many held.

    Parameters
    ----------
    columns : int
        Of the map that is to be made of them.
    seed : int
    """

    def __init__(self, columns: int, seed: int) -> None:
        self._columns, self._seed = columns, seed
        self._tables: list[RowTable] = []
        self.example: Shape | None = None

    def add(self, X: Any) -> None:
        """Take in rows."""
        self.example = tuple(X.shape[1:])
        none = np.zeros((X.shape[0], 1))
        self._tables.append(RowTable.of(X, none, np.ones(X.shape[0]), self._seed).owned())
        if sum(map(len, self._tables)) > 2 * self._size:
            self._tables = [joined(self._tables).sample(self._size)]

    def rows(self) -> Any:
        """Those drawn, in an order of their own."""
        sample = joined(self._tables).sample(self._size)
        return sample.data[np.argsort(sample.keys)]

    @property
    def _size(self) -> int:
        assert self.example is not None
        return sample_size(math.prod(self.example), self._columns, math.inf)
