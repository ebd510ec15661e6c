"""Rows far outside the training data, told by every predictor alike: a warning, a number a row, a wide deviation."""

from __future__ import annotations

import pickle
import threading
import warnings
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_allclose

import neural_kernels as nk
from neural_kernels import ScaleWarning

NET = nk.mlp(2, bias_var=0.1)
RNG = np.random.default_rng(0)
X, NEW = RNG.normal(size=(400, 4)), np.random.default_rng(1).normal(size=(200, 4))
Y = np.sin(X[:, 0]) + 0.1 * RNG.normal(size=400)
MODELS: dict[str, tuple[Any, Any]] = {
    "exact": (nk.NeuralKernelRegressor(NET, kernel="nngp"), Y),
    "exact, labels": (nk.NeuralKernelClassifier(NET), Y > 0),
    "landmarks": (nk.NeuralFeatureRegressor(NET, n_components=64, method=nk.Nystrom(), random_state=0), Y),
    "features": (nk.NeuralFeatureRegressor(NET, n_components=256, method=nk.RandomFeatures(), random_state=0), Y),
    "features, labels": (nk.NeuralFeatureClassifier(NET, n_components=64, random_state=0), Y > 0),
    "learnt metric": (nk.FeatureLearning(nk.NeuralKernelRegressor(NET), iterations=1, power=0.5), Y),
}


@pytest.mark.parametrize("name", MODELS)
def test_far_rows_are_told(name):
    model, y = MODELS[name]
    model.fit(X, y)
    with warnings.catch_warnings():
        warnings.simplefilter("error", ScaleWarning)
        model.predict(NEW)
    far = NEW.copy()
    far[3] *= 1e3
    with pytest.warns(ScaleWarning, match="1 of 200 rows lie far outside"):
        model.predict(far)
    novelty = model.novelty(NEW)
    assert 0.7 < np.median(novelty) < 1.4
    assert novelty.max() < 10
    assert model.novelty(far)[3] > 20
    assert_allclose(np.delete(model.novelty(far), 3), np.delete(novelty, 3), rtol=1e-6)
    assert_allclose(model.novelty(1e4 * NEW) / model.novelty(1e3 * NEW), 10, rtol=0.1)


def said(call: Callable[[], object]) -> list[str]:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        call()
    return [str(w.message).split(" lie")[0] for w in caught]


@pytest.mark.parametrize("name", MODELS)
def test_a_fitted_model_warns_once(name):
    model, y = MODELS[name]
    for _ in range(2):  # a refit warns anew
        model.fit(X, y)
        assert said(lambda: model.predict(NEW)) == []
        assert said(lambda: model.predict(1e3 * NEW)) == ["200 of 200 rows"]
        assert said(lambda: model.predict(1e4 * NEW)) == []


def test_more_rows_warn_anew():
    model = nk.NeuralFeatureRegressor(NET, n_components=32, random_state=0).partial_fit(X, Y)
    blocks = [1e3 * NEW[:50], 1e4 * NEW[50:]]
    assert said(lambda: model.predict(iter(blocks))) == ["50 of 50 rows"]
    model.partial_fit(X, Y)
    assert said(lambda: model.predict(iter(blocks))) == ["50 of 50 rows"]


def test_threads_warn_once_together():
    model = nk.NeuralKernelRegressor(NET).fit(X, Y)
    start = threading.Barrier(8)

    def predict(_: int) -> None:
        start.wait()
        model.predict(1e3 * NEW)

    def together() -> None:
        with ThreadPoolExecutor(8) as pool:
            list(pool.map(predict, range(8)))

    assert said(together) == ["200 of 200 rows"]


def test_copies_and_files_do_not_know_of_warnings(tmp_path):
    model = nk.NeuralKernelRegressor(NET).fit(X, Y)
    before = pickle.dumps(model)
    assert said(lambda: model.predict(1e3 * NEW)) == ["200 of 200 rows"]
    nk.save(model, tmp_path / "model")
    assert pickle.dumps(model) == before
    for again in (pickle.loads(before), nk.load(tmp_path / "model")):
        assert said(lambda again=again: again.predict(1e3 * NEW)) == ["200 of 200 rows"]
    assert said(lambda: model.predict(1e3 * NEW)) == []


def test_a_warning_that_is_an_error_is_raised_by_each_call():
    model = nk.NeuralKernelRegressor(NET).fit(X, Y)
    with warnings.catch_warnings():
        warnings.simplefilter("error", ScaleWarning)
        for _ in range(2):
            with pytest.raises(ScaleWarning):
                model.predict(1e3 * NEW)
    assert said(lambda: model.predict(1e3 * NEW)) == ["200 of 200 rows"]


@pytest.mark.parametrize("name", ["exact", "landmarks", "features"])
def test_deviations_grow_with_the_distance(name):
    model, y = MODELS[name]
    model.fit(X, y)
    near = model.predict(NEW[:20], return_std=True)[1]
    with pytest.warns(ScaleWarning, match="far outside"):
        far, farther = (model.predict(c * NEW[:20], return_std=True)[1] for c in (100, 1e4))
    assert (far > 3 * near).all()
    assert_allclose(farther / far, 100, rtol=0.2)


def test_exact_features_give_the_novelty_of_the_exact_model():
    exact = nk.NeuralKernelRegressor(NET, alpha=0.1).fit(X[:60], Y[:60])
    landmarks = nk.NeuralFeatureRegressor(NET, n_components=60, alpha=0.1, random_state=0).fit(X[:60], Y[:60])
    assert_allclose(landmarks.novelty(NEW), exact.novelty(NEW), rtol=0.1)  # an intercept of flat prior beside it


def test_blocks_and_an_alpha_of_0():
    model = nk.NeuralFeatureRegressor(NET, n_components=32, random_state=0).fit(X, Y)
    assert_allclose(model.novelty(iter([NEW[:50], NEW[50:]])), model.novelty(NEW), rtol=1e-10)
    with pytest.raises(ValueError, match="alpha above 0"):
        nk.NeuralFeatureRegressor(NET, n_components=8, alpha=0.0, random_state=0).fit(X, Y).novelty(NEW)
