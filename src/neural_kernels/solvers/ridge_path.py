"""Ridge regressions on the same moments, for one or several ridges, and what they say of rows and targets."""

from __future__ import annotations

from typing import Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt

from neural_kernels.runtime.types import Array
from neural_kernels.solvers import system, triangle
from neural_kernels.solvers.evidence import Evidence


@runtime_checkable
class CentredSums(Protocol):
    """What is solved with: the attributes of `Moments` that a path reads."""

    weight: float
    dtype: np.dtype
    mean: Array
    target_mean: Array
    cross: Array
    target_scatter: Array


class RidgePath:
    r"""Ridge regressions on the same moments, :math:`(A + \lambda_r I)^{-1} = T \mathrm{diag}(g_r) T^T`.

    Parameters
    ----------
    moments : Moments
    ridges : ndarray of shape (r,)
    basis : ndarray of shape (m, m)
        T: eigenvectors, or for one ridge the inverse of a Cholesky factor, upper triangular.
    response : ndarray of shape (r, m)
        g.
    log_determinants : ndarray of shape (r,)
        :math:`\log |A + \lambda_r I|`.

    Attributes
    ----------
    coefficients : ndarray of shape (r, m, o)
    intercepts : ndarray of shape (r, o)
    effective_dimension : ndarray of shape (r,)
        :math:`\mathrm{tr}\, A (A + \lambda_r I)^{-1}`.
    """

    def __init__(self, moments: CentredSums, ridges: Array, basis: Array, response: Array, log_determinants: Array):
        projected = basis.T @ moments.cross
        self.coefficients = np.stack([basis @ (g[:, None] * projected) for g in response])
        self.intercepts = moments.target_mean - moments.mean @ self.coefficients
        self.effective_dimension = len(basis) - ridges * (response @ np.einsum("ij,ij->j", basis, basis))
        self._moments, self._response, self._basis = moments, response, basis.astype(moments.dtype)
        self._ridges, self._log_determinants = ridges, log_determinants

    @property
    def gcv(self) -> Array:
        r"""Generalised cross-validation: the mean squared leave-one-out residual, told without the rows [1]_.

        .. math:: \frac{W \sum_i w_i (y_i - f(x_i))^2}{(W - 1 - d_\lambda)^2}, \qquad
           d_\lambda = \mathrm{tr}\, A (A + \lambda I)^{-1},

        as if every row had the same leverage. Weights count rows. Infinite where :math:`1 + d_\lambda \ge W`, of
        models that go through all targets.

        Returns
        -------
        ndarray of shape (r, o)

        References
        ----------
        .. [1] G. Golub, M. Heath, G. Wahba, "Generalized cross-validation as a method for choosing a good ridge
           parameter", 1979.
        """
        c, ridges, moments = self.coefficients, self._ridges[:, None], self._moments
        fitted = np.einsum("mo,rmo->ro", moments.cross, c) + ridges * np.square(c).sum(axis=1)
        lost = np.maximum(moments.target_scatter - fitted, 0)
        left = (moments.weight - 1 - self.effective_dimension)[:, None]
        # What is left of the rows is known to rounding of their number.
        known = left > 8 * np.finfo(np.float64).eps * moments.weight
        return np.where(known, moments.weight * lost / np.where(known, left, 1) ** 2, np.inf)

    @property
    def evidence(self) -> Evidence:
        r"""Marginal likelihood of the targets, less their mean, as a linear model with normal coefficients and noise.

        The coefficients have the variance a, the noise the variance :math:`a \lambda`: a Gaussian process whose
        kernel is the inner product of the centred features. Weights count rows.

        .. math:: a = \frac{1}{W \lambda} \Bigl( s - B^T (A + \lambda I)^{-1} B \Bigr), \qquad
           |K + \lambda I| = |A + \lambda I| \, \lambda^{W - m}.

        Returns
        -------
        Evidence
            Of amplitudes of shape (r, o).

        Raises
        ------
        ValueError
            If a ridge is 0.
        """
        if (self._ridges == 0).any():
            raise ValueError("the marginal likelihood needs a ridge above 0, the noise of the targets")
        weight, m = self._moments.weight, len(self._moments.mean)
        lost = self._moments.target_scatter - np.einsum("mo,rmo->ro", self._moments.cross, self.coefficients)
        found = [
            Evidence.profiled(misfit / ridge, float(determinant), float(ridge), weight, m)
            for misfit, ridge, determinant in zip(lost, self._ridges, self._log_determinants, strict=True)
        ]
        return Evidence(np.stack([e.amplitude for e in found]), np.stack([e.log_likelihood for e in found]))

    def leverage(self, features: np.ndarray) -> Array:
        r"""How far rows are from those seen: :math:`\frac 1 W + (\phi - \mu)^T (A + \lambda I)^{-1} (\phi - \mu)`.

        Times the noise variance, it is the posterior variance of :math:`b + c \cdot \phi`, whose intercept b has a
        flat prior.

        Parameters
        ----------
        features : ndarray of shape (n, m)

        Returns
        -------
        ndarray of shape (r, n)
        """
        return self._response @ np.square(self._rotate(self._centred(features))).T.astype(np.float64) + self._flat

    def covariance(self, features: np.ndarray) -> Array:
        """The same for pairs of rows, (n, n), for the only ridge."""
        if len(self._response) != 1:
            raise ValueError(f"covariance: expected a path of one ridge, got {len(self._response)}")
        rotated = self._rotate(self._centred(features)).astype(np.float64)
        rotated *= np.sqrt(self._response[0])
        result = rotated @ rotated.T
        result += self._flat
        return result

    def draw(self, n_samples: int, generator: np.random.RandomState) -> tuple[Array, Array]:
        """Draw what coefficients and intercepts differ by from those found, for the only ridge and a noise of 1.

        Returns
        -------
        coefficients : ndarray of shape (m, n_samples)
        intercepts : ndarray of shape (n_samples,)
            The outputs' covariances are those of `covariance`, exactly; 2 m^2 operations a sample.
        """
        if len(self._response) != 1:
            raise ValueError(f"draw: expected a path of one ridge, got {len(self._response)}")
        normal = generator.standard_normal((len(self._basis) + 1, n_samples))
        scaled = np.sqrt(self._response[0])[:, None] * normal[:-1]
        coefficients = self._basis @ scaled.astype(self._basis.dtype)
        return coefficients.astype(np.float64), np.sqrt(self._flat) * normal[-1] - self._moments.mean @ coefficients

    @property
    def _flat(self) -> float:
        return 1 / self._moments.weight

    def _centred(self, features: np.ndarray) -> np.ndarray:
        return features - self._moments.mean.astype(features.dtype)

    def loo_residuals(self, features: np.ndarray, targets: np.ndarray, weights: npt.ArrayLike | None = None) -> Array:
        r"""Exact residuals of rows that the moments have seen, each predicted without itself; the ridge stays.

        .. math:: \frac{y_i - f(x_i)}{1 - h_i}, \qquad h_i = w_i \Bigl( \frac 1 W +
           (\phi_i - \mu)^T (A + \lambda I)^{-1} (\phi_i - \mu) \Bigr).

        Parameters
        ----------
        features : ndarray of shape (n, m)
        targets : ndarray of shape (n, o)
        weights : array-like of shape (n,), optional

        Returns
        -------
        ndarray of shape (r, n, o)

        Notes
        -----
        2 n m^2 operations, for one ridge half of them, in the precision of the features, to which :math:`1 - h_i` is
        known: with float32 features and next to no ridge that is rounding.
        """
        w, moments = system.as_weights(weights, len(targets)), self._moments
        centred = self._centred(features)
        leverage = self._response @ np.square(self._rotate(centred)).T.astype(np.float64) + self._flat
        left = np.maximum(1 - w * leverage, 8 * np.finfo(features.dtype).eps)
        return (targets - moments.target_mean - centred @ self.coefficients) / left[..., None]

    def _rotate(self, centred: np.ndarray) -> np.ndarray:
        if len(self.coefficients) > 1:
            return centred @ self._basis
        strips = triangle.strips(len(self._basis))  # the inverse of a Cholesky factor is triangular
        return np.hstack([centred[:, : part.stop] @ self._basis[: part.stop, part] for part in strips])
