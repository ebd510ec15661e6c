"""Pivots of randomly pivoted Cholesky, on kernels given by tables."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose
from scipy import sparse

from neural_kernels.solvers.rpcholesky import pivots


def scaled_gram():
    """The Gram matrix of six points in the plane, much correlated and of very different variances."""
    x = np.random.default_rng(0).standard_normal((6, 2))
    scale = np.arange(1, 7)
    return np.exp(-0.1 * np.square(x[:, None] - x).sum(-1)) * scale[:, None] * scale


class Table:
    """A kernel of row numbers, by look-up."""

    def __init__(self, gram):
        self.gram = gram

    def __call__(self, x1, x2):
        return self.gram[x1.long()[:, 0]][:, x2.long()[:, 0]]

    def diag(self, x):
        return self.gram.diagonal()[x.long()[:, 0]]


def test_pivots_follow_the_distribution_of_randomly_pivoted_cholesky():
    gram, pairs, draws = scaled_gram(), np.zeros((6, 6)), 1000
    kernel = Table(torch.from_numpy(gram))
    for seed in range(draws):
        first, second = pivots(kernel, torch.arange(6.0)[:, None], 2, np.random.default_rng(seed))
        pairs[first, second] += 1 / draws
    expected = np.zeros((6, 6))
    for i in range(6):
        left = np.diagonal(gram) - gram[i] ** 2 / gram[i, i]
        left[i] = 0
        expected[i] = gram[i, i] / np.trace(gram) * left / left.sum()
    assert_allclose(pairs, expected, atol=4 * 0.5 / np.sqrt(draws))


@pytest.mark.parametrize("make", [np.asarray, torch.from_numpy, sparse.csr_matrix])
def test_drawing_stops_at_the_rank(make):
    x = np.random.default_rng(0).standard_normal((50, 3))
    kernel = Linear()
    chosen = pivots(kernel, make(x), 20, np.random.default_rng(0))
    assert len(set(chosen)) == len(chosen) == 3
    assert len(pivots(kernel, make(0 * x), 20, np.random.default_rng(0))) == 0


class Linear:
    """x.y of dense or sparse rows."""

    def __call__(self, x1, x2):
        product = x1 @ x2.T
        return product.toarray() if sparse.issparse(product) else product

    def diag(self, x):
        return np.square(x.toarray() if sparse.issparse(x) else np.asarray(x)).sum(1)


def test_far_rows_of_a_cluster_come_first():
    """One cluster of many rows and ten rows far off: 11 pivots leave little, and each row is drawn once."""
    rng = np.random.default_rng(0)
    x = np.concatenate([0.01 * rng.standard_normal((200, 2)), 10 + 10 * np.arange(20.0).reshape(10, 2)])
    gram = np.exp(-np.square(x[:, None] - x).sum(-1))
    table = Table(torch.from_numpy(gram))
    for seed in range(5):
        chosen = pivots(table, torch.arange(210.0)[:, None], 30, np.random.default_rng(seed))
        assert len(set(chosen)) == len(chosen)
        assert set(range(200, 210)) <= set(chosen)
        left = gram - gram[:, chosen] @ np.linalg.pinv(gram[np.ix_(chosen, chosen)]) @ gram[chosen]
        assert np.trace(left) < 1e-2
