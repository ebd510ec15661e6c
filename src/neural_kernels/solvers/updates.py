"""Cholesky factors of matrices with rows more or fewer: updates, in place of a factorisation."""

from __future__ import annotations

import numpy as np
from scipy.linalg import cholesky, solve_triangular

from neural_kernels.runtime.types import Array

_BLOCK = 32  # columns at a time, at least


def worth_an_update(n: int, removed: int) -> bool:
    """Whether a factor of n rows is sooner updated for so many that are taken out than computed: 4 n^2 k < n^3 / 3."""
    return 12 * removed < n


def without_rows(matrix: Array, rows: np.ndarray) -> Array:
    r"""The matrix without some rows and their columns, the factor in its lower triangle updated.

    .. math:: L'_{KK} L'^T_{KK} = L_{KK} L_{KK}^T + L_{KR} L_{KR}^T

    for the rows K that stay and R that go. A product is added, by orthogonal transformations, so that no digits are
    lost, however close the matrix is to a singular one.

    Parameters
    ----------
    matrix : ndarray of shape (n, n)
        With a lower triangular factor L in its lower triangle.
    rows : ndarray of int, ascending

    Returns
    -------
    ndarray of shape (n - len(rows), n - len(rows))
        New, in Fortran's order; above the diagonal what was there.

    Notes
    -----
    About 4 n^2 k operations for k rows, fewer if they are the last ones.
    """
    kept = np.delete(np.arange(len(matrix)), rows)
    remaining = np.empty((len(kept),) * 2, order="F")
    for place, column in enumerate(kept):  # a fifth of the time that one index takes
        remaining[:, place] = matrix[kept, column]
    _add_product(remaining, np.where(kept[:, None] > rows, matrix[np.ix_(kept, rows)], 0))
    return remaining


def joined_factor(factor: Array, cross: Array, corner: Array) -> tuple[Array, Array]:
    """The last rows of the factor of a matrix with k more rows.

    Parameters
    ----------
    factor : ndarray of shape (n, n)
        L, in the lower triangle; the other is not read.
    cross : ndarray of shape (k, n)
        The new rows.
    corner : ndarray of shape (k, k)
        And what they have in common.

    Returns
    -------
    below : ndarray of shape (k, n)
    last : ndarray of shape (k, k)
        Lower triangular.

    Raises
    ------
    numpy.linalg.LinAlgError
        The matrix is not positive definite.

    Notes
    -----
    n^2 k + n k^2 operations.
    """
    below = solve_triangular(factor, cross.T, lower=True, check_finite=False).T
    return below, cholesky(corner - below @ below.T, lower=True, check_finite=False)


def _add_product(matrix: Array, added: Array) -> None:
    """Have in the lower triangle the factor of L L^T + U U^T; U, shape (n, k), is overwritten.

    Block by block of columns, [L U] is turned into [L' 0]; the rows below are turned with it.
    """
    n, k = added.shape
    if not added.any():
        return
    size = max(_BLOCK, k)
    for start in range(int(np.flatnonzero(added.any(axis=1))[0]), n, size):
        here, below = slice(start, start + size), slice(start + size, None)
        corner = matrix[here, here]
        m = len(corner)
        turn, triangle = np.linalg.qr(np.hstack([np.tril(corner), added[here]]).T, mode="complete")
        sign = np.where(np.diagonal(triangle) < 0, -1.0, 1.0)
        corner[...] = np.tril((triangle[:m] * sign[:, None]).T) + np.triu(corner, 1)
        turned = np.hstack([matrix[below, here], added[below]]) @ turn
        matrix[below, here], added[below] = turned[:, :m] * sign, turned[:, m:]
