"""Features averaged over flips: those of the kernel averaged over flips, by every method."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.base import clone

import neural_kernels as nk

RNG = np.random.default_rng(0)
X, Z = RNG.standard_normal((40, 2, 4, 5)), RNG.standard_normal((6, 2, 4, 5))
NET = nk.cnn(2)
FLIPPED = nk.FlipAverage(nk.NTK(NET))
METHODS = [None, nk.Nystrom(), nk.RandomFeatures(), nk.PolynomialSketch()]


def flip(images: Any) -> Any:
    return images[..., ::-1].copy()


@pytest.mark.parametrize("method", METHODS, ids=lambda method: type(method).__name__)
def test_features_are_the_mean_of_those_of_an_image_and_its_mirror_image(method: Any) -> None:
    plain = nk.feature_map(NET, "ntk", 32, method).fit(X)
    both = nk.feature_map(kernel=FLIPPED, n_components=32, method=method).fit(X)
    expected = (plain(Z) + plain(flip(Z))) / 2
    assert_allclose(both(Z), expected, atol=1e-12)
    assert_allclose(both(flip(Z)), expected, atol=1e-12)
    assert type(both.method_) is type(plain.method_)
    assert both.reason_ == plain.reason_
    weights = RNG.standard_normal((both.columns, 3))
    assert_allclose(both.project(Z, weights), expected[:, : both.columns] @ weights, atol=1e-10)


def test_errors_are_those_beside_the_averaged_kernel() -> None:
    tiny = RNG.standard_normal((60, 1, 2, 2))
    map_ = nk.feature_map(kernel=nk.FlipAverage(nk.NTK(nk.cnn(1))), n_components=48).fit(tiny)
    assert map_.kernel_error_ < 0.03
    wrong = nk.feature_map(nk.cnn(1), n_components=48).fit(tiny)
    exact = nk.FlipAverage(nk.NTK(nk.cnn(1)))(tiny)
    assert np.linalg.norm(wrong(tiny) @ wrong(tiny).T - exact) > 0.06 * np.linalg.norm(exact)


def test_gradients_go_through_both_images() -> None:
    map_ = nk.feature_map(kernel=FLIPPED, n_components=16, seed=1).fit(X)
    images = torch.from_numpy(Z).requires_grad_()
    features = map_(images)
    assert_allclose(features.detach(), map_(Z), atol=1e-9)
    features.square().sum().backward()
    mirrored = torch.from_numpy(flip(Z)).requires_grad_()
    map_(mirrored).square().sum().backward()
    assert images.grad is not None
    assert mirrored.grad is not None
    assert_allclose(images.grad, mirrored.grad.flip(-1), atol=1e-9)


def test_columns_are_counted_for_it() -> None:
    images = RNG.standard_normal((60, 1, 2, 2))
    assert nk.min_components(None, images, 0.3, kernel=nk.FlipAverage(nk.NTK(nk.cnn(1)))) > 0


@pytest.mark.parametrize("make", [nk.NeuralFeatureClassifier, nk.NeuralFeatureRegressor])
def test_models_do_not_tell_images_from_mirror_images(make: Any) -> None:
    y = np.arange(40) % 2
    model = make(NET, n_components=24, augment="flip", alpha=1e-3, random_state=0).fit(X, y)
    assert_allclose(model.predict(flip(Z)), model.predict(Z), rtol=1e-6)
    by_kernel = make(kernel=FLIPPED, n_components=24, alpha=1e-3, random_state=0).fit(X, y)
    assert_allclose(by_kernel.coef_, model.coef_, rtol=1e-6)
    stream = clone(model).partial_fit(X[:20], y[:20]).partial_fit(X[20:], y[20:])
    assert_allclose(stream.predict(Z), model.predict(Z), rtol=1e-6)


def test_transformer() -> None:
    features = nk.NeuralFeatures(NET, n_components=16, augment="flip", random_state=0).fit(X)
    assert_array_equal(features.transform(flip(Z)), features.transform(Z))
    assert isinstance(features.kernel_, nk.FlipAverage)
    assert features.network_ == NET


def test_refusals() -> None:
    with pytest.raises(ValueError, match="flips are of images"):
        nk.NeuralFeatures(augment="flip").fit(X.reshape(40, -1))
    with pytest.raises(ValueError, match='expected None or "flip"'):
        nk.NeuralFeatures(NET, augment="mirror").fit(X)
