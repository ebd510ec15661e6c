"""Advice stands where it is due, and an error keeps its class on the way through an estimator."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy import sparse

import neural_kernels as nk

X = np.random.default_rng(0).normal(size=(30, 64))
Y = X[:, 0]
POOLED = nk.Sequential(nk.Dense(), nk.ReLU(), nk.GlobalAvgPool(), nk.Dense())
RESIZED = nk.Sequential(nk.Resize((4, 4)), nk.Flatten(), nk.Dense())
MAKES = [nk.NeuralKernelRegressor, nk.NeuralFeatures, nk.NeuralFeatureRegressor]


@pytest.mark.parametrize("net", [nk.cnn(1), POOLED, RESIZED], ids=str)
@pytest.mark.parametrize("make", MAKES)
def test_networks_on_images_say_how_to_make_some(make: Any, net: nk.Layer) -> None:
    with pytest.raises(ValueError, match=r"got vectors.* flat images, .*X\.reshape\(-1, 1, 8, 8\)\.$"):
        make(net).fit(X, Y)


def three(a: Any, b: Any) -> np.ndarray:
    return np.ones(3)


OTHERS: dict[str, tuple[Callable[[], Any], type[Exception]]] = {
    "unequal norms": (lambda: nk.NeuralFeatures(method=nk.ZonalFeatures()), nk.UnsuitableError),
    "unequal norms of a regressor": (lambda: nk.NeuralFeatureRegressor(method=nk.ZonalFeatures()), nk.UnsuitableError),
    "no affine layer": (lambda: nk.NeuralKernelRegressor(nk.Sequential(nk.ReLU(), nk.Dense())), nk.ArchitectureError),
    "no affine layer in a map": (lambda: nk.NeuralFeatures(nk.Sequential(nk.ReLU(), nk.Dense())), nk.ArchitectureError),
    "no columns": (lambda: nk.NeuralFeatures(n_components=0), ValueError),
    "no Gram matrix": (lambda: nk.NeuralKernelRegressor(kernel=three), ValueError),
    "no graphs": (lambda: nk.NeuralKernelRegressor(nk.Sequential(nk.GraphAggregate(), nk.Flatten())), ValueError),
}


@pytest.mark.parametrize("case", OTHERS)
def test_other_errors_come_through_as_they_are(case: str) -> None:
    make, error = OTHERS[case]
    with pytest.raises(error) as caught:
        make().fit(X, Y)
    assert type(caught.value) is error
    assert "flat images" not in str(caught.value)


def test_positions_lost_on_the_way_are_no_matter_of_the_data() -> None:
    net = nk.Sequential(nk.Conv(3), nk.ReLU(), nk.Flatten(), nk.Conv(3), nk.Flatten())
    with pytest.raises(ValueError, match="acts on positions") as caught:
        nk.NeuralKernelRegressor(net).fit(X.reshape(-1, 1, 8, 8), Y)
    assert "flat images" not in str(caught.value)


@pytest.mark.parametrize("net", [nk.Identity(), nk.Flatten()], ids=["identity", "flatten"])
def test_networks_without_weights_say_that_there_is_nothing_to_train(net: nk.Layer) -> None:
    with pytest.raises(
        ValueError, match=r'no weights, so that its NTK is 0 \(add nk\.Dense\(\), or take kernel="nngp"'
    ):
        nk.NeuralKernelRegressor(net).fit(X, Y)
    assert np.isfinite(nk.NeuralKernelRegressor(net, kernel="nngp").fit(X, Y).predict(X)).all()


def test_a_budget_names_models_that_need_less() -> None:
    with pytest.raises(MemoryError, match=r"nk\.NeuralFeatureRegressor, nk\.NeuralFeatureClassifier"):
        nk.NeuralKernelRegressor(memory_budget=100).fit(X, Y)
    with pytest.raises(MemoryError, match=r"nk\.feature_map"):
        nk.NTK(nk.mlp(1), memory_budget=100)(X)


def test_memory_that_is_not_there_is_an_error_with_a_remedy() -> None:
    """More than any address space holds, so that it fails at once."""
    with pytest.raises(MemoryError, match=r"takes 256,000,000,000,000 bytes, more than there are.*\(nk\.feature_map"):
        nk.NTK(nk.mlp(1))(np.ones((8_000_000, 1), np.float32))


RAW: dict[str, tuple[Any, bool]] = {
    "text": (pd.DataFrame({"district": ["north", "south"] * 15, "area": Y}), True),
    "missing": (pd.DataFrame({"area": [None, *Y[1:]]}), True),
    "text in an array": (np.array([["north", 1.0], ["south", 2.0]] * 15, dtype=object), True),
    "infinite": (np.where(X > 2, np.inf, X), False),
    "one axis": (Y, False),
    "sparse": (sparse.csr_matrix(np.where(X > 2, np.nan, X)), False),
}


@pytest.mark.parametrize("case", RAW)
@pytest.mark.parametrize("make", MAKES)
def test_tables_that_are_no_numbers_say_which_models_take_them(make: Any, case: str) -> None:
    table, advice = RAW[case]
    with pytest.raises(ValueError, match=r"NaN|infinity|could not convert|1D array|sparse") as caught:
        make().fit(table, Y)
    assert ("nk.table_pipeline" in "".join(getattr(caught.value, "__notes__", []))) == advice


@pytest.mark.parametrize("make", MAKES)
def test_images_whose_channels_come_last_or_lack_are_warned_of(make: Any) -> None:
    images, net = np.random.default_rng(0).normal(size=(12, 3, 6, 6)), nk.cnn(1, pooling="flatten")
    with pytest.warns(UserWarning, match=r"6 channels and 6 x 3 positions here\..* np\.moveaxis\(X, -1, 1\)"):
        make(net).fit(np.moveaxis(images, 1, -1), Y[:12])
    make(net).fit(images, Y[:12])  # without a warning, which would be an error
    with pytest.warns(UserWarning, match=r"6 channels and 6 positions here\..* pass X\[:, None\]"):
        make(net).fit(images[:, 0], Y[:12])
    make(net).fit(images[:, 0, :5], Y[:12])
