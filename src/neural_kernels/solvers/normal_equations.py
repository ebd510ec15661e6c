"""Ridge regression from centred sums of products, for one ridge, a path of them, or the best by cross-validation."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy.linalg import cho_solve, eigh, get_lapack_funcs

from neural_kernels.runtime.types import Array
from neural_kernels.solvers import system, triangle
from neural_kernels.solvers.ridge_path import RidgePath


class NormalEquations:
    """Private base: what is solved, from the attributes that `Moments` documents."""

    weight: float
    dtype: np.dtype
    mean: Array
    target_mean: Array
    scatter: Array
    cross: Array
    target_scatter: Array

    @property
    def mean_square(self) -> float:
        """Weighted mean of |phi|^2, the mean diagonal of the features' Gram matrix."""
        return float(np.trace(self.scatter) / self.weight + self.mean @ self.mean)

    def solve(self, ridge: float | npt.ArrayLike) -> tuple[Array, Array]:
        r"""Ridge regression with an intercept, which is not penalised: :math:`(A + \lambda I)^{-1} B`.

        Parameters
        ----------
        ridge : float, or array-like of shape (r,)
            At least 0. Of several, the one of the smallest `RidgePath.gcv`, summed over outputs; those that are too
            small to solve with are passed over.

        Returns
        -------
        coefficients : ndarray of shape (m, o)
        intercept : ndarray of shape (o,)

        Raises
        ------
        numpy.linalg.LinAlgError
            If A with its ridge is not positive definite in float64.

        Notes
        -----
        m^3 / 3 operations, 8 m^2 bytes more; for several ridges those of `path`.
        """
        self._require_rows()
        ridges = np.asarray(ridge, dtype=np.float64)
        if ridges.size == 1:
            coefficients = cho_solve((triangle.factor(self.scatter, ridges.item()), False), self.cross)
            return coefficients, self.target_mean - self.mean @ coefficients
        path = self.path(ridges[self.solvable(ridges)])
        best = int(np.argmin(path.gcv.sum(axis=1)))
        return path.coefficients[best], path.intercepts[best]

    def solvable(self, ridges: Array) -> np.ndarray:
        """Positions of the ridges with which the sums, as rounding left them, are positive definite.

        Products of float32 features may fail to be so by themselves, and too small a ridge does not mend it. The
        largest ridge is not tried. Cost: m^3 / 3 operations for each one tried, the smallest first, until one does.
        """
        self._require_rows()
        least, *larger = np.sort(ridges)
        for larger_one in larger:
            try:
                triangle.factor(self.scatter, least)
                break
            except np.linalg.LinAlgError:
                least = larger_one
        return np.flatnonzero(ridges >= least)

    def path(self, ridges: npt.ArrayLike) -> RidgePath:
        """Ridge regression for one or several ridges, with leave-one-out residuals and effective dimensions.

        Parameters
        ----------
        ridges : array-like of shape (r,)

        Raises
        ------
        numpy.linalg.LinAlgError
            As for `solve`.

        Notes
        -----
        One ridge: 2 m^3 / 3 operations; several: about 9 m^3, and 24 m^2 bytes more.
        """
        self._require_rows()
        values = np.atleast_1d(np.asarray(ridges, dtype=np.float64))
        if len(values) == 1:
            (trtri,) = get_lapack_funcs(("trtri",), (self.scatter,))
            inverse, _ = trtri(triangle.factor(self.scatter, values[0]), overwrite_c=1)
            determinant = -2 * np.log(np.diagonal(inverse)).sum()
            return RidgePath(self, values, inverse, np.ones((1, len(self.mean))), np.array([determinant]))
        eigenvalues, basis = eigh(self.scatter, lower=True, check_finite=False, driver="evd")
        rates = eigenvalues + np.array([system.as_ridge(value) for value in values])[:, None]
        # Without a ridge only the size of an eigenvalue tells that it is 0; with one it need but be positive.
        noise = np.where(values > 0, 8, len(eigenvalues)) * np.finfo(np.float64).eps * abs(eigenvalues[-1])
        if (rates.min(axis=1) <= noise).any():
            raise system.singular(f"its smallest eigenvalue is {rates.min():.3g}", values.min())
        return RidgePath(self, values, basis, 1 / rates, np.log(rates).sum(axis=1))

    def _require_rows(self) -> None:
        if not self.weight:
            raise ValueError("no rows of positive weight were seen: call update first")
