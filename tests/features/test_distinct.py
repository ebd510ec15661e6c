"""Distinct rows in a random order that is their own."""

from __future__ import annotations

import numpy as np
import torch
from numpy.testing import assert_allclose

from neural_kernels.features.distinct import distinct


def test_uniform_landmarks_are_uniform():
    x = torch.from_numpy(np.random.default_rng(0).standard_normal((20, 3)))
    counts = np.bincount(np.concatenate([distinct(x, seed)[:5] for seed in range(1000)]), minlength=20)
    assert_allclose(counts / 1000, 0.25, atol=4 * np.sqrt(0.25 * 0.75 / 1000))


def test_hashes_tell_rows_apart():
    x = np.array([[0.0, 1.0], [1.0, 0.0], [0.0, -0.0], [-0.0, 1.0], [1.0, 1.0], [-1.0, 1.0], [2.0, 1.0], [1e-40, 1.0]])
    assert sorted(distinct(torch.from_numpy(x), 0)) == [0, 1, 2, 4, 5, 6, 7]
    integers = np.random.default_rng(0).permutation(200_000)[:, None]
    assert len(distinct(torch.from_numpy(integers.astype(np.float64)), 0)) == 200_000
