"""Where the training rows lie, and what prediction says of rows far outside."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from scipy import sparse

from neural_kernels.estimators.scales import FAIR, warn
from neural_kernels.exact.kernel import Kernel
from neural_kernels.runtime.types import Array

_FAR = 10  # radii
_AWAY = 100  # distances from the centre, for a look at how the kernel grows
_BLOCK = 2**20  # numbers at a time
_SAID = "_said"  # the attribute of a region that has warned; no field, for it is no part of what a model is


@dataclass(frozen=True)
class Region:
    """The smallest ball about the mean of the training rows that holds all of them.

    One is made with each fit, and warns once, whatever the number of calls and threads. Copies and files know nothing
    of that.

    Parameters
    ----------
    centre : ndarray of shape (d,)
        Of rows made flat.
    radius : float
    rows : int
        How many it was drawn around.
    """

    centre: Array
    radius: float
    rows: int

    @classmethod
    def of(cls, X: Any) -> Region:
        """Around the rows of X, shape (n, ...), dense or CSR; O(n d)."""
        if sparse.issparse(X):
            centre = np.asarray(X.mean(axis=0, dtype=np.float64)).ravel()
        else:
            centre = X.reshape(X.shape[0], -1).mean(axis=0, dtype=np.float64)
        return cls(centre, 0.0, 0).around(X)

    def around(self, X: Any) -> Region:
        """The ball about the same centre that holds these rows, too."""
        return Region(self.centre, max(self.radius, self._distances(X).max()), self.rows + X.shape[0])

    def joined(self, other: Region) -> Region:
        """A ball about the same centre that holds all of another."""
        radius = float(np.linalg.norm(other.centre - self.centre)) + other.radius if other.rows else 0.0
        return Region(self.centre, max(self.radius, radius), self.rows + other.rows)

    def warn_if_outside(self, X: Any, kernel: Kernel) -> None:
        """Warn, if that was not done, of rows more than ten radii away, unless k(x, x) and so predictions are bounded.

        O(n d) until then; the kernel is asked where there are such rows, about one of them.
        """
        if _SAID in vars(self) or self.rows < FAIR or not 0 < self.radius < np.inf:
            return
        distances = self._distances(X)
        worst = int(distances.argmax())
        if distances[worst] <= _FAR * self.radius or not self._grows(X[worst : worst + 1], kernel):
            return
        mine = object()
        if vars(self).setdefault(_SAID, mine) is not mine:  # in one step: other threads may be here, too
            return
        count = int((distances > _FAR * self.radius).sum())
        try:
            warn(
                f"{count} of {len(distances)} rows lie far outside the training data, where predictions are "
                f"extrapolated without bound (row {worst} is {distances[worst]:.3g} away from the mean of the training "
                f"rows, the farthest of them {self.radius:.3g}): scale new rows as those were, or clip them. Further "
                "rows far outside are not told of until the next fit"
            )
        except Warning:  # made an error by a filter: then each such call fails
            del vars(self)[_SAID]
            raise

    def __getstate__(self) -> dict[str, Any]:
        return {field.name: getattr(self, field.name) for field in fields(self)}

    def _grows(self, row: Any, kernel: Kernel) -> bool:
        """Whether k(x, x) grows from a row, shape (1, ...), away from the centre."""
        dense = np.asarray(row.toarray() if sparse.issparse(row) else row, dtype=np.float64)
        farther = dense + _AWAY * (dense - self.centre.reshape(dense.shape))
        try:
            here, there = (float(np.asarray(kernel.diag(x))[0]) for x in (dense, farther))
        except OverflowError:
            return True
        return there > 2 * here

    def _distances(self, X: Any) -> Array:
        if sparse.issparse(X):
            squares = np.asarray(X.multiply(X).sum(axis=1, dtype=np.float64)).ravel() - 2 * (X @ self.centre)
            return np.sqrt(np.maximum(squares + self.centre @ self.centre, 0))
        with np.errstate(over="ignore"):
            parts = [
                np.linalg.norm(X[part].reshape(-1, len(self.centre)) - self.centre, axis=1) for part in self._parts(X)
            ]
        return np.concatenate(parts)

    def _parts(self, X: Any) -> Iterator[slice]:
        step = max(1, _BLOCK // len(self.centre))
        return (slice(start, start + step) for start in range(0, X.shape[0], step))
