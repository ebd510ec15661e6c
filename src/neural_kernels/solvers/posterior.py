"""Covariances of infinitely wide networks and of Gaussian processes, given the weights of their mean."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from neural_kernels.runtime.types import Array

_STRIP = 256  # rows at a time


def gp_covariance(prior: npt.ArrayLike, cross: npt.ArrayLike, weights: npt.ArrayLike) -> Array:
    r"""Posterior covariance of a Gaussian process, or of an ensemble whose last layer is trained.

    .. math:: K_{**} - A K_*^T, \qquad A = K_* (K + \lambda)^{-1}.

    At training time t the ensemble's is the same with A at time 2 t, :math:`A = K_* (K + \lambda)^{-1} (I - E^2)`.

    Parameters
    ----------
    prior : array-like of shape (m, m) or (m,)
        :math:`K_{**}`, or its diagonal if only variances are wanted.
    cross : array-like of shape (m, n)
        :math:`K_*`, test against training examples.
    weights : array-like of shape (m, n)
        A: ``solver.solve(cross.T).T``.

    Returns
    -------
    ndarray of the shape of prior
        Variances are at least 0 (rounding is cut off); covariances are exactly symmetric.

    Notes
    -----
    Time m^2 n for covariances, m n for variances.

    References
    ----------
    .. [1] C. Rasmussen, C. Williams, "Gaussian Processes for Machine Learning", 2006, eq. 2.24.

    Examples
    --------
    >>> import numpy as np
    >>> from neural_kernels.solvers import CholeskyRidge, gp_covariance
    >>> solver = CholeskyRidge(np.eye(2), ridge=1.0)
    >>> cross = np.array([[1.0, 0.0]])
    >>> gp_covariance([1.0], cross, solver.solve(cross.T).T)
    array([0.5])
    """
    prior, cross, a = _arrays(prior, cross, weights)
    if prior.ndim == 1:
        return np.maximum(prior - np.einsum("ij,ij->i", a, cross), 0)
    covariance = a @ cross.T
    return _symmetric(np.subtract(prior, covariance, out=covariance))


def ensemble_covariance(
    prior: npt.ArrayLike, cross: npt.ArrayLike, train: npt.ArrayLike, weights: npt.ArrayLike
) -> Array:
    r"""Covariance of an ensemble of infinitely wide networks after gradient descent in all layers.

    .. math:: K_{**} + A K A^T - A K_*^T - K_* A^T, \qquad A = \Theta_* (\Theta + \lambda)^{-1} (I - E),

    with K the NNGP kernel, from which initial networks are drawn, and :math:`\Theta` the NTK, which trains them.

    Parameters
    ----------
    prior : array-like of shape (m, m) or (m,)
        :math:`K_{**}`, or its diagonal if only variances are wanted.
    cross : array-like of shape (m, n)
        :math:`K_*`, NNGP of test against training examples.
    train : array-like of shape (n, n)
        K, NNGP of the training examples, without a ridge.
    weights : array-like of shape (m, n)
        A: ``solver.solve(ntk_cross.T).T`` with a solver of the NTK, at any training time.

    Returns
    -------
    ndarray of the shape of prior
        Variances are at least 0 (rounding is cut off); covariances are exactly symmetric.

    Notes
    -----
    Time m n^2, and m^2 n for covariances.

    References
    ----------
    .. [1] J. Lee et al., "Wide neural networks of any depth evolve as linear models under gradient descent", 2019,
       arXiv:1902.06720, eq. 16.

    Examples
    --------
    >>> ensemble_covariance([1.0], [[0.5, 0.0]], [[1.0, 0.0], [0.0, 1.0]], [[0.5, 0.0]])
    array([0.75])
    """
    prior, cross, a = _arrays(prior, cross, weights)
    inner = product(np.asarray(train), a.T).T
    inner -= cross
    inner -= cross
    if prior.ndim == 1:
        return np.maximum(prior + np.einsum("ij,ij->i", inner, a), 0)
    covariance = _symmetric(inner @ a.T)
    covariance += prior
    return covariance


def product(matrix: np.ndarray, columns: Array) -> Array:
    """A matrix times columns in float64; of a matrix in float32 no copy is made, but of some rows at a time."""
    result = np.empty((len(matrix), columns.shape[1]))
    for start in range(0, len(matrix), _STRIP):
        rows = slice(start, start + _STRIP)
        np.matmul(matrix[rows].astype(np.float64, copy=False), columns, out=result[rows])
    return result


def _arrays(prior: npt.ArrayLike, cross: npt.ArrayLike, weights: npt.ArrayLike) -> tuple[Array, Array, Array]:
    k_tt, k_td, a = (np.asarray(value, dtype=np.float64) for value in (prior, cross, weights))
    m = len(k_td)
    if k_td.ndim != 2 or a.shape != k_td.shape or k_tt.shape not in ((m,), (m, m)):
        raise ValueError(
            f"shapes prior {k_tt.shape}, cross {k_td.shape}, weights {a.shape}: expected (m, m) or (m,), (m, n), (m, n)"
        )
    return k_tt, k_td, a


def _symmetric(matrix: Array) -> Array:
    """The mean of a matrix and its transpose, in the place of the matrix, strip by strip."""
    for start in range(0, len(matrix), _STRIP):
        rows, rest = slice(start, start + _STRIP), slice(start, None)
        strip = (matrix[rows, rest] + matrix[rest, rows].T) / 2
        matrix[rows, rest], matrix[rest, rows] = strip, strip.T
    return matrix
