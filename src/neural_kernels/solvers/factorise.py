"""One triangle of a matrix: its Cholesky factorisation, the other left alone, and its copy in the other."""

from __future__ import annotations

import numpy as np
import torch
from scipy.linalg import get_lapack_funcs

from neural_kernels.runtime.types import Array

_WHOLE = 12288  # rows of a matrix that LAPACK takes as it is
_PANEL = 1024  # columns at a time of a larger one
_TILE = 128  # rows and columns that are copied at a time: two of them stay in the cache


def factorise_lower(matrix: Array) -> int:
    """Put the Cholesky factor of a symmetric matrix into its lower triangle; what lies above stays.

    Parameters
    ----------
    matrix : ndarray of shape (n, n), float64
        In Fortran's order. Only its lower triangle is read. Overwritten.

    Returns
    -------
    int
        0, or the order of a leading minor that is not positive.

    Notes
    -----
    n^3 / 3 operations; for a large matrix also the memory of one panel. The `potrf` of the OpenBLAS that SciPy comes
    with ends the process by a segmentation fault at n = 16,384 with two threads: it gets small matrices and corners,
    and torch makes the products.
    """
    n = len(matrix)
    size = n if n <= _WHOLE else _PANEL
    (potrf,) = get_lapack_funcs(("potrf",), (matrix,))
    for start in range(0, n, size):
        corner = matrix[start : start + size, start : start + size]
        factor, failed = potrf(corner, lower=1, clean=0, overwrite_a=1)  # clean=0: with what lies above
        if failed:
            return start + int(failed)
        corner[...] = factor  # itself, where LAPACK needed no copy
        _eliminate(matrix[start:, start:], size)
    return 0


def _eliminate(matrix: Array, size: int) -> None:
    """Solve for what lies below a corner that is factorised, and take its products off the rest."""
    whole = torch.from_numpy(matrix)
    below, rest = whole[size:, :size], whole[size:, size:]
    if not len(below):
        return
    panel = torch.linalg.solve_triangular(whole[:size, :size].mT, below, upper=True, left=False)
    below.copy_(panel)
    for first in range(0, len(rest), size):
        last = first + size
        rows = panel[first:last]
        rest[first:last, first:last] -= (rows @ rows.mT).tril_()
        rest[last:, first:last].addmm_(panel[last:], rows.mT, alpha=-1)


def mirror_lower(matrix: Array) -> None:
    """Write the strict lower triangle into the upper one, tile by tile."""
    starts = range(0, len(matrix), _TILE)
    for i in starts:
        rows = slice(i, i + _TILE)
        for j in starts[: i // _TILE]:
            columns = slice(j, j + _TILE)
            matrix[columns, rows] = matrix[rows, columns].T
        tile = matrix[rows, rows]
        tile[...] = np.tril(tile) + np.tril(tile, -1).T
