"""Drawn monomials: their probabilities against counts and enumeration."""

from __future__ import annotations

import itertools
import math

import numpy as np
from scipy import sparse

from neural_kernels.features.monomials.candidates import draw, included, orders

RNG = np.random.default_rng(0)
X = RNG.normal(size=(7, 4)) * (RNG.random((7, 4)) < 0.7)
X[2] = 0
NORMS = np.linalg.norm(X, axis=1, keepdims=True)
UNIT = np.divide(X, NORMS, out=np.zeros_like(X), where=NORMS > 0)
SQUARES = RNG.random(7)


def every(degree):
    return np.array(list(itertools.combinations_with_replacement(range(4), degree)))


def test_orders_are_counted():
    for degree in (1, 2, 5):
        by_hand = [len(set(itertools.permutations(each))) for each in every(degree).tolist()]
        assert orders(every(degree)).tolist() == by_hand
    assert orders(np.empty((1, 0), dtype=int)).tolist() == [1.0]


def test_inclusion_is_stable():
    assert np.allclose(included(np.array([0.0, 0.25, 1.0]), 2), [0.0, 1 - 0.75**2, 1.0], rtol=1e-15)
    assert math.isclose(included(np.array([1e-20]), 10)[0], 1e-19, rel_tol=1e-12)


def test_monomials_are_drawn_by_their_squares():
    """Inclusions among 20 draws, over 3000 repetitions, within five standard deviations."""
    full = np.where(NORMS[:, 0] > 0, SQUARES, 0)
    monomials, repetitions = every(3), 3000
    columns = np.prod(UNIT[:, monomials], 2)
    expected = included(orders(monomials) * (full[:, None] * columns**2).sum(0) / full.sum(), 20)
    counts, names = np.zeros(len(monomials)), {tuple(each): k for k, each in enumerate(monomials.tolist())}
    rng = np.random.default_rng(1)
    for _ in range(repetitions):
        for each in draw(sparse.csr_matrix(UNIT), SQUARES, 20, 3, rng).tolist():
            counts[names[tuple(each)]] += 1
    deviation = np.sqrt(np.maximum(expected * (1 - expected) * repetitions, 1e-12))
    assert (np.abs(counts - expected * repetitions) <= 5 * deviation + 1e-9).all()


def test_degree_0_is_one_monomial():
    assert draw(sparse.csr_matrix(UNIT), SQUARES, 5, 0, np.random.default_rng(0)).shape == (1, 0)
