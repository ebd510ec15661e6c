"""Warnings of scales: where they are due, and nowhere else."""

from __future__ import annotations

import tracemalloc
import warnings
from typing import Any

import numpy as np
import pytest
from scipy import sparse
from sklearn import datasets
from sklearn.decomposition import PCA
from sklearn.feature_extraction.text import TfidfTransformer
from sklearn.model_selection import train_test_split
from sklearn.preprocessing import MinMaxScaler, StandardScaler

from neural_kernels.errors import ScaleWarning
from neural_kernels.estimators import (
    NeuralFeatureClassifier,
    NeuralFeatureRegressor,
    NeuralFeatures,
    NeuralKernelClassifier,
    NeuralKernelRegressor,
)
from neural_kernels.estimators.scales import warn_of_columns
from neural_kernels.exact import NTK, Laplace
from neural_kernels.layers import LayerNorm, Sequential, mlp


def draws(seed=0):
    return np.random.default_rng(seed)


def table(n=300):
    """Mixed columns in units of their own, as tables come: money, years, ages, rates, indicators."""
    rng = draws()
    money, age = np.exp(rng.normal(10, 1, n)), rng.integers(18, 90, n)
    rest = [rng.integers(1950, 2020, n), rng.beta(2, 8, n), rng.integers(0, 2, n), rng.normal(0, 1e-3, n)]
    return np.column_stack([money, age, *rest])


def counts(n=300, seed=0):
    """Words of documents: most are rare, some frequent, and documents are short and long."""
    rng = draws(seed)
    return rng.poisson(rng.lognormal(0, 1, (n, 1)) / (1 + np.arange(400)) ** 0.8).astype(float)


def indicators(n=300):
    """One-hot columns of categories, the last of which 1 % have, beside normal columns."""
    rng = draws()
    codes = rng.choice(4, n, p=[0.6, 0.3, 0.09, 0.01])
    return np.hstack([np.eye(4)[codes], rng.standard_normal((n, 3))])


RAW = {
    "diabetes": datasets.load_diabetes().data,
    "digits": datasets.load_digits().data[:400],
    "iris": datasets.load_iris().data,
    "linnerud": datasets.load_linnerud().data,
    "friedman1": datasets.make_friedman1(300, random_state=0)[0],
    "moons": datasets.make_moons(300, noise=0.1, random_state=0)[0],
    "blobs": datasets.make_blobs(300, random_state=0)[0],
    "swiss roll": datasets.make_swiss_roll(300, random_state=0)[0],
    "indicators": indicators(),
    "counts, dense": counts(),
    "counts": sparse.csr_matrix(counts()),
    "tf-idf": TfidfTransformer().fit_transform(sparse.csr_matrix(counts())),
    "heavy tails": draws().standard_t(2.5, (300, 5)),
    "images": datasets.load_digits().images[:100, None] * 16,
}
UNITS = {
    "wine": datasets.load_wine().data,
    "breast cancer": datasets.load_breast_cancer().data,
    "friedman2": datasets.make_friedman2(300, random_state=0)[0],
    "friedman3": datasets.make_friedman3(300, random_state=0)[0],
    "table": table(),
    "times": 1.7e9 + 1e3 * draws().standard_normal((300, 1)),
}
PLAIN = {name: X for name, X in RAW.items() if not sparse.issparse(X) and X.ndim == 2} | UNITS


def halves(X):
    return train_test_split(X, random_state=0)


def said(train: Any, test: Any = None, model: Any = None) -> list[str]:
    """The warnings of a fit and, where test rows are given, of a prediction."""
    model = NeuralKernelRegressor() if model is None else model
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        model.fit(train, np.arange(train.shape[0]) % 7)
        if test is not None:
            (model.predict if hasattr(model, "predict") else model.transform)(test)
    assert all(warning.category is ScaleWarning and warning.filename == __file__ for warning in caught)
    return [str(warning.message) for warning in caught]


@pytest.mark.parametrize("name", RAW)
def test_none_where_columns_share_their_unit(name):
    network = Sequential(mlp(1, bias_var=0.1)) if RAW[name].ndim == 2 else None
    kernel = "ntk" if network else lambda x, y: x.reshape(len(x), -1) @ y.reshape(len(y), -1).T + 1
    assert said(*halves(RAW[name]), NeuralKernelRegressor(network, kernel=kernel)) == []


@pytest.mark.parametrize("scaler", [StandardScaler, MinMaxScaler], ids=lambda scaler: scaler.__name__)
@pytest.mark.parametrize("name", PLAIN)
def test_none_after_scaling(name, scaler):
    train, test = halves(PLAIN[name])
    scaler = scaler().fit(train)
    assert said(scaler.transform(train), scaler.transform(test)) == []


@pytest.mark.parametrize("name", PLAIN)
def test_none_for_principal_components(name):
    train, test = halves(PLAIN[name])
    scaler = StandardScaler().fit(train)
    components = PCA().fit(scaler.transform(train))
    assert said(*(components.transform(scaler.transform(part)) for part in (train, test))) == []


@pytest.mark.parametrize("name", UNITS)
def test_one_for_columns_in_units_of_their_own(name):
    (message,) = said(UNITS[name])
    assert "hardly vary beside the largest number" in message
    assert "StandardScaler" in message


def test_the_numbers_are_those_of_the_columns():
    X = np.column_stack(
        [draws(0).uniform(0, 1, 100), np.linspace(0, 5000, 100), draws(1).uniform(0, 1, 100), np.linspace(0, 0.1, 100)]
    )
    (message,) = said(X)
    assert message.startswith(
        "3 of 4 columns of X hardly vary beside the largest number, 5e+03 in column 1 (column 3 varies by 0.1)"
    )


def test_columns_are_not_judged_for_kernels_with_scales_of_their_own():
    assert said(UNITS["wine"], model=NeuralKernelRegressor(kernel=lambda x, y: x @ (y / 1e6).T)) == []
    gram = NTK(mlp(1))(UNITS["wine"])
    assert said(gram, model=NeuralKernelRegressor(kernel="precomputed")) == []
    assert len(said(UNITS["wine"], model=NeuralKernelRegressor(kernel=Laplace(1e-3)))) == 1


@pytest.mark.parametrize("precomputed", [False, True])
def test_one_for_an_outlying_training_row(precomputed):
    X = draws().standard_normal((300, 10))
    X[41] *= 100
    model = NeuralKernelRegressor(kernel="precomputed") if precomputed else NeuralKernelRegressor()
    (message,) = said(NTK(mlp(1))(X) if precomputed else X, model=model)
    assert message.startswith("1 of 300 training rows lie far outside the others (in row 41 k(x, x) is ")


def test_rows_are_counted_as_the_user_counts_them():
    X = np.repeat(draws().standard_normal((100, 5)), 2, axis=0)
    X[150:152] *= 1e3
    assert "in row 150 " in said(X)[0]


@pytest.mark.parametrize("model", [NeuralKernelRegressor(), NeuralKernelClassifier()], ids=["regressor", "classifier"])
def test_one_for_new_rows_far_outside(model):
    X = draws().standard_normal((100, 10))
    Z = draws(1).standard_normal((50, 10))
    Z[7] *= 1e3
    Z[9] *= 1e2
    (message,) = said(X, Z, model)
    assert message.startswith("2 of 50 rows lie far outside the training data")
    distance, radius = np.linalg.norm(Z[7] - X.mean(axis=0)), np.linalg.norm(X - X.mean(axis=0), axis=1).max()
    assert (
        f"(row 7 is {distance:.3g} away from the mean of the training rows, the farthest of them {radius:.3g})"
        in message
    )


def test_one_for_new_sparse_rows_far_outside():
    X, Z = counts(), counts(seed=1)
    Z[3] += 1000
    (message,) = said(sparse.csr_matrix(X), sparse.csr_matrix(Z))
    distance = np.linalg.norm(Z[3] - X.mean(axis=0))
    assert f"row 3 is {distance:.3g} away" in message


def test_one_for_new_images_far_outside():
    images = datasets.load_digits().images[:40, None]
    kernel = lambda x, y: x.reshape(len(x), -1) @ y.reshape(len(y), -1).T + 1  # noqa: E731
    (message,) = said(images, images + 1000, NeuralKernelRegressor(kernel=kernel))
    assert message.startswith("40 of 40 rows")


@pytest.mark.parametrize("shift", [0.0, 1e4])
def test_new_rows_are_judged_about_the_mean(shift):
    X, Z = shift + draws().standard_normal((100, 3)), shift + draws(1).standard_normal((50, 3))
    Z[3] += 500
    assert sum("row 3 is" in message for message in said(X, Z)) == 1


@pytest.mark.parametrize(
    "model",
    [
        NeuralKernelRegressor(kernel=Laplace()),
        NeuralKernelRegressor(Sequential(mlp(1, bias_var=0.1), LayerNorm(), mlp(1))),
    ],
    ids=["Laplace", "normalized"],
)
def test_none_where_the_kernel_is_bounded(model):
    X, Z = draws().standard_normal((2, 100, 10))
    assert said(X, 1e3 * Z, model) == []


def test_few_rows_say_nothing_of_their_scales():
    X = np.array([[1.0, 1e-6], [-1e5, 2e-6], [3.0, 3e-6]])
    assert said(X, 1e9 * X) == []


FEATURES = [NeuralFeatureRegressor, NeuralFeatureClassifier, NeuralFeatures]


@pytest.mark.parametrize("kind", FEATURES, ids=lambda kind: kind.__name__)
def test_models_of_features_say_the_same(kind):
    model = kind(n_components=32, random_state=0)
    X, Z = draws().standard_normal((2, 200, 4))
    assert said(X, Z, model) == []
    assert said(sparse.csr_matrix(counts()), sparse.csr_matrix(counts(seed=1)), model) == []
    assert said(UNITS["wine"], model=model) == said(UNITS["wine"])
    X[41] *= 1e3
    (message,) = said(X, Z, model)
    assert message.startswith("1 of 200 training rows lie far outside the others (in row 41 k(x, x) is ")
    Z[7] *= 1e6
    assert said(X, Z, model)[1].startswith("1 of 200 rows lie far outside the training data")


def test_the_training_data_of_a_stream_are_all_calls():
    X = draws().standard_normal((40, 4))
    first, second = X[:20], 100 * X[20:]
    model = NeuralFeatureRegressor(n_components=16, random_state=0).fit(first, first[:, 0])
    with pytest.warns(ScaleWarning, match="20 of 20 rows lie far outside"):
        model.predict(second)
    other = model.empty_copy().partial_fit(second, second[:, 0])
    model.merge(other).predict(second)
    later = NeuralFeatureRegressor(n_components=16, random_state=0).partial_fit(first, first[:, 0])
    later.partial_fit(second, second[:, 0]).predict(second)


def test_wide_rows_are_judged_in_blocks_of_columns():
    """With little memory beside them, and the same columns found."""
    x = draws().standard_normal((200, 50_000), dtype=np.float32)  # 40 MB
    x[:, ::2] *= 1e-3
    tracemalloc.start()
    with pytest.warns(ScaleWarning, match="25000 of 50000 columns of X hardly vary"):
        warn_of_columns(x, NTK(mlp(2)))
    most = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert most < x.nbytes
