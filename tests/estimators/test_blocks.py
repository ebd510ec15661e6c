"""Rows in blocks: generators, lists, loaders and memory maps give the model of the arrays they are cut from."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal
from scipy.sparse import csr_matrix

import neural_kernels as nk
from neural_kernels.estimators import accumulation, built, inputs
from neural_kernels.sources import Block, RowSource

NET = nk.mlp(1, bias_var=0.1)
RNG = np.random.default_rng(0)
X = RNG.standard_normal((400, 3))
Y = np.sin(X[:, 0]) + 0.1 * RNG.standard_normal(400)
W = RNG.integers(0, 3, 400).astype(float)
LABELS = np.array(["high", "low", "mid"])[np.digitize(Y, [-0.5, 0.5])]
Z = RNG.standard_normal((50, 3))


def regressor(**options: Any) -> nk.NeuralFeatureRegressor:
    return nk.NeuralFeatureRegressor(NET, **({"n_components": 24, "alpha": [0.1, 1.0], "random_state": 0} | options))


def classifier(**options: Any) -> nk.NeuralFeatureClassifier:
    return nk.NeuralFeatureClassifier(NET, **({"n_components": 24, "alpha": [0.1, 1.0], "random_state": 0} | options))


def cut(X: Any, y: Any = None, weight: Any = None, size: int = 70) -> Iterator[Any]:
    for start in range(0, X.shape[0], size):
        part = slice(start, start + size)
        yield tuple(values[part] for values in (X, y, weight) if values is not None)


def few_rows(patch: pytest.MonkeyPatch) -> None:
    """Bounds that the data exceed, and blocks that they fill."""
    patch.setattr(accumulation, "_SAMPLE", 100)
    patch.setattr(accumulation, "_FEWEST", 50)
    patch.setattr(accumulation, "block_rows", lambda columns: 64)
    patch.setattr(built, "block_rows", lambda columns: 64)


@pytest.fixture
def few_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    few_rows(monkeypatch)


KINDS = {
    "arrays": lambda X: X,
    "float32": lambda X: X.astype(np.float32),
    "tensors": torch.as_tensor,
    "csr": csr_matrix,
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("make", [regressor, classifier])
def test_a_generator_gives_the_model_of_the_arrays(make: Any, weighted: bool, kind: str) -> None:
    y, weight = Y if make is regressor else LABELS, W if weighted else None
    data = KINDS[kind](X)
    model, whole = make().fit(cut(data, y, weight)), make().fit(data, y, weight)
    rtol = 1e-4 if kind == "float32" else 1e-8
    assert_allclose(model.coef_, whole.coef_, rtol=rtol, atol=rtol)
    assert model.alpha_ == whole.alpha_
    assert model.n_features_in_ == 3
    assert_array_equal(model.predict(cut(KINDS[kind](Z), size=20)), model.predict(KINDS[kind](Z)))


class Counted(RowSource):
    """A source of a user's own."""

    rows = 400

    def blocks(self) -> Iterator[Block]:
        return (Block(*arrays) for arrays in cut(X, Y))


@pytest.mark.parametrize("kind", ["list", "tuple", "loader", "own", "lists in a generator", "partial_fit", "frames"])
def test_whatever_gives_blocks(kind: str) -> None:
    tensors = torch.utils.data.TensorDataset(torch.as_tensor(X), torch.as_tensor(Y))
    blocks: Any = {
        "list": list(cut(X, Y)),
        "tuple": tuple(cut(X, Y)),
        "loader": torch.utils.data.DataLoader(tensors, batch_size=64),
        "own": Counted(),
        "lists in a generator": (list(block) for block in cut(X, Y)),
        "partial_fit": list(cut(X[200:], Y[200:])),
        "frames": ((pd.DataFrame(a, columns=["a", "b", "c"]), pd.Series(b)) for a, b in cut(X, Y)),
    }[kind]
    whole, model = regressor().fit(X, Y), regressor()
    if kind == "partial_fit":
        model.partial_fit(cut(X[:200], Y[:200])).partial_fit(blocks)
    else:
        model.fit(blocks)
    assert_allclose(model.coef_, whole.coef_, rtol=1e-8)
    if kind == "frames":
        assert list(model.feature_names_in_) == ["a", "b", "c"]
        Z_frame = pd.DataFrame(Z, columns=["a", "b", "c"])
        assert_allclose(model.predict(frame for frame in [Z_frame]), whole.predict(Z))


def test_frames_of_polars() -> None:
    blocks = ((pl.DataFrame(a, schema=["a", "b", "c"]), pl.Series(b)) for a, b in cut(X, Y))
    assert_allclose(regressor().fit(blocks).coef_, regressor().fit(X, Y).coef_, rtol=1e-8)


def test_predictions_block_by_block() -> None:
    model = regressor().fit(X, Y)
    mean, std = model.predict(cut(Z), return_std=True)
    assert_allclose(np.stack([mean, std]), np.stack(model.predict(Z, return_std=True)), rtol=1e-10)
    assert_allclose(model.predict_interval(cut(Z, size=20)), model.predict_interval(Z), rtol=1e-10)
    with pytest.raises(ValueError, match="return_cov: all rows are needed at once"):
        model.predict(cut(Z), return_cov=True)
    labels = classifier().fit(X, LABELS)
    assert_allclose(labels.predict_proba(cut(Z, size=20)), labels.predict_proba(Z), rtol=1e-10)
    assert_allclose(labels.decision_function(cut(Z, size=20)), labels.decision_function(Z), rtol=1e-10)


@st.composite
def cuts(draw: st.DrawFn, rows: int = 150) -> list[np.ndarray]:
    """Positions of rows in any order, in blocks of any sizes."""
    order = np.random.default_rng(draw(st.integers(0, 1000))).permutation(rows)
    if draw(st.booleans()):
        order = np.argsort(Y[:rows])
    bounds = np.cumsum(draw(st.lists(st.integers(1, 60), min_size=1, max_size=rows)))
    return np.split(order, bounds[bounds < rows])


@given(cuts(), st.booleans())
def test_any_order_and_size_of_blocks_that_are_read_again(parts: list[np.ndarray], more: bool) -> None:
    """Whether all rows are kept, or the map learns from a sample of them, it is the model of one call."""
    with pytest.MonkeyPatch.context() as patch:
        if more:
            few_rows(patch)
        whole = regressor().fit(X[:150], Y[:150])
        model = regressor().fit([(X[part], Y[part]) for part in parts])
        assert (model._accumulation.built is not None) == more
    assert_allclose(model.coef_, whole.coef_, rtol=1e-10, atol=1e-10 * np.abs(whole.coef_).max())
    assert model.alpha_ == whole.alpha_


@given(cuts())
def test_any_order_and_size_of_blocks_that_are_read_once(parts: list[np.ndarray]) -> None:
    """The map is that of the rows that come first; what follows may come in any order and in any blocks."""
    first, parts = np.arange(200, 320), [part for part in parts if len(part)]
    with pytest.MonkeyPatch.context() as patch:
        few_rows(patch)
        whole = regressor().fit((X[part], Y[part]) for part in (first, np.arange(150)))
        model = regressor().fit((X[part], Y[part]) for part in (first, *parts))
    assert_allclose(model.coef_, whole.coef_, rtol=1e-10, atol=1e-10 * np.abs(whole.coef_).max())


@pytest.fixture
def mapped(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> np.ndarray:
    monkeypatch.setattr(inputs, "_NUMBERS", 30)
    np.save(tmp_path / "X.npy", X)
    return np.load(tmp_path / "X.npy", mmap_mode="r")


def test_memory_maps(mapped: np.ndarray) -> None:
    model, whole = regressor().fit(mapped, Y, W), regressor().fit(X, Y, W)
    assert_allclose(model.coef_, whole.coef_, rtol=1e-8)
    assert_allclose(model.predict(mapped), whole.predict(X), rtol=1e-8)
    assert_allclose(classifier().fit(mapped, LABELS).coef_, classifier().fit(X, LABELS).coef_, rtol=1e-6)
    features = nk.NeuralFeatures(NET, n_components=24, random_state=0)
    assert_allclose(features.fit(mapped).transform(mapped), features.fit(X).transform(X), atol=1e-12)


def test_a_sorted_memory_map_is_learned_from_in_all_its_parts(few_are_kept: None, tmp_path: Any) -> None:
    order = np.argsort(X[:, 0])
    np.save(tmp_path / "X.npy", X[order])
    sources = np.load(tmp_path / "X.npy", mmap_mode="r"), Y[order]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(inputs, "_NUMBERS", 30)
        model = regressor().fit(*sources)
    whole = regressor().fit(X, Y)
    assert_allclose(model.coef_, whole.coef_, rtol=1e-8)
    assert model.alpha_ == whole.alpha_
    first = regressor().fit(cut(*sources, size=20))  # by a generator: once, and the map is made of what comes first
    assert model.moments_.weight == first.moments_.weight == 400
    assert model.score(X, Y) > first.score(X, Y)


@pytest.mark.parametrize("kind", ["arrays", "csr"])
def test_the_map_of_a_transformer_is_the_same_whatever_the_blocks(kind: str, few_are_kept: None) -> None:
    order = RNG.permutation(400)
    make = nk.NeuralFeatures(NET, n_components=24, random_state=0)
    one = make.fit(cut(KINDS[kind](X), size=400)).transform(Z)
    assert_array_equal(make.fit(cut(KINDS[kind](X[order]), size=17)).transform(Z), one)
    assert_allclose(make.transform(cut(Z, size=20)), one)
