"""Images in bytes, in memory or in a file: read part by part, with the results of floats."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

import neural_kernels as nk
from neural_kernels.estimators import inputs
from neural_kernels.sources import as_source

RNG = np.random.default_rng(0)
BYTES = RNG.integers(256, size=(60, 2, 4, 4), dtype=np.uint8)
Y = np.where(BYTES[:, 0, :2].mean(axis=(1, 2)) > 127, "light", "dark")
FLOATS = BYTES.astype(np.float64)
NET = nk.cnn(1)


@pytest.fixture(autouse=True)
def small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inputs, "_NUMBERS", 7 * 32)


@pytest.fixture
def mapped(tmp_path: Any) -> np.ndarray:
    np.save(tmp_path / "images.npy", BYTES)
    return np.load(tmp_path / "images.npy", mmap_mode="r")


def test_of_arrays_in_memory_only_images_in_bytes_are_read_in_parts() -> None:
    source = as_source(BYTES, numbers=7 * 32)
    assert source is not None
    assert len(list(source)) == 9
    for whole in (FLOATS, BYTES.reshape(60, -1), FLOATS.tolist(), BYTES[:7], BYTES[:0]):
        assert as_source(whole, numbers=7 * 32) is None


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("balanced", [None, "balanced"])
def test_classifier(mapped: np.ndarray, weighted: bool, balanced: Any) -> None:
    weights = RNG.integers(3, size=60).astype(float) if weighted else None
    make = lambda: nk.NeuralFeatureClassifier(NET, n_components=16, class_weight=balanced, random_state=0)  # noqa: E731
    model, expected = make().fit(mapped, Y, weights), make().fit(FLOATS, Y, weights)
    assert_array_equal(model.classes_, ["dark", "light"])
    assert_allclose(model.predict_proba(mapped), expected.predict_proba(FLOATS), rtol=1e-7)
    assert model.alpha_ == expected.alpha_
    assert_array_equal(model.fit(mapped[:30], Y[:30]).predict(mapped), make().fit(FLOATS[:30], Y[:30]).predict(FLOATS))


def test_regressor(mapped: np.ndarray) -> None:
    y = BYTES.mean(axis=(2, 3))
    model = nk.NeuralFeatureRegressor(NET, n_components=16, random_state=0).fit(mapped, y.tolist())
    expected = nk.NeuralFeatureRegressor(NET, n_components=16, random_state=0).fit(FLOATS, y)
    assert_allclose(model.predict(mapped), expected.predict(FLOATS), rtol=1e-9)


def test_transformer(mapped: np.ndarray) -> None:
    features = nk.NeuralFeatures(NET, n_components=16, random_state=0).fit(FLOATS)
    assert_allclose(features.transform(mapped), features.transform(FLOATS), atol=1e-9)


def test_no_more_than_a_part_is_held_as_floats(mapped: np.ndarray, monkeypatch: pytest.MonkeyPatch) -> None:
    seen, validate = [], inputs.validate

    def counted(estimator: Any, X: Any, *others: Any, **options: Any) -> Any:
        seen.append(len(X))
        return validate(estimator, X, *others, **options)

    monkeypatch.setattr(inputs, "validate", counted)
    nk.NeuralFeatureClassifier(NET, n_components=16, random_state=0).fit(mapped, Y).predict(mapped)
    assert max(seen) == 7
    assert sum(seen) == 180  # twice to fit: all rows are looked at before a map is made of some


def test_what_does_not_fit_is_refused_and_leaves_the_model(mapped: np.ndarray) -> None:
    model = nk.NeuralFeatureClassifier(NET, n_components=16, random_state=0).fit(mapped, Y)
    before = model.decision_function(mapped)
    with pytest.raises(ValueError, match="inconsistent numbers of samples"):
        model.fit(mapped, Y[:30])
    with pytest.raises(ValueError, match="one class"):
        model.fit(mapped, np.zeros(60))
    assert_array_equal(model.decision_function(mapped), before)
