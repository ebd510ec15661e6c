"""Systems with examples more or fewer equal those made of all examples at once."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose

from neural_kernels.solvers import CholeskyRidge


def _problem(n: int, seed: int) -> tuple[np.ndarray, ...]:
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n, n // 2 + 1))
    return x @ x.T / x.shape[1], rng.uniform(0.5, 2, n), rng.normal(size=(n, 2))


def _assert_equal(found: CholeskyRidge, expected: CholeskyRidge, y: np.ndarray, ridge: float) -> None:
    assert_allclose(found.solve(y, ridge), expected.solve(y, ridge), rtol=1e-9, atol=1e-10)
    assert_allclose(found.loo_residuals(y, ridge), expected.loo_residuals(y, ridge), rtol=1e-9, atol=1e-10)
    assert_allclose(found.log_determinant(ridge), expected.log_determinant(ridge), rtol=1e-9, atol=1e-10)
    assert_allclose(found.solve(y, 3.0), expected.solve(y, 3.0), rtol=1e-9, atol=1e-10)  # the matrix is whole
    assert_allclose(found.solve(y, ridge, 2.0), expected.solve(y, ridge, 2.0), rtol=1e-9, atol=1e-10)


@given(st.integers(2, 90), st.integers(0, 9), st.data())
@settings(max_examples=40, deadline=None)
def test_without_examples(n, seed, data):
    gram, w, y = _problem(n, seed)
    few = st.lists(st.integers(0, n - 1), min_size=1, max_size=min(n - 1, 12), unique=True)
    gone = np.array(data.draw(few))
    kept = np.setdiff1d(np.arange(n), gone)
    found = CholeskyRidge(gram, sample_weight=w).without(gone, 0.1)
    _assert_equal(found, CholeskyRidge(gram[np.ix_(kept, kept)], sample_weight=w[kept]), y[kept], 0.1)


@given(st.integers(2, 90), st.integers(0, 9), st.data())
@settings(max_examples=40, deadline=None)
def test_with_more_examples(n, seed, data):
    gram, w, y = _problem(n, seed)
    m = data.draw(st.integers(1, n - 1))
    part = CholeskyRidge(gram[:m, :m], sample_weight=w[:m])
    found = part.joined(gram[m:, :m], gram[m:, m:], 0.1, w[m:])
    _assert_equal(found, CholeskyRidge(gram, sample_weight=w), y, 0.1)
    _assert_equal(part, CholeskyRidge(gram[:m, :m], sample_weight=w[:m]), y[:m], 0.1)  # as it was


def test_a_hundred_edits_lose_no_digits():
    rng = np.random.default_rng(0)
    gram, w, y = _problem(60, 1)
    order = np.arange(60)
    found = CholeskyRidge(gram, sample_weight=w)
    for _ in range(100):
        k = rng.integers(1, 4)
        rows = rng.choice(60, k, replace=False)
        gone = order[rows]
        kept = np.delete(order, rows)
        cross, corner = gram[np.ix_(gone, kept)], gram[np.ix_(gone, gone)]
        found, order = found.without(rows, 1e-3).joined(cross, corner, 1e-3, w[gone]), np.concatenate([kept, gone])
    expected = CholeskyRidge(gram, sample_weight=w).solve(y, 1e-3)
    assert_allclose(found.solve(y[order], 1e-3), expected[order], rtol=1e-9, atol=1e-9)


def test_a_copy_without_a_ridge_is_refused():
    system = CholeskyRidge(np.eye(3))
    with pytest.raises(np.linalg.LinAlgError, match="1 more example"):
        system.joined([[1.0, 0.0, 0.0]], [[1.0]], 0.0)
