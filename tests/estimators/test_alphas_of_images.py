"""The grid of alphas for features of images: how far down it goes, and where rounding ends it."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.datasets import load_digits

import neural_kernels as nk
from neural_kernels.solvers.moments import Moments

digits: Any = load_digits()
X, Y = (digits.images[:200, None] / 8 - 1).astype(np.float32), digits.target[:200]
NET = nk.cnn(2)


def test_the_grid_follows_the_shape_of_examples() -> None:
    model = nk.NeuralFeatureClassifier(NET, n_components=96, random_state=0).fit(X, Y)
    assert_allclose(model.alphas_, np.logspace(1, -9, 21))
    assert model.loo_scores_.shape == (21,)
    assert model.alpha_ == model.alphas_[np.nanargmax(model.loo_scores_)]
    flat = nk.NeuralFeatureClassifier(n_components=96, random_state=0).fit(X.reshape(200, -1), Y)
    assert_allclose(flat.alphas_, np.logspace(1, -4, 11))
    given = nk.NeuralFeatureClassifier(NET, n_components=96, alpha=[1e-2, 1.0], random_state=0).fit(X, Y)
    assert_allclose(given.alphas_, [1e-2, 1.0])


@pytest.mark.parametrize("method", [None, nk.RandomFeatures()], ids=["landmarks", "random"])
def test_alphas_that_rounding_makes_singular_are_passed_over(method: Any) -> None:
    few, labels = np.repeat(X[:8], 20, axis=0), np.tile(Y[:8, None], 20).ravel()
    few = few + 1e-7 * np.random.default_rng(0).standard_normal(few.shape).astype(np.float32)
    model = nk.NeuralFeatureRegressor(NET, n_components=64, method=method, random_state=0)
    model.fit(few, labels)
    assert np.isfinite(model.coef_).all()
    assert np.isfinite(model.predict(few, return_std=True)[1]).all()
    assert not np.isnan(model.loo_scores_[0])


@pytest.mark.parametrize("shuffled", [False, True])
def test_which_ridges_are_solvable(shuffled: bool) -> None:
    moments = Moments(2, 1).update(np.random.default_rng(0).standard_normal((9, 2)), np.ones((9, 1)))
    moments.scatter[:] = np.diag([1.0, -1e-5])  # as products of float32 numbers may leave it
    ridges = np.array([1.0, 1e-4, 1e-6, 1e-8])
    order = np.array([2, 0, 3, 1]) if shuffled else np.arange(4)
    assert_array_equal(order[moments.solvable(ridges[order])].tolist(), [0, 1])
    assert moments.solvable(np.array([1e-8])).tolist() == [0]


def test_streams_within_a_budget() -> None:
    model = nk.NeuralFeatureClassifier(NET, n_components=64, memory_budget=10**8, random_state=0)
    for part in range(0, 200, 100):
        model.partial_fit(X[part : part + 100], Y[part : part + 100], classes=range(10))
    assert model.score(X, Y) > 0.9
    with pytest.raises(MemoryError, match="ridge regression"):
        nk.NeuralFeatureClassifier(NET, memory_budget=10**6).partial_fit(X, Y)
