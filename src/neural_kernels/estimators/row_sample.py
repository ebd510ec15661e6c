"""A uniform sample of the rows of a stream, for a map to learn from."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from neural_kernels.estimators.row_table import RowTable, joined
from neural_kernels.features.distinct import row_hashes
from neural_kernels.runtime.types import Shape


class RowSample:
    """Distinct rows drawn at random, the same whatever the order in which rows come; twice as many are held at most.

    They are those whose keys are smallest, by which methods of feature maps choose rows themselves: `Nystrom` finds the
    landmarks that it would find among all rows.

    Parameters
    ----------
    size : int
    seed : int
        Of the map.

    Attributes
    ----------
    whole : bool
        Whether no row had to be left out so far.
    """

    def __init__(self, size: int, seed: int) -> None:
        self._size, self._seed, self.whole = size, seed, True
        self._tables: list[RowTable] = []

    def add(self, X: Any, weights: np.ndarray) -> None:
        """Take in rows; those of no weight do not count."""
        rows = RowTable.of(X, np.zeros((X.shape[0], 1)), weights, self._seed)
        keys = row_hashes(rows.data, self._seed, rounded=True)
        self._tables.append(replace(rows, keys=keys).owned())
        if sum(map(len, self._tables)) > 2 * self._size:
            self._tables = [self._drawn()]

    def merge(self, other: RowSample) -> RowSample:
        """Of the rows of both, which stay as they are."""
        both = RowSample(self._size, self._seed)
        both._tables, both.whole = [*self._tables, *other._tables], self.whole and other.whole
        both._tables = [both._drawn()]
        return both

    @property
    def example(self) -> Shape:
        """Shape of a row."""
        return tuple(self._tables[0].data.shape[1:])

    def rows(self) -> RowTable:
        """Those drawn, with the weights of all their copies, in the order of their keys."""
        if not self._tables:
            raise ValueError("X: no rows in any block; expected one at least")
        self._tables = [self._drawn()]
        return self._tables[0].take(np.argsort(self._tables[0].keys))

    def _drawn(self) -> RowTable:
        every = joined(self._tables)
        self.whole = self.whole and every.distinct <= self._size
        return every.sample(self._size)
