"""L-BFGS that is told values, and the metric of logistic regressions."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy.optimize import check_grad, rosen, rosen_der

from neural_kernels.solvers import Moments
from neural_kernels.solvers.logistic import LogisticMetric, LogisticSums, log_softmax, softmax
from neural_kernels.solvers.quasi_newton import QuasiNewton

RNG = np.random.default_rng(0)


def plain(vector):
    return vector


@pytest.mark.parametrize("resumed", [False, True])
def test_finds_the_minimum_of_a_hard_function(resumed):
    search = QuasiNewton(np.array([1.3, 0.7, 0.8, 1.9]), tol=1e-10, noise=1e-15)
    for _ in range(200):
        if search.done:
            break
        search.tell(rosen(search.point), rosen_der(search.point), lambda vector: vector / 100, plain)
        if resumed:
            search = QuasiNewton.from_state(search.state())
    assert search.converged
    assert_allclose(search.best, 1, rtol=1e-8)


def test_one_step_where_the_metric_is_right():
    root = RNG.standard_normal((5, 5))
    hessian, target = root @ root.T + np.eye(5), RNG.standard_normal(5)
    search = QuasiNewton(np.zeros(5), 1e-10, 0.0)
    for _ in range(2):
        gradient = hessian @ (search.point - target)
        search.tell(
            gradient @ (search.point - target) / 2, gradient, lambda vector: np.linalg.solve(hessian, vector), plain
        )
    assert search.converged
    assert_allclose(search.best, target, rtol=1e-10)


def test_says_when_nothing_smaller_is_found():
    search = QuasiNewton(np.ones(2), 1e-6, 0.0)
    search.tell(1.0, np.ones(2), plain, plain)
    while not search.done:
        search.tell(np.inf, np.ones(2), plain, plain)
    assert search.stalled
    assert not search.converged
    assert_array_equal(search.best, np.ones(2))


def test_a_start_at_the_minimum_has_converged():
    search = QuasiNewton(np.ones(2), 1e-6, 0.0)
    search.tell(1.0, np.zeros(2), plain, plain)
    assert search.converged


@pytest.mark.parametrize("k", [1, 3])
def test_sums_are_loss_and_derivatives(k):
    logits, weights = 3 * RNG.standard_normal((20, k)), RNG.uniform(0, 2, 20)
    label = RNG.integers(0, max(k, 2), 20)
    targets = label[:, None].astype(float) if k == 1 else np.eye(k)[label]

    def loss(flat):
        sums = LogisticSums(k)
        sums.add(flat.reshape(20, k), targets, weights)
        return sums.loss

    sums = LogisticSums(k)
    slopes = sums.add(logits, targets, weights)
    assert_allclose(sums.loss, -(weights * log_softmax(logits)[np.arange(20), label]).sum())
    assert check_grad(loss, lambda _: slopes.ravel(), logits.ravel()) < 1e-5
    step = 1e-5 * np.eye(k)
    for j in range(k):  # of the same step in all rows
        change = sum(sign * LogisticSums(k).add(logits + sign * step[j], targets, weights) for sign in (1, -1)) / 2e-5
        assert_allclose(change.sum(axis=0), sums.curvature[j], rtol=1e-6, atol=1e-8)


def test_probabilities_of_large_logits():
    assert_array_equal(softmax(np.array([[1e4, 0.0, -1e4]])), [[1, 0, 0]])
    assert_array_equal(log_softmax(np.array([[1e4, 0.0, -1e4]])), [[0, -1e4, -2e4]])
    assert_array_equal(softmax(np.array([[1e4], [-1e4]])), [[0, 1], [1, 0]])
    assert_array_equal(log_softmax(np.array([[1e4]])), [[-1e4, 0]])


@pytest.mark.parametrize("k", [1, 3])
def test_the_metric_is_an_inverse(k):
    features = RNG.standard_normal((50, 4))
    moments = Moments(4, 1).update(features, np.zeros((50, 1)))
    metric, ridge = LogisticMetric(moments), 0.7
    root = RNG.standard_normal((k, k))
    centre = np.eye(k) - (k > 1) / k
    curvature = centre @ root @ root.T @ centre
    centred = features - features.mean(axis=0)
    whole = np.zeros((5 * k, 5 * k))  # coefficients, and the intercepts
    whole[: 4 * k, : 4 * k] = np.kron(centred.T @ centred / 50, curvature) + ridge * np.eye(4 * k)
    whole[4 * k :, 4 * k :] = curvature
    gradient = (RNG.standard_normal((5, k)) @ centre).ravel()
    assert_allclose(whole @ metric.solve(curvature, ridge, gradient), gradient, atol=1e-10)


@pytest.mark.parametrize("k", [1, 3])
def test_the_bound_is_one(k):
    metric = LogisticMetric(Moments(4, 1).update(RNG.standard_normal((50, 4)), np.zeros((50, 1))))
    sums = LogisticSums(k)
    sums.add(RNG.standard_normal((50, k)), np.zeros((50, k)), np.ones(50))
    assert np.linalg.eigvalsh(metric.bound(k) - sums.curvature).min() > -1e-12
