"""Novelty of rows: posterior deviations, in units of those of training rows left out."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.testing import assert_allclose

from neural_kernels.estimators import NeuralKernelClassifier, NeuralKernelRegressor
from neural_kernels.exact import NTK, Laplace
from neural_kernels.layers import mlp

NET = mlp(2, bias_var=0.1)


def rows(n, seed=0):
    return np.random.default_rng(seed).standard_normal((n, 4))


def posterior_variance(train, new, ridges):
    """The textbook's formula; `ridges` has the noise of every training row."""
    kernel = NTK(NET)
    gram, cross = kernel(train) + np.diag(ridges), kernel(new, train)
    return kernel.diag(new) - np.einsum("ij,ji->i", cross, np.linalg.solve(gram, cross.T))


@pytest.mark.parametrize("weighted", [False, True])
def test_is_the_ratio_of_posterior_deviations_with_rows_left_out(weighted):
    X, Z = rows(30), rows(7, 1)
    w = np.random.default_rng(2).uniform(0.5, 2, 30) if weighted else np.ones(30)
    model = NeuralKernelRegressor(NET, alpha=0.1).fit(X, X[:, 0], sample_weight=w)
    noise = model.ridge_ / w
    others = [np.arange(30) != i for i in range(30)]
    left = [posterior_variance(X[rest], X[~rest], noise[rest])[0] for rest in others]
    assert_allclose(model.novelty(Z), np.sqrt(posterior_variance(X, Z, noise) / np.median(left)), rtol=1e-8)


def test_copies_are_weights():
    X, Z = rows(30), rows(7, 1)
    once = NeuralKernelRegressor(NET, alpha=0.1).fit(X, X[:, 0], sample_weight=np.full(30, 2.0))
    twice = NeuralKernelRegressor(NET, alpha=0.1).fit(np.vstack([X, X]), np.tile(X[:, 0], 2))
    assert_allclose(once.novelty(Z), twice.novelty(Z), rtol=1e-8)


@pytest.mark.parametrize("model", [NeuralKernelRegressor(NET), NeuralKernelClassifier(NET)], ids=["numbers", "labels"])
def test_like_the_training_rows_is_1_and_far_outside_is_large(model):
    X, Z = rows(300), rows(200, 1)
    model.fit(X, X[:, 0] > 0)
    assert 0.8 < np.median(model.novelty(Z)) < 1.25
    assert model.novelty(Z).max() < 5
    assert_allclose(model.novelty(1e4 * Z) / model.novelty(1e3 * Z), 10, rtol=0.05)
    assert model.novelty(1e3 * Z).min() > 50


def test_of_a_bounded_kernel_it_is_bounded():
    X = rows(200)
    model = NeuralKernelRegressor(kernel=Laplace(0.5)).fit(X, X[:, 0])
    far = model.novelty(1e3 * rows(5, 1))
    assert_allclose(far, far[0])
    assert far[0] > model.novelty(rows(50, 1)).max()


def test_matrices_do_not_tell():
    gram = NTK(NET)(rows(20))
    model = NeuralKernelRegressor(kernel="precomputed").fit(gram, np.arange(20.0))
    with pytest.raises(ValueError, match="novelty needs k"):
        model.novelty(gram)
