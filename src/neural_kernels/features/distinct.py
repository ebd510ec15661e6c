"""Distinct rows in an order that is random but the rows' own: the same for any order of the data, dense or sparse."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from torch import Tensor

_BLOCK = 2**15  # numbers at a time, few enough for the cache


def distinct(rows: Any, seed: int) -> np.ndarray:
    """Positions of distinct rows, the first of each, in the order of a random hash of their values.

    The first m of them are a uniform sample without replacement, whatever the order of the rows, however often each
    occurs; a smaller hash wins anywhere, so samples of parts merge into a sample of the whole.

    Parameters
    ----------
    rows : Tensor, shape (n, d, ...), or CSR matrix, shape (n, d)
    seed : int

    Returns
    -------
    ndarray of shape (k,), int

    Notes
    -----
    float64 is rounded to float32's digits, so that both precisions of the same data agree.
    """
    return np.unique(row_hashes(rows, seed, rounded=True), return_index=True)[1]


def row_hashes(rows: Any, seed: int, *, rounded: bool = False) -> np.ndarray:
    """A random number for every row that depends on its values alone, dense or sparse: copies get the same.

    Parameters
    ----------
    rows : ndarray or Tensor, shape (n, d, ...), or CSR matrix, shape (n, d)
    seed : int
    rounded : bool
        To the digits of float32; otherwise rows that differ at all are told apart.

    Returns
    -------
    ndarray of shape (n,), uint64

    Notes
    -----
    A sum over columns of mixed bits, of which zeros contribute nothing. Two rows share it by chance with probability
    2^-64. Memory: 8 n bytes, and blocks of 2^15 numbers.
    """
    columns = math.prod(rows.shape[1:])
    key = np.random.default_rng(seed).integers(2**64, size=columns + 1, dtype=np.uint64)
    read = _dense if isinstance(rows, (Tensor, np.ndarray)) else _sparse
    return _mix(key[0] + read(rows, key[1:], rounded))


def held_out(count: int) -> int:
    """How many of `count` distinct rows, the last in their order, methods do not learn from if others are left.

    By these rows the error of a map is measured.
    """
    return min(200, max(8, count // 10))


def _dense(rows: Tensor | np.ndarray, key: np.ndarray, rounded: bool) -> np.ndarray:
    n, step = len(rows), max(1, _BLOCK // max(1, len(key)))
    blocks = (_as_float64(rows[start : start + step]).reshape(-1, len(key)) for start in range(0, n, step))
    sums = [_contribution(block, key, rounded).sum(axis=1, dtype=np.uint64) for block in blocks]
    return np.concatenate([np.empty(0, np.uint64), *sums])


def _as_float64(block: Tensor | np.ndarray) -> np.ndarray:
    if isinstance(block, Tensor):
        block = block.detach().cpu().double().numpy()
    return np.ascontiguousarray(block, dtype=np.float64)


def _sparse(rows: Any, key: np.ndarray, rounded: bool) -> np.ndarray:
    terms = _contribution(rows.data.astype(np.float64), key[rows.indices], rounded)
    ends = np.concatenate([np.zeros(1, np.uint64), np.cumsum(terms, dtype=np.uint64)])
    return ends[rows.indptr[1:]] - ends[rows.indptr[:-1]]


def _contribution(values: np.ndarray, key: np.ndarray, rounded: bool) -> np.ndarray:
    bits = values.view(np.uint64)
    if rounded:  # to the 24 bits of float32
        bits = (bits + np.uint64(2**28)) >> np.uint64(29)
    return np.where(values == 0, np.uint64(0), _mix(bits ^ key))


def _mix(bits: np.ndarray) -> np.ndarray:
    """Make every bit depend on all others (the finaliser of splitmix64)."""
    for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):
        bits = (bits ^ (bits >> np.uint64(shift))) * np.uint64(factor)
    return bits ^ (bits >> np.uint64(31))
