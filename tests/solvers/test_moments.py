"""One-pass ridge against scikit-learn's, refits without the row, and itself in other parts and orders."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.testing import assert_allclose
from sklearn.linear_model import Ridge

from neural_kernels.solvers import Cholesky
from neural_kernels.solvers.moments import Moments

RIDGES = np.array([0.1, 3.0])


@pytest.fixture
def data():
    """80 rows of 12 features far from 0, two targets, weights with zeros."""
    rng = np.random.default_rng(0)
    features = rng.standard_normal((80, 12)) + 5
    targets = features @ rng.standard_normal((12, 2)) + rng.standard_normal((80, 2)) + 100
    return features, targets, rng.integers(0, 4, 80).astype(float)


def fitted(features, targets, weights=None, size=80):
    moments = Moments(features.shape[1], targets.shape[1])
    for start in range(0, len(features), size):
        part = slice(start, start + size)
        moments.update(features[part], targets[part], None if weights is None else weights[part])
    return moments


def assert_same(first, second, rtol=1e-10):
    for one, other in zip(first.solve(0.1), second.solve(0.1), strict=True):
        assert_allclose(one, other, rtol=rtol)
    assert first.weight == pytest.approx(second.weight)
    assert first.mean_square == pytest.approx(second.mean_square)
    assert_allclose(first.target_scatter, second.target_scatter, rtol=rtol)


def test_equals_scikit_learn(data):
    features, targets, weights = data
    peer = Ridge(alpha=3.0).fit(features, targets, sample_weight=weights)
    moments = fitted(features, targets, weights, size=7)
    coefficients, intercept = moments.solve(3.0)
    assert_allclose(coefficients.T, peer.coef_, rtol=1e-10)
    assert_allclose(intercept, peer.intercept_, rtol=1e-10)
    path = moments.path(RIDGES)
    assert_allclose(path.coefficients[1], coefficients, rtol=1e-9)
    assert_allclose(path.intercepts[1], intercept, rtol=1e-10)
    assert_allclose(moments.path([3.0]).coefficients[0], coefficients, rtol=1e-9)


def test_blocks_order_merging_and_repetition_do_not_matter(data):
    features, targets, weights = data
    whole = fitted(features, targets, weights)
    order = np.random.default_rng(1).permutation(80)
    assert_same(fitted(features[order], targets[order], weights[order], size=11), whole)
    assert_same(
        fitted(features[:30], targets[:30], weights[:30]).merge(fitted(features[30:], targets[30:], weights[30:])),
        whole,
    )
    assert_same(Moments(12, 2).merge(whole), whole)
    assert_same(fitted(features, targets, weights).merge(Moments(12, 2)), whole)
    index = np.repeat(np.arange(80), weights.astype(int))
    assert_same(fitted(features[index], targets[index], size=9), whole)


def test_strips_of_columns_do_not_matter(data, monkeypatch):
    features, targets, weights = data
    whole = fitted(features, targets, weights)
    monkeypatch.setattr("neural_kernels.solvers.triangle._STRIP", 5)
    assert_same(fitted(features, targets, weights, size=20), whole)
    assert_same(
        fitted(features[:30], targets[:30], weights[:30]).merge(fitted(features[30:], targets[30:], weights[30:])),
        whole,
    )


@pytest.mark.parametrize("ridges", [RIDGES, RIDGES[:1]])
def test_leave_one_out_equals_refits(data, ridges):
    features, targets, weights = data
    weights = weights + 0.5
    path = fitted(features, targets, weights).path(ridges)
    residuals = path.loo_residuals(features[:9], targets[:9], weights[:9])
    assert residuals.shape == (len(ridges), 9, 2)
    for k, ridge in enumerate(ridges):
        for i in range(9):
            rest = np.arange(80) != i
            peer = Ridge(alpha=ridge).fit(features[rest], targets[rest], sample_weight=weights[rest])
            assert_allclose(residuals[k, i], targets[i] - peer.predict(features[[i]])[0], rtol=1e-8)


@pytest.mark.parametrize("ridges", [RIDGES, RIDGES[:1]])
def test_effective_dimension_is_the_trace_of_the_smoother(data, ridges):
    features, targets, _ = data
    centred = features - features.mean(axis=0)
    scatter = centred.T @ centred
    expected = [np.trace(np.linalg.solve(scatter + ridge * np.eye(12), scatter)) for ridge in ridges]
    assert_allclose(fitted(features, targets).path(ridges).effective_dimension, expected, rtol=1e-10)


def test_float32_features_are_summed_in_float64():
    rng = np.random.default_rng(0)
    features = (rng.standard_normal((20_000, 4)) + 30).astype(np.float32)
    targets = features.astype(np.float64) @ np.ones((4, 1))
    coefficients, _ = fitted(features, targets, size=256).solve(0.0)
    assert_allclose(coefficients, 1, rtol=1e-5)


def test_fewer_rows_than_features():
    rng = np.random.default_rng(0)
    features, targets = rng.standard_normal((5, 12)), rng.standard_normal((5, 1))
    peer = Ridge(alpha=0.5).fit(features, targets)
    assert_allclose(fitted(features, targets).solve(0.5)[0].T, peer.coef_[None], rtol=1e-9)
    one = fitted(features[:1], targets[:1])
    assert_allclose(one.solve(0.5)[0], 0, atol=1e-15)
    assert_allclose(one.solve(0.5)[1], targets[0])
    for ridges in ([0.0], [0.0, 1.0]):
        with pytest.raises(np.linalg.LinAlgError, match="larger ridge"):
            fitted(features, targets).path(ridges)


def test_bad_input_is_refused(data):
    features, targets, _ = data
    moments = fitted(features, targets)
    bad = features.copy()
    bad[3, 3] = np.nan
    with pytest.raises(ValueError, match="finite"):
        moments.update(bad, targets)
    with pytest.raises(ValueError, match="expected"):
        moments.update(features[:, 1:], targets)
    with pytest.raises(ValueError, match="weights"):
        moments.update(features, targets, -np.ones(80))
    with pytest.raises(ValueError, match="merged"):
        moments.merge(Moments(3, 2))
    with pytest.raises(ValueError, match="ridge"):
        moments.solve(-1.0)
    with pytest.raises(ValueError, match="no rows"):
        Moments(3, 2).solve(1.0)
    with pytest.raises(ValueError, match="no rows"):
        Moments(3, 2).path([1.0, 2.0])
    assert_same(moments, fitted(features, targets))


def test_scatter_of_targets_counts_merged_copies():
    rng = np.random.default_rng(0)
    features, y = rng.standard_normal((6, 3)), 5 + rng.standard_normal((18, 2))
    every = fitted(np.repeat(features, 3, axis=0), y)
    means = y.reshape(6, 3, 2).mean(axis=1)
    lost = np.square(y - np.repeat(means, 3, axis=0)).sum(axis=0)
    merged = Moments(3, 2).update(features, means, np.full(6, 3.0), lost)
    assert_allclose(every.target_scatter, np.square(y - y.mean(axis=0)).sum(axis=0), rtol=1e-12)
    assert_same(merged, every)


@pytest.mark.parametrize("count", [1, 2])
def test_evidence_is_that_of_the_gaussian_process_of_centred_features(data, count):
    features, targets, weights = data
    rows = np.repeat(np.arange(80), weights.astype(int))
    y, phi = targets[rows] - targets[rows].mean(axis=0), features[rows] - features[rows].mean(axis=0)
    found = fitted(features, targets, weights, size=9).path(RIDGES[:count]).evidence
    for ridge, amplitude, value in zip(RIDGES, found.amplitude, found.log_likelihood, strict=False):
        expected = Cholesky().system(phi @ phi.T).evidence(y, ridge)
        assert_allclose(amplitude, expected.amplitude, rtol=1e-8)
        assert_allclose(value, expected.log_likelihood, rtol=1e-9)


def test_leverage_is_the_posterior_variance_of_the_linear_model(data):
    """Of coefficients and an intercept whose prior is as good as flat, by the normal equations of both."""
    features, targets, weights = data
    new = np.random.default_rng(1).standard_normal((5, 12)) + 5
    for path in (fitted(features, targets, weights).path([0.3]), fitted(features, targets, weights).path([0.3, 2.0])):
        design, at = (np.column_stack([np.ones(len(x)), x]) for x in (features, new))
        system = design.T @ (weights[:, None] * design) + np.diag([0.0, *[0.3] * 12])
        expected = at @ np.linalg.solve(system, at.T)
        assert_allclose(path.leverage(new)[0], np.diagonal(expected), rtol=1e-8)
        if len(path.leverage(new)) == 1:
            assert_allclose(path.covariance(new), expected, rtol=1e-8)
        else:
            with pytest.raises(ValueError, match="path of one ridge"):
                path.covariance(new)


def test_no_evidence_without_noise(data):
    features, targets, _ = data
    with pytest.raises(ValueError, match="ridge above 0"):
        _ = fitted(features, targets).path([0.0]).evidence


@pytest.mark.slow
def test_many_features_are_solved():
    """4 GiB of memory: from 16,384 columns on OpenBLAS dies of a segmentation fault."""
    m = 16384
    moments = Moments(m, 1)
    moments.weight, moments.cross = 1.0, np.ones((m, 1))
    moments.scatter[np.diag_indices(m)] = 1.0
    coefficients, intercept = moments.solve(1.0)
    assert np.allclose(coefficients, 0.5)
    assert intercept == 0


@pytest.mark.parametrize("ridges", [RIDGES, RIDGES[:1]])
def test_gcv_is_that_of_the_smoother(data, ridges):
    """Weights that count rows are rows."""
    features, targets, weights = data
    index = np.repeat(np.arange(80), weights.astype(int))
    x, y = features[index], targets[index]
    centred = x - x.mean(axis=0)
    found = fitted(features, targets, weights).path(ridges).gcv
    for ridge, value in zip(ridges, found, strict=True):
        smoother = centred @ np.linalg.solve(centred.T @ centred + ridge * np.eye(12), centred.T) + 1 / len(x)
        lost = np.square(y - smoother @ y).sum(axis=0)
        assert_allclose(value, len(x) * lost / (len(x) - np.trace(smoother)) ** 2, rtol=1e-8)


def test_of_several_ridges_the_best_by_gcv_is_taken():
    rng = np.random.default_rng(3)
    features, slopes = rng.standard_normal((300, 60)), rng.standard_normal((60, 1))
    targets = features @ slopes + 20 * rng.standard_normal((300, 1))
    moments, ridges = fitted(features, targets), np.logspace(-3, 4, 15)
    scores = moments.path(ridges).gcv[:, 0]
    best = ridges[np.argmin(scores)]
    assert ridges[0] < best < ridges[-1]
    for one, two in zip(moments.solve(ridges), moments.solve(best), strict=True):
        assert_allclose(one, two, rtol=1e-8)
    new = rng.standard_normal((1000, 60))
    errors = [np.square(new @ (slopes - c) - b).mean() for c, b in map(moments.solve, ridges)]
    assert errors[int(np.argmin(scores))] < 1.2 * min(errors)


def test_gcv_of_models_through_all_targets_is_infinite():
    rng = np.random.default_rng(0)
    features, targets = rng.standard_normal((5, 12)), rng.standard_normal((5, 1))
    assert np.isinf(fitted(features[:, :4], targets).path([0.0]).gcv).all()
    coefficients, _ = fitted(features, targets).solve([0.0, 1.0, 2.0])  # 0 is too small to solve with
    assert np.isfinite(coefficients).all()
