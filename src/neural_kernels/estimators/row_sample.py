"""A uniform sample of the rows of a stream, for a map to learn from."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy import sparse

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
        self._limit = np.uint64(2**64 - 1)  # rows of larger keys are not in the sample

    def add(self, X: Any, weights: np.ndarray) -> None:
        """Take in rows; those of no weight do not count."""
        if sparse.issparse(X) and not X.has_canonical_format:
            X = X.copy()
            X.sum_duplicates()
        keys = row_hashes(X, self._seed, rounded=True)
        some = np.flatnonzero((keys <= self._limit) & (weights > 0))
        none = np.zeros((len(some), 1))
        self._tables.append(RowTable(X[some], keys[some], none, weights[some], none))
        self._draw_some()

    def merge(self, other: RowSample) -> RowSample:
        """Of the rows of both, which stay as they are."""
        both = RowSample(self._size, self._seed)
        both._tables, both.whole = [*self._tables, *other._tables], self.whole and other.whole
        both._limit = min(self._limit, other._limit)
        both._draw_some()
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

    def _draw_some(self) -> None:
        if sum(map(len, self._tables)) > 2 * self._size:
            self._tables = [self._drawn()]

    def _drawn(self) -> RowTable:
        every = joined(self._tables)
        sample = every.sample(self._size)
        if every.distinct > self._size:
            self.whole, self._limit = False, sample.keys.max()
        return sample
