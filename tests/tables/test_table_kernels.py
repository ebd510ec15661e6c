"""Kernels with metrics, judged by exact leave-one-out, and their weights."""

import numpy as np
import pytest
from sklearn.datasets import make_friedman1

import neural_kernels as nk
from neural_kernels.estimators.examples import Examples
from neural_kernels.tables.blend import MEMBERS, blend, tempered
from neural_kernels.tables.candidates import ALPHAS, Candidates, _downhill
from neural_kernels.tables.deadline import Deadline

X, y = make_friedman1(n_samples=80, n_features=8, random_state=0)
X = (X - X.mean(0)) / X.std(0)
EXAMPLES = Examples.of(X, y[:, None], np.ones(80))


@pytest.fixture(scope="module")
def found():
    return list(Candidates(X, EXAMPLES))


def test_all_are_tried(found):
    assert len(found) == Candidates(X, EXAMPLES).count == 33
    assert [one.iteration for one in found[:3]] == [0, 0, 0]
    assert len({(one.family, one.iteration, one.power) for one in found}) == 33


@pytest.mark.parametrize("k", [0, 10, 32])
def test_residuals_are_those_of_refits(found, k):
    one = found[k]
    for left_out in (0, 17, 79):
        rest = np.delete(np.arange(80), left_out)
        gram = one.kernel(X[rest]) + one.alpha * one.scale * np.eye(79)
        expected = y[rest].mean() + one.kernel(X[[left_out]], X[rest]) @ np.linalg.solve(gram, y[rest] - y[rest].mean())
        assert y[left_out] - one.residuals[left_out, 0] == pytest.approx(expected.item(), rel=1e-7, abs=1e-7)


def test_alpha_is_the_best_of_all_without_a_metric(found):
    search = Candidates(X, EXAMPLES)
    for one in found[:3]:
        model = nk.NeuralKernelRegressor(kernel=one.kernel, alpha=ALPHAS, solver=nk.solvers.Spectral()).fit(X, y)
        assert model.alpha_ == pytest.approx(one.alpha)
        assert model.loo_scores_.max() == pytest.approx(1 - search.lost(one.residuals), rel=1e-6)


def test_metrics_keep_the_distance_of_rows(found):
    variance = X.var(axis=0)
    for one in found[3:]:
        metric = one.kernel.metric.matrix
        assert metric @ variance == pytest.approx(variance.sum())
    assert metric[:5].sum() > 0.9 * metric.sum()  # those that count


def test_the_sum_is_better_than_its_parts(found):
    losses = np.array([np.log(np.square(one.residuals).mean()) / 2 for one in found])
    weights = tempered(found, losses, 80.0)
    assert weights.sum() == pytest.approx(1)
    assert {one.iteration for one, weight in zip(found, weights, strict=True) if weight} <= set(MEMBERS)
    whole = Candidates(X, EXAMPLES).judge("sum", blend(found, weights))
    assert np.square(whole.residuals).mean() < weights @ np.exp(2 * losses)
    assert np.median(blend(found, weights)(X).diagonal()) == pytest.approx(1, rel=0.1)


def test_nothing_to_learn_leaves_the_plain_kernels():
    constant = Examples.of(X, np.full((80, 1), 3.0), np.ones(80))
    found = list(Candidates(X, constant))
    assert [one.iteration for one in found] == [0, 0, 0]
    assert not any(one.residuals.any() for one in found)


def test_tempered_weights(found):
    weights = tempered(found[:3], np.array([0.5, 0.4, 0.9]), 100.0)
    assert weights.argmax() == 1
    assert weights[0] / weights[1] == pytest.approx(np.exp(-1))
    assert weights[2] == 0


def test_no_time_leaves_the_first_kernel():
    (only,) = Candidates(X, EXAMPLES, Deadline(0.0))
    assert only.iteration == 0


@pytest.mark.parametrize("start", range(6))
def test_downhill_ends_in_a_valley(start):
    values = [3.0, 1.0, 2.0, 0.5, 0.7, 0.9]
    end = _downhill(values.__getitem__, start, 6)
    assert all(values[end] <= values[k] for k in (end - 1, end + 1) if 0 <= k < 6)


def test_columns_are_found_where_no_plain_kernel_sees_anything():
    rng = np.random.default_rng(0)
    x = rng.standard_normal((300, 40))
    y = np.sin(2 * x[:, [0]]) * np.sign(x[:, [1]])
    search = Candidates(x, Examples.of(x, y, np.ones(300)))
    found = list(search)
    assert min(search.lost(one.residuals) for one in found[:3]) > 0.9
    assert min(search.lost(one.residuals) for one in found) < 0.5
