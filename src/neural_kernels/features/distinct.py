"""Distinct rows in an order that is random but the rows' own: the same for any order of the data, dense or sparse."""

from __future__ import annotations

from typing import Any

import numpy as np
from torch import Tensor

_BLOCK = 2**20  # numbers at a time


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
    The hash is a sum over columns of mixed bits, of which zeros contribute nothing; float64 is rounded to float32's
    digits, so that both precisions of the same data agree. Two rows share one by chance with probability 2^-64.
    """
    rows = rows.flatten(1) if isinstance(rows, Tensor) else rows
    key = np.random.default_rng(seed).integers(2**64, size=rows.shape[1] + 1, dtype=np.uint64)
    hashes = _mix(key[0] + (_dense(rows, key[1:]) if isinstance(rows, Tensor) else _sparse(rows, key[1:])))
    return np.unique(hashes, return_index=True)[1]


def held_out(count: int) -> int:
    """How many of `count` distinct rows, the last in their order, methods do not learn from if others are left.

    By these rows the error of a map is measured.
    """
    return min(200, max(8, count // 10))


def _dense(rows: Tensor, key: np.ndarray) -> np.ndarray:
    step = max(1, _BLOCK // len(key))
    blocks = (block.detach().cpu().double().numpy() for block in rows.split(step))
    return np.concatenate([_contribution(block, key).sum(axis=1, dtype=np.uint64) for block in blocks])


def _sparse(rows: Any, key: np.ndarray) -> np.ndarray:
    terms = _contribution(rows.data.astype(np.float64), key[rows.indices])
    ends = np.concatenate([np.zeros(1, np.uint64), np.cumsum(terms, dtype=np.uint64)])
    return ends[rows.indptr[1:]] - ends[rows.indptr[:-1]]


def _contribution(values: np.ndarray, key: np.ndarray) -> np.ndarray:
    bits = (values.view(np.uint64) + np.uint64(2**28)) >> np.uint64(29)  # rounded to the 24 bits of float32
    return np.where(values == 0, np.uint64(0), _mix(bits ^ key))


def _mix(bits: np.ndarray) -> np.ndarray:
    """Make every bit depend on all others (the finaliser of splitmix64)."""
    for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):
        bits = (bits ^ (bits >> np.uint64(shift))) * np.uint64(factor)
    return bits ^ (bits >> np.uint64(31))
