"""Chosen monomials: exact where all fit, unbiased where not, by even steps."""

from __future__ import annotations

import numpy as np
import torch
from scipy import sparse

from neural_kernels.features.monomials.monomials import Monomials
from neural_kernels.features.monomials.selection import Sample, _systematic, select

RNG = np.random.default_rng(0)
X = np.abs(RNG.normal(size=(30, 5)))
UNIT = X / np.linalg.norm(X, axis=1, keepdims=True)
SQUARES = np.stack([np.full(30, 0.5), np.ones(30), 0.2 + RNG.random(30), np.full(30, 0.3)], 1)
KERNEL = sum(np.sqrt(np.outer(c, c)) * (UNIT @ UNIT.T) ** p for p, c in enumerate(SQUARES.T))


def estimate(columns, seed, ridge=0.01):
    """The kernel of chosen monomials, not capped."""
    factors, scales = select(Sample(sparse.csr_matrix(UNIT), SQUARES), columns, ridge, np.random.default_rng(seed))
    assert len(scales) <= columns
    monomials = Monomials(5, factors, scales, np.ones(5), torch.float64)
    z = monomials(torch.from_numpy(UNIT)).numpy() * np.sqrt(SQUARES)[:, monomials.degrees.numpy()]
    return z @ z.T


def test_all_monomials_together_are_exact():
    """There are 56 up to degree 3 in 5 coordinates; with thousands of draws all are in, for certain."""
    assert np.allclose(estimate(4000, 0), KERNEL, rtol=1e-6)


def test_unbiased():
    """The mean over 400 seeds, in standard deviations of the mean."""
    found = np.stack([estimate(12, seed) for seed in range(400)])
    error = (found.mean(0) - KERNEL) / (found.std(0) / 20 + 1e-12)
    assert np.abs(error).max() < 4.5
    assert np.sqrt((error**2).mean()) < 1.5


def test_the_sample_knows_the_kernel_and_its_dimension():
    sample = Sample(sparse.csr_matrix(UNIT), SQUARES)
    assert np.allclose(sample.regularised(0.1, 8), KERNEL + 0.1 * np.trace(KERNEL) * np.eye(30))
    inverse = torch.linalg.inv(sample.regularised(0.1, 8))
    assert np.isclose(sample.dimensions(inverse).sum(), np.trace(inverse.numpy() @ KERNEL))


def test_the_ridge_fits_the_columns():
    sample = Sample(sparse.csr_matrix(UNIT), SQUARES)
    inverse = torch.linalg.inv(sample.regularised(None, 48))
    assert np.isclose(sample.dimensions(inverse).sum(), 48 / 16, rtol=1e-6)


def test_even_steps_have_the_probabilities_asked_for():
    scores = np.array([5.0, 0.0, 1.0, 1.0, 2.0, 0.5, 0.5])
    expected = np.array([1.0, 0.0, 0.4, 0.4, 0.8, 0.2, 0.2])  # 3 columns: the first for certain, 2 for the rest
    counts, rng = np.zeros(7), np.random.default_rng(0)
    for _ in range(4000):
        kept, probabilities = _systematic(scores, 3, rng)
        assert len(kept) == 3
        assert np.allclose(probabilities, expected[kept])
        counts[kept] += 1
    assert np.abs(counts / 4000 - expected).max() < 0.04
    assert _systematic(scores, 6, rng)[1].tolist() == [1.0] * 6
