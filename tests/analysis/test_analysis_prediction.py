"""Attribution and look-ahead: sums, and refits by brute force."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose

import neural_kernels as nk
import neural_kernels.analysis as analysis
from neural_kernels.solvers import CholeskyRidge

LABELLED, CANDIDATES, POOL, OUTPUTS = 9, 5, 7, 3


def predictions(gram: np.ndarray, targets: np.ndarray, cross: np.ndarray, ridge: float) -> np.ndarray:
    return cross @ np.linalg.solve(gram + ridge * np.eye(len(gram)), targets)


@pytest.fixture
def gram() -> np.ndarray:
    """Labelled examples, candidates, pool, in this order."""
    phi = np.random.default_rng(0).standard_normal((LABELLED + CANDIDATES + POOL, 30))
    return phi @ phi.T / 30


@pytest.fixture
def blocks(gram) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """What `look_ahead` takes of it: kernel, variances, pool."""
    both = LABELLED + CANDIDATES
    return gram[:both, :LABELLED], np.diagonal(gram)[LABELLED:both], gram[both:, :both]


def one_hot(rng: np.random.Generator, n: int) -> np.ndarray:
    return np.eye(OUTPUTS)[rng.integers(OUTPUTS, size=n)]


# Attribution


@pytest.mark.parametrize("columns", [(), (OUTPUTS,)])
@pytest.mark.parametrize("alpha", [1e-3, 1.0])
def test_contributions_sum_to_predictions(gram, columns, alpha, rng):
    train, cross, y = gram[:9, :9], gram[9:, :9], rng.standard_normal((9, *columns))
    contributions = analysis.attribution(cross, train, y, alpha)
    assert contributions.shape == (12, 9, *columns)
    ridge = alpha * np.diagonal(train).mean()
    assert_allclose(contributions.sum(axis=1), predictions(train, y, cross, ridge), rtol=1e-10)
    coefficients = np.linalg.solve(train + ridge * np.eye(9), y)
    assert_allclose(contributions[2, 4], cross[2, 4] * coefficients[4], rtol=1e-10)


def test_contributions_of_full_kernels(gram, rng):
    gradients = rng.standard_normal((8, 2, 50))
    full, y = np.einsum("iap,jbp->ijab", gradients, gradients), rng.standard_normal((6, 2))
    contributions = analysis.attribution(full[6:, :6], full[:6, :6], y, alpha=0.1)
    matrix = full.transpose(0, 2, 1, 3).reshape(16, 16)
    ridge = 0.1 * np.diagonal(matrix)[:12].mean()
    expected = predictions(matrix[:12, :12], y.ravel(), matrix[12:, :12], ridge).reshape(2, 2)
    assert_allclose(contributions.sum(axis=1), expected, rtol=1e-10)

    product = np.einsum("ij,ab->ijab", gram, np.eye(2))
    plain = analysis.attribution(gram[6:, :6], gram[:6, :6], y)
    assert_allclose(analysis.attribution(product[6:, :6], product[:6, :6], y), plain, rtol=1e-10, atol=1e-14)


def test_contributions_are_those_of_an_estimator(rng):
    x, y, new = rng.standard_normal((20, 4)), rng.standard_normal(20), rng.standard_normal((3, 4))
    kernel, model = nk.NTK(nk.mlp(2)), nk.NeuralKernelRegressor(nk.mlp(2), alpha=0.1).fit(x, y)
    contributions = analysis.attribution(kernel(new, x), kernel(x), y - y.mean(), alpha=0.1)
    assert_allclose(contributions.sum(axis=1) + y.mean(), model.predict(new), rtol=1e-9)


@given(st.integers(0, 2**32 - 1), st.floats(1e-3, 1e3))
def test_contributions_do_not_depend_on_the_kernels_scale_and_are_linear_in_the_residual(seed, scale):
    rng = np.random.default_rng(seed)
    phi, y = rng.standard_normal((8, 10)), rng.standard_normal(6)
    k = phi @ phi.T
    expected = analysis.attribution(k[6:, :6], k[:6, :6], y)
    scaled = analysis.attribution(scale * k[6:, :6], scale * k[:6, :6], 2 * y)
    assert_allclose(scaled, 2 * expected, rtol=1e-8, atol=1e-12)


def test_top_influences_are_sorted_by_size(rng):
    contributions = rng.standard_normal((4, 10, 2))
    order = np.argsort(-np.abs(contributions), axis=1)
    assert (analysis.top_influences(contributions, 3) == order[:, :3]).all()
    flat = analysis.top_influences(torch.from_numpy(contributions[..., 0]), 10)
    assert isinstance(flat, torch.Tensor)
    assert (flat.numpy() == order[..., 0]).all()


# Look-ahead


def refits(gram: np.ndarray, targets: np.ndarray, labels: np.ndarray, alpha: float) -> np.ndarray:
    """Solve again with every candidate; the ridge stays."""
    train = np.arange(LABELLED)
    ridge = alpha * np.diagonal(gram)[:LABELLED].mean()
    pool = slice(LABELLED + CANDIDATES, None)
    before = predictions(gram[:LABELLED, :LABELLED], targets, gram[pool, :LABELLED], ridge)
    scores = []
    for c in range(CANDIDATES):
        index = np.append(train, LABELLED + c)
        longer = np.concatenate([targets, labels[c : c + 1]])
        after = predictions(gram[np.ix_(index, index)], longer, gram[pool][:, index], ridge)
        scores.append(np.linalg.norm((after - before).reshape(POOL, -1), axis=1).sum())
    return np.array(scores)


@pytest.mark.parametrize("columns", [(), (1,), (OUTPUTS,)])
@pytest.mark.parametrize("alpha", [0.0, 1e-2, 3.0])
def test_look_ahead_equals_refits(gram, blocks, columns, alpha, rng):
    targets, labels = rng.standard_normal((LABELLED, *columns)), rng.standard_normal((CANDIDATES, *columns))
    kernel, variances, pool = blocks
    scores = analysis.look_ahead(kernel, targets, variances, pool, labels, alpha)
    assert_allclose(scores, refits(gram, targets, labels, alpha), rtol=1e-10)


@pytest.mark.parametrize(("low", "high"), [(0.0, 1.0), (-1.0, 1.0), (-0.1, 0.9)])
def test_the_most_likely_label_is_the_predicted_class_in_the_coding_of_the_targets(gram, blocks, low, high, rng):
    kernel, variances, pool = blocks
    targets = low + (high - low) * one_hot(rng, LABELLED)
    ridge = 1e-2 * np.diagonal(gram)[:LABELLED].mean()
    classes = predictions(kernel[:LABELLED], targets, kernel[LABELLED:], ridge).argmax(axis=1)
    labels = low + (high - low) * np.eye(OUTPUTS)[classes]
    assert_allclose(analysis.look_ahead(kernel, targets, variances, pool), refits(gram, targets, labels, 1e-2), 1e-10)


def test_a_label_that_is_predicted_changes_nothing(blocks, rng):
    kernel, variances, pool = blocks
    y = rng.standard_normal(LABELLED)
    predicted = analysis.attribution(kernel[LABELLED:], kernel[:LABELLED], y).sum(axis=1)
    assert_allclose(analysis.look_ahead(kernel, y, variances, pool, predicted), 0, atol=1e-13)


def test_candidates_do_not_see_each_other(blocks, rng):
    kernel, variances, pool = blocks
    targets, labels = rng.standard_normal(LABELLED), rng.standard_normal(CANDIDATES)
    scores = analysis.look_ahead(kernel, targets, variances, pool, labels)
    train = slice(LABELLED)
    for c in range(CANDIDATES):
        here = LABELLED + c
        alone = analysis.look_ahead(
            np.vstack([kernel[train], kernel[here]]), targets, variances[c : c + 1],
            np.column_stack([pool[:, train], pool[:, here]]), labels[c : c + 1],
        )  # fmt: skip
        assert_allclose(alone, scores[c : c + 1], rtol=1e-10)


@given(st.integers(0, 2**32 - 1), st.floats(1e-2, 1e2))
def test_look_ahead_scales_with_targets_and_not_with_the_kernel(seed, scale):
    rng = np.random.default_rng(seed)
    phi = rng.standard_normal((8, 12))
    k, targets, labels = phi @ phi.T, rng.standard_normal((4, 2)), rng.standard_normal((3, 2))
    expected = analysis.look_ahead(k[:7, :4], targets, np.diagonal(k)[4:7], k[:, :7], labels)
    s = scale * k
    scaled = analysis.look_ahead(s[:7, :4], 3 * targets, np.diagonal(s)[4:7], s[:, :7], 3 * labels)
    assert_allclose(scaled, 3 * expected, rtol=1e-7)


def test_copies_of_labelled_examples_need_a_ridge(gram, blocks):
    kernel, variances, pool = blocks
    kernel, variances, pool = kernel.copy(), variances.copy(), pool.copy()
    kernel[LABELLED + 2], variances[2], pool[:, LABELLED + 2] = kernel[0], kernel[0, 0], pool[:, 0]
    labels = np.ones(CANDIDATES)
    with pytest.raises(np.linalg.LinAlgError, match=r"candidate 2 adds .* larger ridge"):
        analysis.look_ahead(kernel, np.ones(LABELLED), variances, pool, labels, alpha=0.0)
    assert np.isfinite(analysis.look_ahead(kernel, np.ones(LABELLED), variances, pool, labels, alpha=1e-3)).all()


# Arrays


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_what_comes_in_goes_out(blocks, dtype, rng):
    kernel, variances, pool = blocks
    targets, labels = one_hot(rng, LABELLED), one_hot(rng, CANDIDATES)
    kinds = [lambda x: torch.from_numpy(x).to(dtype), lambda x: torch.from_numpy(x).to(dtype).numpy()]
    tolerance = 1e-4 if dtype == torch.float32 else 1e-12
    for to in kinds:
        scores = analysis.look_ahead(to(kernel), targets, to(variances.copy()), to(pool), labels)
        parts = analysis.attribution(to(kernel[LABELLED:]), to(kernel[:LABELLED]), targets)
        for result in (scores, parts):
            assert type(result) is type(to(kernel))
            assert result.dtype == to(kernel).dtype
        assert_allclose(scores, analysis.look_ahead(kernel, targets, variances, pool, labels), rtol=tolerance)
        expected = analysis.attribution(kernel[LABELLED:], kernel[:LABELLED], targets)
        assert_allclose(parts, expected, rtol=tolerance, atol=tolerance)


def test_the_solver_is_the_estimators(gram):
    train, y = gram[:9, :9], np.ones(9)
    solver = CholeskyRidge(train, 0.5 * np.diagonal(train).mean())
    assert_allclose(analysis.attribution(np.eye(9), train, y, alpha=0.5).sum(axis=1), solver.solve(y), rtol=1e-14)
