"""Symmetric matrices of which the lower triangle is held: strips of it, products added to it, and its factor."""

from __future__ import annotations

import numpy as np
import torch

from neural_kernels.runtime.products import multiply
from neural_kernels.runtime.types import Array
from neural_kernels.solvers import system

_STRIP = 512  # rows of the triangle at a time
_PART = 256  # rows whose products are summed in their own precision


def strips(m: int) -> list[slice]:
    """Slices of m rows or columns; the triangle is held in the rows of each, up to the last column of its square."""
    return [slice(start, min(start + _STRIP, m)) for start in range(0, m, _STRIP)]


def add_product(matrix: Array, rows: np.ndarray, step: Array) -> None:
    """Add rows^T rows and step step^T to a float64 matrix (m, m), strip by strip, products in the rows' precision.

    Costs little more than half of the whole product.

    Parameters
    ----------
    matrix : ndarray of shape (m, m)
    rows : ndarray of shape (r, m)
    step : ndarray of shape (m,)
    """
    m = len(matrix)
    factor, total, one = torch.from_numpy(rows), torch.from_numpy(matrix), torch.from_numpy(step.astype(rows.dtype))
    # NumPy asks the system for large pages: touching fresh memory for the first time would cost more than adding.
    room = torch.from_numpy(np.empty(min(_STRIP, m) * m, rows.dtype))
    for part in strips(m):
        product = room[: (part.stop - part.start) * part.stop].view(-1, part.stop)
        multiply(factor[:, part].T, factor[:, : part.stop], product)
        total[part, : part.stop] += product.addr_(one[part], one[: part.stop])


def copied(matrix: Array) -> Array:
    """The lower triangle in new memory, of which the rest is not touched, and 0."""
    result = np.zeros(matrix.shape)  # by calloc, which touches nothing
    for part in strips(len(matrix)):
        torch.from_numpy(result)[part, : part.stop].copy_(torch.from_numpy(matrix)[part, : part.stop])
    return result


def cross_products(left: Array, rows: np.ndarray) -> Array:
    """left^T rows, shape (k, m), of few columns (r, k) and rows (r, m): in their precision, in parts summed in float64.

    Rows in float64 would take a copy of twice their size.
    """
    r = len(rows) // _PART * _PART
    one, other = torch.from_numpy(left.astype(rows.dtype)), torch.from_numpy(rows)
    parts = one[:r].view(-1, _PART, left.shape[1]).mT, other[:r].view(-1, _PART, rows.shape[1])
    total = torch.bmm(*parts).sum(dim=0, dtype=torch.float64) + one[r:].T @ other[r:]
    return total.numpy()


def packed(matrix: Array) -> Array:
    """Row after row of the lower triangle in one vector, shape (m (m + 1) / 2,)."""
    m = len(matrix)
    vector = np.empty(m * (m + 1) // 2)
    for i, row in enumerate(matrix):
        vector[i * (i + 1) // 2 :][: i + 1] = row[: i + 1]
    return vector


def unpacked(vector: Array, m: int) -> Array:
    """The matrix (m, m) of which `packed` made the vector; 0 above the diagonal."""
    matrix = np.zeros((m, m))
    for i, row in enumerate(matrix):
        row[: i + 1] = vector[i * (i + 1) // 2 :][: i + 1]
    return matrix


def factor(matrix: Array, ridge: float) -> Array:
    """U, upper triangular in Fortran's order, with U^T U = A + ridge.

    Raises
    ------
    numpy.linalg.LinAlgError
        That is not positive definite in float64.
    """
    # By torch: OpenBLAS, which SciPy calls, dies of a segmentation fault at m = 16,384 with two threads.
    # The upper triangle of a matrix whose columns are contiguous, in which LAPACK works without another copy.
    upper, info = torch.from_numpy(matrix.copy()).mT, torch.empty((), dtype=torch.int32)
    upper.diagonal().add_(system.as_ridge(ridge))
    torch.linalg.cholesky_ex(upper, upper=True, out=(upper, info))
    if info:
        raise system.singular(f"the leading minor of order {int(info)} is not", ridge)
    return upper.numpy()
