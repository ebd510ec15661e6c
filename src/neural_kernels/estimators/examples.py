"""Training examples: those of no weight left out, exact copies merged."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import sparse

from neural_kernels.runtime.types import Array

_PART = 1 << 24  # bytes of rows looked at together
_LONG = 1 << 10  # bytes


@dataclass(frozen=True)
class Copies:
    """The rows that examples were merged of.

    Parameters
    ----------
    group : ndarray of shape (n,)
        Which example each of them is.
    deviations : ndarray of shape (n, o)
        Their targets, less those of their examples.
    weights : ndarray of shape (n,)
    """

    group: np.ndarray
    deviations: Array
    weights: Array


@dataclass(frozen=True)
class Examples:
    """Distinct examples with a positive weight.

    Ridge regression, gradient flow and posteriors on them equal those on all rows: n copies of an example act as one of
    n-fold weight whose target is their mean. Leaving one out then leaves its copies out with it, so that a copy cannot
    betray its target.

    Parameters
    ----------
    support : ndarray of shape (m,)
        Where each stands in the training data; copies: the first of them.
    weights : ndarray of shape (m,)
        Sums over copies.
    targets : ndarray of shape (m, o)
        Weighted means over copies.
    scatter : ndarray of shape (o,)
        Weighted sum of squares of the targets about those means.
    copies : Copies or None
        The rows of positive weight, where some were merged.
    """

    support: np.ndarray
    weights: Array
    targets: Array
    scatter: Array
    copies: Copies | None = None

    @classmethod
    def of(cls, X: Any, targets: Array, weights: Array) -> Examples:
        """From the rows of X, shape (n, ...), targets (n, o) and weights (n,), of which one is positive."""
        used = np.flatnonzero(weights > 0)
        rows = X if len(used) == len(weights) else X[used]
        return cls.of_groups(used, distinct(rows)[1], targets[used], weights[used])

    @classmethod
    def of_groups(cls, used: np.ndarray, group: np.ndarray, y: Array, w: Array) -> Examples:
        """From rows at the positions `used`, of the examples `group`, which are numbered without a gap."""
        first = np.unique(group, return_index=True)[1]
        total = np.bincount(group, w).astype(np.float64)
        mean = np.stack([np.bincount(group, w * column) for column in y.T], axis=1) / total[:, None]
        if len(first) == len(group):
            return cls(used[first], total, mean, np.zeros(y.shape[1]))
        deviations = y - mean[group]
        return cls(used[first], total, mean, w @ np.square(deviations), Copies(group, deviations, w))

    def take(self, chosen: np.ndarray) -> Examples:
        """Some of them, with their part of the scatter."""
        weights = self.weights[chosen]
        share = weights.sum() / self.weights.sum()
        return Examples(self.support[chosen], weights, self.targets[chosen], self.scatter * share)

    @property
    def offset(self) -> Array:
        """Mean of the targets, weighted: the intercept of models that take it off."""
        return np.average(self.targets, axis=0, weights=self.weights)


def distinct(rows: Any) -> tuple[np.ndarray, np.ndarray]:
    """Where each distinct row is first met, in order, and which of these every row equals."""
    n = rows.shape[0]
    if sparse.issparse(rows):
        rows = rows.tocsr().copy()
        rows.sum_duplicates()
        rows.eliminate_zeros()
        spans = [slice(start, stop) for start, stop in zip(rows.indptr[:-1], rows.indptr[1:], strict=True)]
        keys = [rows.indices[span].tobytes() + rows.data[span].tobytes() for span in spans]
    else:
        step = max(1, _PART // max(1, rows[:1].nbytes))
        parts = (np.ascontiguousarray(rows[k : k + step]).reshape(-1, rows[0].size) + 0.0 for k in range(0, n, step))
        keys = [_key(row) for part in parts for row in part]  # -0.0 became 0.0
    seen: dict[bytes, int] = {}
    group = np.fromiter((seen.setdefault(key, len(seen)) for key in keys), dtype=np.intp, count=n)
    first = np.unique(group, return_index=True)[1]
    return first, group


def _key(row: np.ndarray) -> bytes:
    """The bytes of a row, of a long one their hash: all keys are in memory at once."""
    content = row.tobytes()
    return content if len(content) <= _LONG else hashlib.blake2b(content, digest_size=32).digest()
