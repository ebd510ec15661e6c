"""Ridge regression in one pass over the data: sums of products of features, whatever their number of rows."""

from __future__ import annotations

from copy import deepcopy

import numpy as np
import numpy.typing as npt
import torch
from scipy.linalg import cho_solve, eigh, get_lapack_funcs

from neural_kernels.runtime.types import Array
from neural_kernels.solvers import system
from neural_kernels.solvers.ridge_path import RidgePath

_STRIP = 1024  # columns of a product at a time


class Moments:
    r"""Weighted means and centred products of features and targets, all that ridge regression needs of the data.

    .. math:: W = \sum_i w_i, \quad \mu = \frac 1 W \sum_i w_i \phi_i, \quad
       A = \sum_i w_i (\phi_i - \mu)(\phi_i - \mu)^T, \quad B = \sum_i w_i (\phi_i - \mu)(y_i - \bar y)^T, \quad
       s = \sum_i w_i (y_i - \bar y)^2.

    Blocks of rows come in one after the other (`update`), or from other machines (`merge`); both combine two parts
    by [1]_

    .. math:: A = A_1 + A_2 + \frac{W_1 W_2}{W_1 + W_2} \delta \delta^T, \qquad \delta = \mu_2 - \mu_1,

    so that nothing large is ever subtracted. Products of a block are made in the precision of its features and summed
    in float64.

    Parameters
    ----------
    n_features : int
        m.
    n_outputs : int
        o.

    Attributes
    ----------
    weight : float
        W.
    mean : ndarray of shape (m,)
        Of the features.
    target_mean : ndarray of shape (o,)
    scatter : ndarray of shape (m, m)
        A; its lower triangle only.
    cross : ndarray of shape (m, o)
        B.
    target_scatter : ndarray of shape (o,)
        s, of every output.
    dtype : dtype
        Of the features seen last.

    Notes
    -----
    An update of r rows costs r m^2 operations and one pass over A: blocks of some thousand rows are best. Memory: the
    8 m^2 bytes of A.

    References
    ----------
    .. [1] T. Chan, G. Golub, R. LeVeque, "Updating formulae and a pairwise algorithm for computing sample variances",
       1979.

    Examples
    --------
    >>> import numpy as np
    >>> from neural_kernels.solvers.moments import Moments
    >>> features, targets = np.array([[1.0], [2.0], [4.0]]), np.array([[1.0], [2.0], [3.0]])
    >>> moments = Moments(1, 1).update(features[:2], targets[:2]).update(features[2:], targets[2:])
    >>> coefficients, intercept = moments.solve(ridge=0.5)
    >>> coefficients.round(4), intercept.round(4)
    (array([[0.5806]]), array([0.6452]))
    """

    def __init__(self, n_features: int, n_outputs: int):
        self.weight, self.dtype = 0.0, np.dtype(np.float64)
        self.mean, self.target_mean = np.zeros(n_features), np.zeros(n_outputs)
        self.scatter, self.cross = np.zeros((n_features, n_features)), np.zeros((n_features, n_outputs))
        self.target_scatter = np.zeros(n_outputs)

    def copy(self) -> Moments:
        """The same, to go on from."""
        return deepcopy(self)

    def scaled(self, factor: float) -> Moments:
        """Moments of the same rows with so many times their weight, a positive number."""
        other = self.copy()
        other.weight, other.target_scatter = factor * self.weight, factor * self.target_scatter
        other.scatter *= factor
        other.cross *= factor
        return other

    def with_outputs(self, place: np.ndarray, n_outputs: int, value: float) -> Moments:
        """Moments of the same rows with more targets, of which all rows so far had one value; A is shared.

        Parameters
        ----------
        place : ndarray of shape (o,), int
            Where among the new outputs the present ones stand.
        n_outputs : int
        value : float
            Of the others.
        """
        wider = Moments(0, n_outputs)
        wider.weight, wider.dtype, wider.mean, wider.scatter = self.weight, self.dtype, self.mean, self.scatter
        wider.target_mean += value if self.weight else 0.0
        wider.cross = np.zeros((len(self.mean), n_outputs))
        wider.target_mean[place], wider.target_scatter[place] = self.target_mean, self.target_scatter
        wider.cross[:, place] = self.cross
        return wider

    @staticmethod
    def memory(n_features: int, ridges: int = 1) -> int:
        """Bytes that moments and solving for one ridge, or a path over several, take at their peak; without blocks."""
        return 8 * (4 if ridges > 1 else 3) * n_features**2

    def update(
        self,
        features: np.ndarray,
        targets: np.ndarray,
        weights: npt.ArrayLike | None = None,
        scatter: float | npt.ArrayLike = 0.0,
    ) -> Moments:
        """Take in rows.

        Parameters
        ----------
        features : ndarray of shape (r, m), float32 or float64
        targets : ndarray of shape (r, o)
        weights : array-like of shape (r,), optional
            Non-negative; default all 1.
        scatter : float or array-like of shape (o,)
            Where a row stands for copies: the weighted sum of squares of their targets about `targets`.

        Returns
        -------
        Moments
            Itself.

        Raises
        ------
        ValueError
            For other shapes, NaN or infinity, negative weights.
        """
        y, w = np.asarray(targets, dtype=np.float64), system.as_weights(weights, len(targets))
        self._check(features, y)
        total = w.sum()
        if total == 0:
            return self
        mean = np.concatenate([w @ features[:, part] for part in self.strips()]) / total
        target_mean = w @ y / total
        step, target_step, share = self._combine(total, mean, target_mean)
        root = np.sqrt(w)[:, None]
        # The step between the means is one more row, so that A is passed over once.
        rows = np.empty((len(w) + 1, len(mean)), features.dtype)
        np.multiply(features - mean.astype(rows.dtype), root.astype(rows.dtype), out=rows[:-1])
        rows[-1] = np.sqrt(share) * step
        left = np.vstack([root * (y - target_mean), np.sqrt(share) * target_step])
        for part in self.strips():
            self.scatter[part, : part.stop] += rows[:, part].T @ rows[:, : part.stop]
            self.cross[part] += rows[:, part].T @ left
        self.target_scatter += np.square(left).sum(axis=0) + scatter
        self.dtype = features.dtype
        return self

    def merge(self, other: Moments) -> Moments:
        """Take in what another one has seen, of the same features; returns itself."""
        if other.cross.shape != self.cross.shape:
            raise ValueError(f"moments of shapes {self.cross.shape} and {other.cross.shape} cannot be merged")
        if other.weight:
            step, target_step, share = self._combine(other.weight, other.mean, other.target_mean)
            for part in self.strips():
                self.scatter[part, : part.stop] += other.scatter[part, : part.stop]
                self.scatter[part, : part.stop] += share * np.outer(step[part], step[: part.stop])
            self.cross += other.cross + share * np.outer(step, target_step)
            self.target_scatter += other.target_scatter + share * np.square(target_step)
        return self

    def _combine(self, weight: float, mean: Array, target_mean: Array) -> tuple[Array, Array, float]:
        """Move the means; return the steps between them, and what their product counts."""
        step, target_step, total = mean - self.mean, target_mean - self.target_mean, self.weight + weight
        share = self.weight * weight / total
        self.mean = self.mean + weight / total * step
        self.target_mean = self.target_mean + weight / total * target_step
        self.weight = total
        return step, target_step, share

    def strips(self) -> list[slice]:
        """Slices of the features that are taken at a time."""
        m = len(self.mean)
        return [slice(start, min(start + _STRIP, m)) for start in range(0, m, _STRIP)]

    def _check(self, features: np.ndarray, y: Array) -> None:
        r, (m, o) = len(y), self.cross.shape
        if features.shape != (r, m) or y.shape != (r, o):
            raise ValueError(f"features {features.shape}, targets {y.shape}: expected (r, {m}), (r, {o})")
        if features.dtype not in (np.float32, np.float64) or not (np.isfinite(features).all() and np.isfinite(y).all()):
            raise ValueError("features and targets: expected finite numbers, features float32 or float64")

    @property
    def mean_square(self) -> float:
        """Weighted mean of |phi|^2, the mean diagonal of the features' Gram matrix."""
        return float(np.trace(self.scatter) / self.weight + self.mean @ self.mean)

    def solve(self, ridge: float) -> tuple[Array, Array]:
        r"""Ridge regression with an intercept, which is not penalised: :math:`(A + \lambda I)^{-1} B`.

        Parameters
        ----------
        ridge : float
            At least 0.

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
        m^3 / 3 operations, 8 m^2 bytes more.
        """
        coefficients = cho_solve((self._factor(ridge), False), self.cross)
        return coefficients, self.target_mean - self.mean @ coefficients

    def solvable(self, ridges: Array) -> np.ndarray:
        """Positions of the ridges with which the sums, as rounding left them, are positive definite.

        Products of float32 features may fail to be so by themselves, and too small a ridge does not mend it. The
        largest ridge is not tried. Cost: m^3 / 3 operations for each one tried, the smallest first, until one does.
        """
        least, *larger = np.sort(ridges)
        for larger_one in larger:
            try:
                self._factor(least)
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
            inverse, _ = trtri(self._factor(values[0]), overwrite_c=1)
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

    def _factor(self, ridge: float) -> Array:
        """U with U^T U = A + ridge."""
        self._require_rows()
        # By torch: OpenBLAS, which SciPy calls, dies of a segmentation fault at m = 16,384 with two threads.
        # The upper triangle of a matrix whose columns are contiguous, in which LAPACK works without another copy.
        matrix, info = torch.from_numpy(self.scatter.copy()).mT, torch.empty((), dtype=torch.int32)
        matrix.diagonal().add_(system.as_ridge(ridge))
        torch.linalg.cholesky_ex(matrix, upper=True, out=(matrix, info))
        if info:
            raise system.singular(f"the leading minor of order {int(info)} is not", ridge)
        return matrix.numpy()
