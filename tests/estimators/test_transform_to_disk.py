"""Features in a file: those in memory, resumed after an interruption, and never mixed with others."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose, assert_array_equal
from scipy import sparse
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer

import neural_kernels as nk
from neural_kernels.storage.journal import beside

BYTES = np.random.default_rng(0).integers(256, size=(50, 3, 4, 4), dtype=np.uint8)
ROWS = np.random.default_rng(1).standard_normal((50, 6))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "features.npy"


def pipeline(seed: int = 0, columns: int = 12) -> Any:
    features = nk.NeuralFeatures(nk.cnn(1), n_components=columns, random_state=seed)
    return make_pipeline(nk.ImageScaler(), features).fit(BYTES[:40])


class Counted:
    """A transformer that counts the rows of its calls, and stops after some of them."""

    def __init__(self, after: int = 10**6) -> None:
        self.calls: list[int] = []
        self.after = after

    def transform(self, rows: Any) -> Any:
        if len(self.calls) == self.after:
            raise KeyboardInterrupt
        self.calls.append(len(rows))
        return np.repeat(rows.sum(axis=1, keepdims=True), 9, axis=1)


class Pairs:
    """As data sets of torchvision are: items are an image and its label."""

    def __init__(self, make: Any = lambda image: image) -> None:
        self.make = make

    def __len__(self) -> int:
        return len(BYTES)

    def __getitem__(self, index: int) -> tuple[Any, int]:
        return self.make(BYTES[index]), index % 10


class Picture:
    """As pictures of PIL are: bands last, or no axis for one band."""

    def __init__(self, image: np.ndarray) -> None:
        self.array = np.moveaxis(image, 0, -1)

    def getbands(self) -> tuple[str, ...]:
        return ("R", "G", "B")

    def __array__(self, dtype: Any = None, copy: Any = None) -> np.ndarray:
        return self.array


def test_bytes_on_disk_become_features_on_disk(path: Path) -> None:
    np.save(path.with_name("bytes.npy"), BYTES)
    mapped = np.load(path.with_name("bytes.npy"), mmap_mode="r")
    model = pipeline()
    written = nk.transform_to_disk(model, mapped, path, block=7)
    assert isinstance(written, np.memmap)
    assert written.dtype == np.float32
    assert_allclose(written, model.transform(BYTES), atol=1e-5)
    assert_array_equal(np.load(path), written)


def test_blocks_are_of_whole_rows_and_bounded(path: Path) -> None:
    counted = Counted()
    nk.transform_to_disk(counted, ROWS, path, block=8)
    assert counted.calls == [4, 1, *[8] * 6, 2]  # what tells the transformer, the shape, and the blocks


def test_a_call_that_was_stopped_is_resumed_by_the_same_call(path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        nk.transform_to_disk(Counted(after=5), ROWS, path, block=8)
    lines = [json.loads(line[9:]) for line in beside(path).read_text().splitlines()]
    assert [value for what, value in lines if what == "block"] == [0, 1, 2]
    rest = Counted()
    written = nk.transform_to_disk(rest, ROWS, path)
    assert rest.calls == [4, 8, 8, 8, 2]
    assert_allclose(written, Counted().transform(ROWS))
    again = Counted()
    nk.transform_to_disk(again, ROWS, path)
    assert again.calls == [4]


def test_another_process_may_fit_anew(path: Path) -> None:
    written = nk.transform_to_disk(pipeline(), BYTES, path)
    before = path.stat().st_mtime_ns
    assert_array_equal(nk.transform_to_disk(pipeline(), BYTES, path), written)
    assert path.stat().st_mtime_ns == before


def test_other_settings_or_data_are_refused(path: Path) -> None:
    nk.transform_to_disk(pipeline(), BYTES, path)
    with pytest.raises(ValueError, match=r"another task; what differs: .*random_state=0"):
        nk.transform_to_disk(pipeline(seed=1), BYTES, path)
    refitted = pipeline().fit(BYTES[10:])
    with pytest.raises(ValueError, match="what differs: its output"):
        nk.transform_to_disk(refitted, BYTES, path)
    other = BYTES.copy()
    other[-1, 0, 0, 0] += 1
    with pytest.raises(ValueError, match=r"what differs: data\. "):
        nk.transform_to_disk(pipeline(), other, path)
    wide = nk.transform_to_disk(pipeline(columns=14), other, path, resume=False)
    assert wide.shape == (50, 14)


@pytest.mark.parametrize(
    ("make", "options"),
    [(lambda image: image, {}), (torch.from_numpy, {}), (Picture, {})],
    ids=["arrays", "tensors", "pictures"],
)
def test_data_sets_of_pairs(path: Path, make: Any, options: Any) -> None:
    data = Pairs(make)
    scaler = nk.ImageScaler().fit(data)
    assert_array_equal(scaler.transform(data), scaler.transform(BYTES))
    assert_allclose(nk.transform_to_disk(pipeline(), data, path, block=16), pipeline().transform(BYTES), atol=1e-5)
    nk.transform_to_disk(pipeline(), data, path)


def test_data_sets_that_are_none_of_images() -> None:
    with pytest.raises(TypeError, match="item 0 of the data set is str, no image"):
        nk.ImageScaler().fit(Pairs(lambda _: "cat"))
    with pytest.raises(ValueError, match="in one data set; resize them"):
        nk.ImageScaler().fit(Pairs(lambda image: image[:, : 2 + image[0, 0, 0] % 2]))


@pytest.mark.parametrize("make", [np.asarray, torch.from_numpy, sparse.csr_matrix, np.ndarray.tolist])
def test_rows_of_any_make(path: Path, make: Any) -> None:
    model = nk.NeuralFeatures(n_components=8, random_state=0).fit(ROWS)
    assert_allclose(nk.transform_to_disk(model, make(ROWS), path, block=9), model.transform(ROWS), atol=1e-12)


def test_maps_and_functions(path: Path) -> None:
    map_ = nk.feature_map(nk.mlp(1), n_components=8).fit(ROWS)
    assert_allclose(nk.transform_to_disk(map_, ROWS, path), map_(ROWS), atol=1e-12)
    double = FunctionTransformer(lambda rows: 2 * rows)
    assert_allclose(nk.transform_to_disk(double, ROWS, path.with_name("double")), 2 * ROWS)


def test_refusals(path: Path) -> None:
    with pytest.raises(ValueError, match=r"expected \(n, m\)"):
        nk.transform_to_disk(nk.ImageScaler().fit(BYTES), BYTES, path)
    with pytest.raises(ValueError, match="one row at least"):
        nk.transform_to_disk(Counted(), ROWS[:0], path)
    with pytest.raises(TypeError, match="method transform"):
        nk.transform_to_disk(3, ROWS, path)
    assert not path.exists()
