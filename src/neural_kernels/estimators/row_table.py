"""Rows and the sums over their copies: tables that add up, and samples of them that no order of the rows changes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np
from scipy import sparse

from neural_kernels.estimators.examples import Examples
from neural_kernels.features.distinct import row_hashes
from neural_kernels.runtime.types import Array


@dataclass(frozen=True)
class RowTable:
    """Rows of positive weight; tables of parts of the data, one after the other, are that of all.

    Parameters
    ----------
    data : array or CSR matrix of shape (n, ...)
    keys : ndarray of shape (n,), uint64
        Random numbers that depend on a row's values alone: copies share theirs.
    targets : ndarray of shape (n, o)
        Weighted means over copies.
    weights : ndarray of shape (n,)
        Sums over copies.
    scatter : ndarray of shape (n, o)
        Weighted sums of squares of copies' targets about their means.
    """

    data: Any
    keys: np.ndarray
    targets: Array
    weights: Array
    scatter: Array

    @classmethod
    def of(cls, data: Any, targets: Array, weights: Array, seed: int) -> RowTable:
        """Make a table of rows as they come, copies one by one; the data are copied only where some have no weight."""
        used = np.flatnonzero(weights > 0)
        if len(used) < len(weights):
            data, targets, weights = data[used], targets[used], weights[used]
        if sparse.issparse(data) and not data.has_canonical_format:
            data = data.copy()
            data.sum_duplicates()
        return cls(data, row_hashes(data, seed), targets, weights, np.zeros(targets.shape))

    def __len__(self) -> int:
        return len(self.keys)

    @property
    def examples(self) -> Examples:
        """What the residuals of these rows are compared with."""
        return Examples(np.arange(len(self)), self.weights, self.targets, self.scatter.sum(axis=0))

    @property
    def distinct(self) -> int:
        """How many rows differ."""
        return len(np.unique(self.keys))

    def take(self, index: np.ndarray | slice) -> RowTable:
        """Some of the rows; their memory is new unless the index is a slice."""
        return RowTable(*(value[index] for value in self._values()))

    def owned(self) -> RowTable:
        """The same in memory of its own: who gave the rows may write over them."""
        return RowTable(*(value.copy() for value in self._values()))

    def keyed(self, seed: int) -> RowTable:
        """The same with keys of another seed."""
        return replace(self, keys=row_hashes(self.data, seed))

    @property
    def shares(self) -> Array:
        """Of each class in a row, (n, K), where targets are 1 for its class and -1 for others."""
        return (self.targets + 1) / 2

    def of_class(self, k: int) -> RowTable:
        """The rows of one class, copies of other classes left out."""
        share = self.shares[:, k]
        some = self.take(np.flatnonzero(share > 0))
        targets = np.full(some.targets.shape, -1.0)
        targets[:, k] = 1.0
        weights = some.weights * share[share > 0]
        return replace(some, targets=targets, weights=weights, scatter=np.zeros(targets.shape))

    def weighted(self, factors: Array) -> RowTable:
        """With factors of the weights of classes, shape (K,)."""
        parts = self.shares * factors
        total = parts.sum(axis=1, keepdims=True)
        weights, targets = self.weights * total[:, 0], 2 * parts / total - 1
        return replace(self, weights=weights, targets=targets, scatter=weights[:, None] * (1 - np.square(targets)))

    def with_outputs(self, place: np.ndarray, outputs: int, value: float) -> RowTable:
        """With targets of more columns, those there are at new places; the others have one value in all rows."""
        targets, scatter = np.full((len(self), outputs), value), np.zeros((len(self), outputs))
        targets[:, place], scatter[:, place] = self.targets, self.scatter
        return replace(self, targets=targets, scatter=scatter)

    def merged(self) -> RowTable:
        """Each row once, where it was met first."""
        _, first, group = np.unique(self.keys, return_index=True, return_inverse=True)
        if len(first) == len(self):
            return self
        order = np.argsort(first)
        place = np.empty_like(order)
        place[order] = np.arange(len(order))
        first, group, w = first[order], place[group], self.weights[:, None]
        weights = _sums(group, w)
        targets = _sums(group, w * self.targets) / weights
        scatter = _sums(group, self.scatter + w * np.square(self.targets - targets[group]))
        return RowTable(self.data[first], self.keys[first], targets, weights[:, 0], scatter)

    def sample(self, size: int) -> RowTable:
        """Distinct rows, those of the smallest keys: as likely any set of so many as another.

        A row among the smallest of all is among the smallest of any part. Samples of parts, joined and sampled again,
        are thus the sample of the whole, with the sums over all copies, whatever the parts.
        """
        keys = np.unique(self.keys)
        few = self if len(keys) <= size else self.take(np.flatnonzero(self.keys <= keys[size - 1]))
        return few.merged()

    def _values(self) -> list[Any]:
        return [getattr(self, field.name) for field in fields(self)]


def joined(tables: Sequence[RowTable]) -> RowTable:
    """Table after table in one."""
    if len(tables) == 1:
        return tables[0]
    data, *sums = zip(*(table._values() for table in tables), strict=True)
    if any(sparse.issparse(rows) for rows in data):
        every: Any = sparse.vstack(data, format="csr")
    else:
        every = np.concatenate(data)
    return RowTable(every, *map(np.concatenate, sums))


def _sums(group: np.ndarray, values: Array) -> Array:
    """Sums of rows of the same group, shape (groups, o)."""
    return np.stack([np.bincount(group, column).astype(np.float64) for column in values.T], axis=1)
