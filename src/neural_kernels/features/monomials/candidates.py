r"""Monomials drawn from the data: a row x with probability :math:`\sim c_p(x)^2`, and p coordinates by their squares.

So the ordered tuple i is drawn with probability :math:`|r_i|^2 / \sum_x c_p(x)^2`, where :math:`r_i` is its column on
the data, :math:`c_p(x) \prod_l x_{i_l}`. A monomial is a tuple without order, of which M draws take it in with
probability :math:`\pi = 1 - (1 - \mu |r_i|^2 / \sum_x c_p^2)^M`, for its :math:`\mu = p! / \prod_a e_a!` orders;
weighted with :math:`\mu / \pi` each one stands for those that were not drawn (Horvitz and Thompson 1952).
"""

from __future__ import annotations

import math

import numpy as np


def draw(unit, squares: np.ndarray, count: int, degree: int, rng: np.random.Generator) -> np.ndarray:
    """Draw monomials of one degree.

    Parameters
    ----------
    unit : scipy.sparse.csr_matrix, shape (n, d)
        Rows of norm 1.
    squares : ndarray, shape (n,)
        c_p(x)^2.
    count : int
        How many are drawn, M.
    degree : int
        p.
    rng : numpy.random.Generator

    Returns
    -------
    ndarray, shape (k, p)
        The distinct ones in lexicographic order, their coordinates ascending.
    """
    full = np.where(np.diff(unit.indptr) > 0, squares, 0) if degree else squares
    rows = rng.choice(len(full), count, p=full / full.sum())
    if not degree:
        return np.empty((1, 0), dtype=np.int64)
    ends = np.concatenate([[0.0], np.cumsum(np.square(unit.data))])
    low, high = unit.indptr[rows][:, None], unit.indptr[rows + 1][:, None]
    heights = ends[low] + rng.random((count, degree)) * (ends[high] - ends[low])
    places = np.clip(np.searchsorted(ends, heights, side="right") - 1, low, high - 1)
    return np.unique(np.sort(unit.indices[places].astype(np.int64), 1), axis=0)


def orders(monomials: np.ndarray) -> np.ndarray:
    """Count the orders of each, shape (k,): p! over the factorials of how often coordinates occur."""
    degree = monomials.shape[1]
    result, run = np.full(len(monomials), float(math.factorial(degree))), np.ones(len(monomials))
    for t in range(1, degree):
        run = np.where(monomials[:, t] == monomials[:, t - 1], run + 1, 1)
        result /= run
    return result


def included(probability: np.ndarray, count: int) -> np.ndarray:
    """Compute with which probability something is among so many draws, without cancellation."""
    with np.errstate(divide="ignore"):
        return -np.expm1(count * np.log1p(-np.minimum(probability, 1.0)))
