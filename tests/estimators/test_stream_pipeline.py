"""Pipelines of rows in blocks: each step in a pass, with the results of scikit-learn's own on one array."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from numpy.testing import assert_allclose
from sklearn.base import clone
from sklearn.decomposition import PCA, IncrementalPCA
from sklearn.exceptions import NotFittedError
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import SGDClassifier
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import FunctionTransformer, MinMaxScaler, Normalizer, QuantileTransformer, StandardScaler

import neural_kernels as nk
from neural_kernels.estimators.accumulation import Accumulation

RNG = np.random.default_rng(0)
X = RNG.normal([5, -3, 0], [1, 10, 100], (300, 3))
Y = np.sin(X[:, 0])
LABELS = np.where(Y > 0, "up", "down")


def blocks(y: Any = Y) -> Iterator[Any]:
    return ((X[start : start + 40], y[start : start + 40]) for start in range(0, 300, 40))


def regressor() -> nk.NeuralFeatureRegressor:
    return nk.NeuralFeatureRegressor(nk.mlp(1, bias_var=0.1), n_components=24, alpha=0.1, random_state=0)


STEPS: dict[str, list[Any]] = {
    "scaler": [StandardScaler()],
    "two": [MinMaxScaler(), StandardScaler()],
    "nothing to learn": [StandardScaler(), Normalizer(), FunctionTransformer(np.tanh), "passthrough"],
    "frozen": [FrozenEstimator(QuantileTransformer(n_quantiles=50).fit(X))],
    "none": [],
}


@pytest.mark.parametrize("case", STEPS)
def test_the_model_of_one_array(case: str) -> None:
    steps = [(f"step {k}", step) for k, step in enumerate(STEPS[case])] + [("model", regressor())]
    plain = clone(Pipeline(steps)).fit(X, Y)
    expected = plain.predict(X)
    model = nk.StreamPipeline(steps)
    assert model.fit(list(blocks())) is model
    assert_allclose(model.predict(X), expected, rtol=1e-6)
    assert_allclose(model.predict(iter([(X[:200],), (X[200:],)])), expected, rtol=1e-6)
    assert_allclose(model.predict(X[:9], return_std=True), model.predict(iter([(X[:9],)]), return_std=True), rtol=1e-8)
    assert_allclose(nk.StreamPipeline(steps).fit(X, Y).predict(X), expected)  # arrays


def test_files_and_loaders(tmp_path: Path) -> None:
    frame = pd.DataFrame(X, columns=["a", "b", "c"]).assign(y=Y)
    frame.to_parquet(tmp_path / "rows.parquet")
    expected = Pipeline([("scale", StandardScaler()), ("model", regressor())]).fit(X, Y).predict(X)
    model = nk.StreamPipeline([("scale", StandardScaler()), ("model", regressor())]).fit(tmp_path, "y")
    assert_allclose(model.predict(tmp_path), expected, rtol=1e-6)  # columns by name
    assert_allclose(model.predict(X), expected, rtol=1e-6)
    loader = torch.utils.data.DataLoader(torch.utils.data.TensorDataset(torch.as_tensor(X), torch.as_tensor(Y)), 64)
    assert_allclose(model.fit(loader).predict(loader), expected, rtol=1e-6)
    np.save(tmp_path / "X.npy", X)
    mapped = np.load(tmp_path / "X.npy", mmap_mode="r")
    assert_allclose(model.fit(mapped, Y).predict(mapped), expected, rtol=1e-6)


def test_classifiers_and_transformers() -> None:
    classifier = nk.NeuralFeatureClassifier(n_components=24, alpha=0.1, random_state=0)
    plain = Pipeline([("scale", StandardScaler()), ("model", clone(classifier))]).fit(X, LABELS)
    model = nk.StreamPipeline([("scale", StandardScaler()), ("model", classifier)]).fit([*blocks(LABELS)])
    for name in ("predict_proba", "decision_function"):
        assert_allclose(getattr(model, name)([*blocks(LABELS)]), getattr(plain, name)(X), rtol=1e-5, atol=1e-7)
    assert (model.predict([*blocks(LABELS)]) == plain.predict(X)).all()
    assert not hasattr(model, "transform")
    features = nk.NeuralFeatures(n_components=24, random_state=0)
    phi = nk.StreamPipeline([("scale", StandardScaler()), ("phi", features)])
    expected = Pipeline([("scale", StandardScaler()), ("phi", clone(features))]).fit(X).transform(X)
    assert_allclose(phi.fit([*blocks()]).transform([*blocks()]), expected, atol=1e-9)
    assert not hasattr(phi, "predict")


def test_other_last_steps() -> None:
    features = nk.NeuralFeatures(n_components=24, random_state=0)
    model = nk.StreamPipeline([("scale", StandardScaler()), ("phi", features), ("model", SGDClassifier())])
    model.fit([*blocks(LABELS)] * 5, model__classes=["down", "up"])
    assert model.score(X, LABELS) > 0.7
    assert model.predict([*blocks()]).shape == (300,)
    reduced = nk.StreamPipeline([("scale", StandardScaler()), ("pca", IncrementalPCA(2))]).fit([*blocks()])
    assert reduced.transform([*blocks()]).shape == (300, 2)


def test_parameters_of_the_last_step(tmp_path: Path) -> None:
    model = nk.StreamPipeline([("scale", StandardScaler()), ("model", regressor())])
    model.fit([*blocks()], model__checkpoint=tmp_path / "fit")
    with pytest.raises(TypeError, match=r"scale__sample_weight: of blocks, parameters of the last step alone"):
        model.fit([*blocks()], scale__sample_weight=Y)


def test_what_cannot_be_fitted_to_blocks() -> None:
    with pytest.raises(TypeError, match=r"step 'pca', PCA, has no partial_fit.*FrozenEstimator\(step\)"):
        nk.StreamPipeline([("pca", PCA(2)), ("model", regressor())]).fit([*blocks()])
    with pytest.raises(ValueError, match=r"can be read once, and each step takes a pass: give files"):
        nk.StreamPipeline([("scale", StandardScaler()), ("model", regressor())]).fit(blocks())
    model = nk.StreamPipeline([("normal", Normalizer()), ("model", regressor())]).fit(blocks())  # one pass alone
    assert model.predict(X).shape == (300,)
    broken = [(part.copy(), y) for part, y in blocks()]
    broken[3][0][1, 2] = np.nan
    with pytest.raises(ValueError, match=r"block 3 \(rows 120 to 159\): X: .* row 1, column 2"):
        nk.StreamPipeline([("scale", StandardScaler()), ("model", regressor())]).fit(broken)


def test_an_interrupt_leaves_the_pipeline(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(*_: Any) -> Any:
        raise KeyboardInterrupt

    model = nk.StreamPipeline([("scale", StandardScaler()), ("model", regressor())]).fit(X, Y)
    before = model.predict(X)
    with monkeypatch.context() as patch:
        patch.setattr(Accumulation, "add", interrupt)
        with pytest.raises(KeyboardInterrupt):
            model.fit([(2 * part, y) for part, y in blocks()])
    assert_allclose(model.predict(X), before, rtol=0)
    with pytest.raises(NotFittedError):
        clone(model).predict(X)
