"""Distinct rows in a random order that is their own."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose, assert_array_equal
from scipy import sparse

from neural_kernels.features.distinct import distinct, held_out


def test_uniform_landmarks_are_uniform():
    x = torch.from_numpy(np.random.default_rng(0).standard_normal((20, 3)))
    counts = np.bincount(np.concatenate([distinct(x, seed)[:5] for seed in range(1000)]), minlength=20)
    assert_allclose(counts / 1000, 0.25, atol=4 * np.sqrt(0.25 * 0.75 / 1000))


def test_hashes_tell_rows_apart():
    x = np.array([[0.0, 1.0], [1.0, 0.0], [0.0, -0.0], [-0.0, 1.0], [1.0, 1.0], [-1.0, 1.0], [2.0, 1.0], [1e-40, 1.0]])
    assert sorted(distinct(torch.from_numpy(x), 0)) == [0, 1, 2, 4, 5, 6, 7]
    integers = np.random.default_rng(0).permutation(200_000)[:, None]
    assert len(distinct(torch.from_numpy(integers.astype(np.float64)), 0)) == 200_000


def rows(n=40, d=5):
    """Some entries are 0, and float32 holds all of them."""
    x = np.random.default_rng(0).standard_normal((n, d)).astype(np.float32).astype(np.float64)
    return x * (np.random.default_rng(1).random((n, d)) > 0.3)


def test_the_order_is_the_rows_own():
    """Whatever the order, the copies, the precision, the sparsity of the data."""
    x = rows()
    expected = x[distinct(torch.from_numpy(x), 3)]
    for other in (x[np.random.default_rng(2).permutation(40)], np.vstack([x, x[::-1], x[5:9]])):
        assert_array_equal(other[distinct(torch.from_numpy(other), 3)], expected)
    for same in (torch.from_numpy(x).float(), sparse.csr_matrix(x), torch.from_numpy(x).requires_grad_()):
        assert_array_equal(x[distinct(same, 3)], expected)
    assert_array_equal(distinct(torch.from_numpy(x.reshape(40, 1, 5)), 3), distinct(torch.from_numpy(x), 3))
    assert not np.array_equal(x[distinct(torch.from_numpy(x), 4)], expected)


def test_the_first_of_copies_is_named():
    x = np.repeat(rows(5), 4, axis=0)
    assert sorted(distinct(torch.from_numpy(x), 0)) == [0, 4, 8, 12, 16]


def test_samples_of_parts_merge_into_a_sample_of_the_whole():
    x = rows()
    parts = np.vstack([part[distinct(torch.from_numpy(part), 0)[:6]] for part in (x[:20], x[20:])])
    merged = parts[distinct(torch.from_numpy(parts), 0)[:6]]
    assert_array_equal(merged, x[distinct(torch.from_numpy(x), 0)[:6]])


@pytest.mark.parametrize(("count", "expected"), [(0, 8), (79, 8), (90, 9), (1000, 100), (10**6, 200)])
def test_rows_to_measure_by(count, expected):
    assert held_out(count) == expected
