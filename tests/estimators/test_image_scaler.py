"""The scaler of images: against its formulas, in parts, on disk, and where images hardly vary."""

from __future__ import annotations

import pickle
from typing import Any

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.pipeline import make_pipeline

import neural_kernels as nk
from neural_kernels.estimators.images import blocks

RNG = np.random.default_rng(0)
BYTES = RNG.integers(256, size=(60, 3, 5, 4), dtype=np.uint8)
IMAGES = (RNG.standard_normal((60, 3, 5, 4)) @ RNG.standard_normal((4, 4)) + [[[1]], [[2]], [[3]]]) * 10


def covariance(rows: np.ndarray) -> np.ndarray:
    return np.cov(rows.reshape(len(rows), -1).T, bias=True)


def regularised(rows: np.ndarray, ridge: float) -> np.ndarray:
    """C + r mean eigenvalue, by which whitening is defined."""
    c = covariance(rows)
    return c + ridge * np.trace(c) / len(c) * np.eye(len(c))


def test_channels_have_mean_zero_and_variance_one() -> None:
    scaler = nk.ImageScaler()
    scaled = scaler.fit_transform(IMAGES)
    assert_allclose(scaled.mean(axis=(0, 2, 3)), 0, atol=1e-12)
    assert_allclose(scaled.std(axis=(0, 2, 3)), 1, rtol=1e-12)
    assert_allclose(scaler.mean_, IMAGES.mean(axis=(0, 2, 3)), rtol=1e-12)
    assert_allclose(scaler.scale_, IMAGES.std(axis=(0, 2, 3)), rtol=1e-12)
    assert_allclose(scaler.inverse_transform(scaled), IMAGES, rtol=1e-10)
    assert scaler.n_samples_seen_ == 60
    assert scaler.get_feature_names_out().tolist() == ["x0", "x1", "x2"]


def test_whitened_covariance_is_that_of_the_formula() -> None:
    scaler = nk.ImageScaler(0.5, contrast=False, norm=False)
    scaled = scaler.fit_transform(IMAGES)
    c, wanted = covariance(IMAGES), regularised(IMAGES, 0.5)
    assert_allclose(scaler.whitening_ @ wanted @ scaler.whitening_, np.eye(60), atol=1e-9)
    assert_allclose(
        scaler.whitening_, scaler.whitening_.T, rtol=0, atol=1e-12
    )  # the symmetric root: pixels stay pixels
    assert_allclose(covariance(scaled), scaler.whitening_ @ c @ scaler.whitening_, atol=1e-9)
    assert_allclose(scaled.mean(axis=0), 0, atol=1e-9)
    assert_allclose(scaler.inverse_transform(scaled), IMAGES, rtol=1e-8)


def test_whitening_centres_and_norms_each_image_before_and_norms_it_behind() -> None:
    flat = IMAGES.reshape(60, -1)
    flat = flat - flat.mean(axis=1, keepdims=True)
    flat = flat / np.sqrt(np.square(flat).mean(axis=1, keepdims=True))
    values, vectors = np.linalg.eigh(regularised(flat, 0.1))
    white = (flat - flat.mean(axis=0)) @ (vectors / np.sqrt(values)) @ vectors.T
    white = white / np.sqrt(np.square(white).mean(axis=1, keepdims=True))
    assert_allclose(nk.ImageScaler(whiten=0.1).fit_transform(IMAGES).reshape(60, -1), white, atol=1e-9)


@pytest.mark.parametrize("options", [{}, {"whiten": 0.1}, {"contrast": True}, {"whiten": 1.0, "contrast": False}])
def test_parts_and_blocks_are_as_good_as_the_whole(options: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = nk.ImageScaler(**options).fit(IMAGES)
    monkeypatch.setattr(blocks, "_NUMBERS", 7 * 60)
    parts = nk.ImageScaler(**options)
    for part in (IMAGES[:1], IMAGES[1:20], IMAGES[20:]):
        parts.partial_fit(part)
    assert parts.n_samples_seen_ == 60
    assert_allclose(parts.transform(IMAGES), whole.transform(IMAGES), atol=1e-9)
    parts.fit(IMAGES[:30])  # forgets the others
    assert parts.n_samples_seen_ == 30


@pytest.mark.parametrize("options", [{}, {"whiten": 0.1}])
def test_bytes_on_disk_are_read_in_blocks_and_become_float32(
    options: Any, tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    np.save(tmp_path / "images.npy", BYTES)
    mapped = np.load(tmp_path / "images.npy", mmap_mode="r")
    exact = nk.ImageScaler(**options).fit_transform(BYTES.astype(np.float64))
    monkeypatch.setattr(blocks, "_NUMBERS", 600)
    scaled = nk.ImageScaler(**options).fit_transform(mapped)
    assert scaled.dtype == np.float32
    assert_allclose(scaled, exact, atol=2e-5)
    assert_array_equal(scaled, nk.ImageScaler(**options).fit_transform(torch.from_numpy(BYTES)))


def test_no_more_than_a_block_is_read_as_floats(monkeypatch: pytest.MonkeyPatch) -> None:
    seen, read = [], blocks.ImageBlocks.__getitem__

    def counted(self: Any, rows: slice) -> np.ndarray:
        seen.append(rows.stop - rows.start)
        return read(self, rows)

    monkeypatch.setattr(blocks, "_NUMBERS", 600)
    monkeypatch.setattr(blocks.ImageBlocks, "__getitem__", counted)
    nk.ImageScaler().fit_transform(BYTES)
    assert max(seen) == 10
    assert sum(seen) == 120


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("scale", [1e-30, 1.0, 1e30])
@pytest.mark.parametrize("whiten", [None, 0.5])
def test_scales_do_not_matter(dtype: Any, scale: float, whiten: float | None) -> None:
    for contrast in (False, True):
        scaler = nk.ImageScaler(whiten, contrast=contrast)
        scaled = scaler.fit_transform((IMAGES * scale).astype(dtype))
        assert scaled.dtype == dtype
        expected = clone(scaler).fit_transform(IMAGES)
        assert_allclose(scaled, expected, atol=2e-4 if dtype == np.float32 else 1e-8)


@pytest.mark.parametrize("options", [{}, {"whiten": 0.1}, {"contrast": True, "norm": True}])
@pytest.mark.parametrize("value", [0, 7, 255])
def test_constant_images_become_zero(options: Any, value: int) -> None:
    constant = np.full((4, 2, 3, 3), value, np.uint8)
    assert_array_equal(nk.ImageScaler(**options).fit_transform(constant), 0)
    assert_allclose(nk.ImageScaler(**options).fit_transform(constant / 10), 0, atol=1e-13)  # the mean is rounded


def test_a_constant_image_among_others_and_a_constant_channel() -> None:
    images = IMAGES.copy()
    images[3] = 0.1
    images[:, 1] = 0.1
    for options in ({}, {"whiten": 0.1}, {"contrast": True}):
        assert np.isfinite(nk.ImageScaler(**options).fit_transform(images)).all()
    assert_allclose(nk.ImageScaler().fit_transform(images)[:, 1], 0, atol=1e-13)


@pytest.mark.parametrize("options", [{}, {"whiten": 0.1}])
def test_one_image(options: Any) -> None:
    scaler = nk.ImageScaler(**options).fit(IMAGES[:1])
    assert np.isfinite(scaler.transform(IMAGES)).all()
    assert nk.ImageScaler(**options).fit(IMAGES).transform(IMAGES[:0]).shape == (0, 3, 5, 4)


def test_sequences() -> None:
    scaled = nk.ImageScaler().fit_transform(IMAGES.reshape(60, 3, 20))
    assert_allclose(scaled.reshape(IMAGES.shape), nk.ImageScaler().fit_transform(IMAGES), rtol=1e-12)


def test_pickles_clones_and_pipelines() -> None:
    pipeline = make_pipeline(nk.ImageScaler(whiten=0.5), nk.NeuralFeatures(nk.cnn(1), n_components=8))
    features = pipeline.fit_transform(IMAGES[:20])
    assert_allclose(pickle.loads(pickle.dumps(pipeline)).transform(IMAGES[:20]), features, atol=1e-9)
    assert clone(nk.ImageScaler(0.5, norm=False)).get_params() == {"whiten": 0.5, "contrast": None, "norm": False}
    assert pipeline.get_feature_names_out().shape == (8,)


def test_a_failed_call_leaves_what_was_there() -> None:
    scaler = nk.ImageScaler().fit(IMAGES)
    before = scaler.transform(IMAGES)
    spoilt = IMAGES.copy()
    spoilt[41, 0, 0, 0] = np.nan
    with pytest.raises(ValueError, match="image 41 holds NaN"):
        scaler.partial_fit(spoilt)
    with pytest.raises(ValueError, match="image 41 holds NaN"):
        scaler.fit(spoilt)
    assert_array_equal(scaler.transform(IMAGES), before)


@pytest.mark.parametrize(
    ("images", "message"),
    [
        (np.zeros((5, 60)), r"X\.reshape\(-1, channels, height, width\)"),
        (np.zeros((0, 3, 5, 4)), "one image at least"),
        (np.zeros((5, 3, 0, 4)), "expected images"),
    ],
)
def test_what_is_no_images(images: np.ndarray, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        nk.ImageScaler().fit(images)


def test_faults_in_calls() -> None:
    scaler: Any = nk.ImageScaler()
    with pytest.raises(NotFittedError):
        scaler.transform(IMAGES)
    with pytest.raises(ValueError, match="Channels come first"):
        scaler.fit(IMAGES).transform(np.moveaxis(IMAGES, 1, -1))
    with pytest.raises(AttributeError, match="whitening_"):
        _ = scaler.whitening_
    with pytest.raises(ValueError, match="positive"):
        nk.ImageScaler(whiten=0).fit(IMAGES)
    with pytest.raises(ValueError, match="Make them smaller"):
        nk.ImageScaler(whiten=0.1).fit(np.zeros((1, 3, 128, 128), np.uint8))
    assert not hasattr(nk.ImageScaler(whiten=0.1), "inverse_transform")
    assert hasattr(nk.ImageScaler(), "inverse_transform")
    with pytest.raises(TypeError, match="real numbers"):
        scaler.fit(IMAGES.astype(complex))
