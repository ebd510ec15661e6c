"""What came in is what is used: kernels, feature maps and estimators read numbers of every type alike."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pytest
import torch
from scipy import sparse

import neural_kernels as nk

WHOLE = np.random.default_rng(0).integers(0, 100, (24, 3))
Y = np.sin(WHOLE[:, 0] / 10)
NET = nk.mlp(1, bias_var=0.1)


def parsed(numbers: np.ndarray, kind: str) -> pd.DataFrame:
    return pd.DataFrame(numbers).astype(kind)


def arrow(numbers: np.ndarray) -> pd.DataFrame:
    pytest.importorskip("pyarrow")
    return parsed(numbers, "int64[pyarrow]")


def arrow_table(numbers: np.ndarray) -> Any:
    return pytest.importorskip("pyarrow").Table.from_arrays(list(numbers.T.astype(np.float64)), ["a", "b", "c"])


SINGLE: dict[str, Callable[[np.ndarray], Any]] = {
    "float16": lambda x: x.astype(np.float16),
    "float32": lambda x: x.astype(np.float32),
    ">f4": lambda x: x.astype(">f4"),
    "float32 of pandas": lambda x: parsed(x, "float32"),
    "float16 of pandas": lambda x: parsed(x, "float16"),
    "float32 of polars": lambda x: pl.DataFrame(x.astype(np.float32)),
    "float32 beside int8": lambda x: parsed(x, "float32").astype({1: "int8"}),
    "rows of float32": lambda x: list(x.astype(np.float32)),
    "CSR of float32": lambda x: sparse.csr_matrix(x.astype(np.float32)),
    "tensor of float16": lambda x: torch.from_numpy(x).half(),
    "tensor of bfloat16": lambda x: torch.from_numpy(x).bfloat16(),
    "tensor of float32": lambda x: torch.from_numpy(x).float(),
}
DOUBLE: dict[str, Callable[[np.ndarray], Any]] = {
    **{kind: lambda x, kind=kind: x.astype(kind) for kind in ("i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", ">i4")},
    **{kind: lambda x, kind=kind: x.astype(kind) for kind in ("f8", ">f8", "longdouble", "O")},
    "bool": lambda x: x > 50,
    "list of integers": lambda x: x.tolist(),
    "list of floats": lambda x: (x / 3).tolist(),
    "fractions": lambda x: np.array([[Fraction(int(v), 3) for v in row] for row in x]),
    "big integers": lambda x: np.array([[int(v) << 70 for v in row] for row in x], object),
    **{kind: lambda x, kind=kind: parsed(x, kind) for kind in ("Int64", "UInt8", "Float64", "Float32", "int16")},
    "integers beside floats": lambda x: parsed(x, "float32").astype({1: "int64"}),
    "booleans beside floats": lambda x: parsed(x, "float32").astype({1: "bool"}),
    "categories": lambda x: parsed(x, "category"),
    "integers of polars": lambda x: pl.DataFrame(x),
    "arrow columns": arrow,
    "arrow table": arrow_table,
    **{f"CSR of {kind}": lambda x, kind=kind: sparse.csr_matrix(x.astype(kind)) for kind in ("i1", "i8", "?", "f8")},
    **{
        f"tensor of {str(kind).removeprefix('torch.')}": lambda x, kind=kind: torch.from_numpy(x).to(kind)
        for kind in (torch.int8, torch.uint8, torch.int64, torch.bool, torch.float64)
    },
}
ALL = {name: (make, np.float32) for name, make in SINGLE.items()} | {
    n: (make, np.float64) for n, make in DOUBLE.items()
}


def numbers_of(x: Any, dtype: type) -> np.ndarray:
    """The same numbers in a plain array."""
    if isinstance(x, torch.Tensor):
        return x.double().numpy().astype(dtype)
    return (x.toarray() if sparse.issparse(x) else np.asarray(x)).astype(dtype)


@pytest.mark.parametrize("name", ALL)
def test_kernels_and_estimators_agree(name: str) -> None:
    make, dtype = ALL[name]
    x = make(WHOLE)
    plain = numbers_of(x, dtype)
    kernel = np.asarray(nk.NTK(NET)(x))
    assert kernel.dtype == dtype
    np.testing.assert_allclose(kernel, nk.NTK(NET)(plain), rtol=1e-12 if dtype is np.float64 else 1e-5)

    model, expected = (nk.NeuralKernelRegressor(NET, alpha=0.1).fit(data, Y) for data in (x, plain))
    assert model.X_fit_.dtype == dtype
    assert model.X_fit_.shape == expected.X_fit_.shape
    tolerance = 1e-9 if dtype is np.float64 else 1e-5
    np.testing.assert_allclose(model.predict(x), expected.predict(plain), rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("name", ALL)
def test_maps_and_estimators_on_maps_agree(name: str) -> None:
    make, dtype = ALL[name]
    x = make(WHOLE)
    plain = numbers_of(x, dtype)
    features = nk.NeuralFeatures(NET, n_components=16, random_state=0).fit(x)
    transformed = features.transform(x)
    by_map = np.asarray(features.map_(x))
    assert by_map.dtype == transformed.dtype == dtype
    by_landmarks, rest = np.hsplit(by_map, [features.n_components_])
    np.testing.assert_allclose(by_landmarks, transformed, rtol=1e-12, atol=0)
    assert not rest.any()  # columns beyond the distinct rows, which the transformer leaves out
    np.testing.assert_allclose(by_map, features.map_(plain), rtol=1e-5, atol=1e-5)
    models = (nk.NeuralFeatureRegressor(NET, n_components=16, random_state=0, alpha=0.1).fit(d, Y) for d in (x, plain))
    given, expected = models
    np.testing.assert_allclose(given.predict(x), expected.predict(plain), rtol=1e-4, atol=1e-4)


@pytest.mark.filterwarnings("ignore::neural_kernels.ScaleWarning")  # times beside their differences: it is due
@pytest.mark.parametrize("make", [np.asarray, np.ndarray.tolist, pd.DataFrame, torch.from_numpy])
def test_large_integers_stay_distinct(make: Callable[[np.ndarray], Any]) -> None:
    seconds = np.arange(300)[:, None] + 1_700_000_000
    model = nk.NeuralKernelRegressor(alpha=1.0).fit(make(seconds), np.arange(300.0))
    assert len(model.support_) == 300
    classifier = nk.NeuralKernelClassifier(alpha=1.0).fit(make(seconds), np.arange(300) % 2)
    assert len(classifier.support_) == 300


def test_images_of_integers() -> None:
    images = np.random.default_rng(0).integers(0, 256, (10, 1, 4, 4), dtype=np.uint8)
    model = nk.NeuralKernelRegressor(nk.cnn(1), alpha=1.0).fit(images, np.arange(10.0))
    assert model.X_fit_.dtype == np.asarray(nk.NTK(nk.cnn(1))(images)).dtype == np.float64
    single = nk.NeuralKernelRegressor(nk.cnn(1), alpha=1.0).fit(images.astype(np.float32), np.arange(10.0))
    assert single.X_fit_.dtype == np.float32


LAZY = [
    *[nk.NeuralKernelRegressor(), nk.FeatureLearning(nk.NeuralKernelRegressor()), nk.TableRegressor()],
    *[nk.NeuralKernelClassifier(), nk.TableClassifier(), nk.TableScaler(), nk.TableEncoder(), nk.ImageScaler()],
    *[nk.NeuralFeatures(), nk.NeuralFeatureRegressor(), nk.NeuralFeatureClassifier()],
]


@pytest.mark.parametrize("model", LAZY, ids=lambda model: type(model).__name__)
def test_lazy_frames_are_not_computed_unasked(model):
    frame, y = pl.DataFrame(WHOLE), (WHOLE[:, 0] > 50).astype(int)
    with pytest.raises(TypeError, match=r"X\.collect\(\)"):
        model.fit(frame.lazy(), y)
    if hasattr(model, "predict"):
        with pytest.raises(TypeError, match=r"y\.collect\(\)"):
            model.fit(WHOLE, pl.DataFrame(y).lazy())
