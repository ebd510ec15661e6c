"""Probabilities from scores: the best link, what it keeps, and odd scores, labels and weights."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_allclose
from scipy.optimize import minimize_scalar
from scipy.special import softmax

from neural_kernels.estimators.calibration import SOFTNESSES, Calibration, per_class


def draw(probabilities: np.ndarray, seed: int = 0) -> np.ndarray:
    """Labels with these probabilities, one-hot."""
    cumulative = probabilities.cumsum(axis=1)
    label = (np.random.default_rng(seed).uniform(size=(len(cumulative), 1)) > cumulative).sum(axis=1)
    return np.eye(probabilities.shape[1])[label.clip(max=probabilities.shape[1] - 1)]


def smoothed(shares: np.ndarray, weights: np.ndarray) -> np.ndarray:
    n = weights.sum() ** 2 / np.square(weights).sum()
    return (n * shares + 1 / shares.shape[1]) / (n + 1)


def loss(scores: np.ndarray, shares: np.ndarray, weights: np.ndarray, temperature: float, softness: float) -> float:
    p = Calibration(temperature, softness, 0.0).probabilities(scores)
    return -float(np.average((shares * np.log(p)).sum(axis=1), weights=weights))


def best(scores: np.ndarray, shares: np.ndarray, weights: np.ndarray, softness: float = np.inf) -> tuple[float, float]:
    """The temperature of the least log-loss, by another method, and that loss."""
    found: Any = minimize_scalar(
        lambda t: loss(scores, shares, weights, np.exp(t), softness), bounds=(-6, 6), options={"xatol": 1e-9}
    )
    return float(np.exp(found.x)), float(found.fun)


@pytest.fixture
def overlapping() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    scores = 0.7 * rng.standard_normal((80, 3)) - 0.3
    return scores, draw(softmax(2 * scores, axis=1)), rng.uniform(1, 3, 80)


def test_the_link_is_the_best_of_all_temperatures_and_softnesses(overlapping: Any) -> None:
    scores, shares, weights = overlapping
    smooth, n = smoothed(shares, weights), weights.sum() ** 2 / np.square(weights).sum()
    found = [(*best(scores, smooth, weights, s), s) for s in SOFTNESSES]
    temperature, _, softness = min(found, key=lambda f: f[1] + (f[2] < np.inf) / n)
    model = Calibration.fit(scores, shares, weights)
    assert model.softness == softness
    assert model.temperature == pytest.approx(temperature, rel=1e-5)
    assert model.log_loss == pytest.approx(loss(scores, shares, weights, temperature, softness), rel=1e-8)


def test_estimates_that_are_right_stay_as_they_are() -> None:
    """Regressions that have found the probabilities: a temperature of the scores could not give these."""
    p = np.random.default_rng(1).dirichlet([0.3, 1.0, 1.0, 2.0], 4000)
    shares = draw(p)
    model = Calibration.fit(2 * p - 1, shares, np.ones(4000))
    assert model.temperature == pytest.approx(1, abs=0.1)
    entropy = -np.average((shares * np.log(p)).sum(axis=1))
    assert model.log_loss < entropy + 0.005
    assert best(2 * p - 1, shares, np.ones(4000))[1] > entropy + 0.03


def test_logits_need_no_second_parameter() -> None:
    logits = np.random.default_rng(2).standard_normal((4000, 5))
    model = Calibration.fit(logits, draw(softmax(3 * logits, axis=1)), np.ones(4000))
    assert model.softness == np.inf
    assert model.temperature == pytest.approx(1 / 3, rel=0.05)


@pytest.mark.parametrize("softness", SOFTNESSES)
def test_classes_keep_the_order_of_their_scores(softness: float) -> None:
    scores = np.random.default_rng(3).standard_normal((200, 6))
    p = Calibration(1.5, softness, 0.0).probabilities(scores)
    assert (np.argsort(p, axis=1) == np.argsort(scores, axis=1)).all()


def test_few_rows_a_class_do_not_hold_probabilities_near_each_other() -> None:
    """Thirty classes of eight rows, hardly an error: each label is nearly sure."""
    rng = np.random.default_rng(4)
    labels = np.arange(240) % 30
    scores = 2 * np.eye(30)[labels] - 1 + 0.3 * rng.standard_normal((240, 30))
    model = Calibration.fit(scores, np.eye(30)[labels], np.ones(240))
    assert model.log_loss < 0.05
    assert np.median(model.probabilities(scores)[np.arange(240), labels]) > 0.97


def test_scores_without_errors_leave_a_doubt_that_shrinks_with_their_number() -> None:
    doubts = []
    for n in (3, 30, 300):
        labels = np.eye(3)[np.arange(n) % 3]
        model = Calibration.fit(2 * labels - 1, labels, np.ones(n))
        doubts.append(1 - model.probabilities(2 * labels - 1).max(axis=1)[0])
        assert doubts[-1] == pytest.approx(2 / 3 / (n + 1), rel=1e-6)
    assert doubts == sorted(doubts, reverse=True)


def test_scores_that_are_wrong_or_equal_say_nothing() -> None:
    labels = np.eye(3)
    for scores in (1 - 2 * labels, np.zeros((3, 3)), np.full((3, 3), -5.0)):
        model = Calibration.fit(scores, labels, np.ones(3))
        assert_allclose(model.probabilities(scores), 1 / 3, atol=1e-6)
        assert model.log_loss == pytest.approx(np.log(3))
        probe = np.array([[0.3, 0.1, 0.2]])
        assert model.probabilities(probe).argmax() == 0


@pytest.mark.parametrize("factor", [1e-200, 1e-6, 1.0, 1e3, 1e9, 1e300])
def test_scores_of_any_size(overlapping: Any, factor: float) -> None:
    scores, shares, weights = overlapping
    with np.errstate(all="raise", under="ignore"):
        model = Calibration.fit(factor * scores, shares, weights)
        p = model.probabilities(factor * scores)
    assert_allclose(p.sum(axis=1), 1, rtol=1e-12)
    assert model.log_loss <= best(scores, shares, weights)[1] + 0.01


def test_weights_are_relative_and_count_examples(overlapping: Any) -> None:
    scores, shares, weights = overlapping
    model, scaled = Calibration.fit(scores, shares, weights), Calibration.fit(scores, shares, 1e-6 * weights)
    assert scaled.temperature == pytest.approx(model.temperature, rel=1e-6)
    one = np.where(np.arange(80) < 10, 1.0, 1e-9)
    few, alone = Calibration.fit(scores, shares, one), Calibration.fit(scores[:10], shares[:10], np.ones(10))
    assert few.temperature == pytest.approx(alone.temperature, rel=1e-4)


def test_two_classes_may_share_a_column(overlapping: Any) -> None:
    scores, shares, weights = overlapping
    scores, shares = scores[:, :1], np.column_stack([shares[:, 0], 1 - shares[:, 0]])
    one, two = Calibration.fit(scores, shares, weights), Calibration.fit(per_class(scores), shares, weights)
    assert one == two
    assert_allclose(one.probabilities(scores), two.probabilities(per_class(scores)), rtol=1e-12)


def test_copies_that_disagree_keep_their_shares() -> None:
    shares = np.tile([[0.7, 0.3], [0.2, 0.8]], (50, 1))
    model = Calibration.fit(2 * shares[:, 1:] - 1, shares, np.full(100, 10.0))
    assert_allclose(model.probabilities(2 * shares[:, 1:] - 1), shares, atol=0.02)


def test_a_class_that_no_example_has() -> None:
    scores, labels = np.random.default_rng(5).standard_normal((60, 3)), np.arange(60) % 2
    scores[np.arange(60), labels] += 3
    scores[:, 2] -= 3
    p = Calibration.fit(scores, np.eye(3)[labels], np.ones(60)).probabilities(scores)
    assert p[:, 2].max() < 0.1
    assert (p[:, 2] > 0).all()


def test_a_hundred_classes() -> None:
    rng = np.random.default_rng(6)
    logits = rng.standard_normal((2000, 100))
    model = Calibration.fit(logits, draw(softmax(4 * logits, axis=1)), np.ones(2000))
    assert model.temperature == pytest.approx(1 / 4, rel=0.05)


def test_probabilities_are_right_where_they_are_tested() -> None:
    """On other scores than those of the fit, those of the top class are right on average, bin by bin."""
    rng = np.random.default_rng(7)
    scores = np.clip(2 * rng.dirichlet([0.2] * 6, 6000) - 1 + 0.1 * rng.standard_normal((6000, 6)), -1.2, 1.2)
    shares = draw(softmax(6 * scores, axis=1), seed=8)
    p = Calibration.fit(scores[:3000], shares[:3000], np.ones(3000)).probabilities(scores[3000:])
    top, hit = p.max(axis=1), (p.argmax(axis=1) == shares[3000:].argmax(axis=1)).astype(float)
    cell = (15 * top).astype(int).clip(max=14)
    gaps = np.abs(np.bincount(cell, hit - top, minlength=15)) / 3000
    assert gaps.sum() < 0.03
