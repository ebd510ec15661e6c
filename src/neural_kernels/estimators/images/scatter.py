"""Means, variances and covariances of rows that come in parts."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from neural_kernels.runtime.types import Array


@dataclass(frozen=True, eq=False)
class Scatter:
    r"""How many rows were seen, their mean, and their scatter about it.

    .. math:: S = \sum_i (x_i - \bar x)^2, \quad \text{or} \quad \sum_i (x_i - \bar x)(x_i - \bar x)^T.

    Parameters
    ----------
    count : int
    mean : ndarray of shape (d,)
    scatter : ndarray of shape (d,) or (d, d)
        In float64, whatever the rows are.
    """

    count: int
    mean: Array
    scatter: Array

    @classmethod
    def empty(cls, columns: int, full: bool) -> Scatter:
        """Of no rows; `full` for products of all columns in place of squares."""
        return cls(0, np.zeros(columns), np.zeros((columns, columns) if full else columns))

    def with_rows(self, blocks: Iterable[np.ndarray]) -> Scatter:
        """Of more rows, too, blocks of shape (n, d); by Chan, Golub and LeVeque 1979, so that nothing cancels."""
        count, mean, scatter = self.count, self.mean.copy(), self.scatter.copy()
        for rows in blocks:
            total, ours = count + len(rows), rows.mean(axis=0, dtype=np.float64)
            shift = math.sqrt(count / total) * math.sqrt(len(rows)) * (ours - mean)  # which counts as a row more
            centred = np.vstack([rows - ours.astype(rows.dtype), shift.astype(rows.dtype)])
            unit = _unit(centred)
            if unit != 1:
                centred /= rows.dtype.type(unit)
            product = centred.T @ centred if scatter.ndim == 2 else np.einsum("ij,ij->j", centred, centred)
            scatter += product if unit == 1 else product.astype(np.float64) * unit**2
            count, mean = total, mean + (ours - mean) * (len(rows) / total)
        return Scatter(count, mean, scatter)

    @property
    def covariance(self) -> Array:
        """The scatter over the number of rows."""
        return self.scatter / self.count


def _unit(values: np.ndarray) -> float:
    """A power of two by which numbers so large or small are divided that their squares would leave their precision."""
    largest = float(np.abs(values).max(initial=0))
    return 1.0 if largest == 0 or 1e-6 < largest < 1e6 else 2.0 ** (math.frexp(largest)[1] - 1)
