"""n_components="auto" in estimators: the number that the error of the kernel asks for."""

from __future__ import annotations

import pickle

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.datasets import load_iris
from sklearn.linear_model import Ridge
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from neural_kernels.estimators import NeuralFeatureClassifier, NeuralFeatureRegressor, NeuralFeatures
from neural_kernels.features import min_components
from neural_kernels.layers import mlp

NET = mlp(2, bias_var=0.1)


@pytest.fixture(scope="module")
def data():
    x = np.random.default_rng(0).standard_normal((600, 3))
    return x, np.sin(x[:, 0]) + x[:, 1]


def test_the_transformer_has_so_many_columns(data):
    x, y = data
    features = NeuralFeatures(NET, n_components="auto", random_state=0)
    z = features.fit_transform(x)
    assert z.shape == (600, features.n_components_)
    assert len(features.get_feature_names_out()) == features.n_components_
    assert features.n_components_ == pytest.approx(min_components(NET, x), rel=0.3)
    assert features.map_.centred_kernel_error_ < 0.06
    assert clone(features).n_components == "auto"
    model = make_pipeline(StandardScaler(), clone(features), Ridge(1e-3)).fit(x[:400], y[:400])
    assert model.score(x[400:], y[400:]) > 0.95


def test_models_have_so_many(data):
    x, y = data
    model = NeuralFeatureRegressor(NET, n_components="auto", random_state=0).fit(x[:400], y[:400])
    assert model.n_components_ == model.map_.n_components < 300
    assert model.score(x[400:], y[400:]) > 0.95
    assert pickle.loads(pickle.dumps(model)).n_components_ == model.n_components_
    labels = NeuralFeatureClassifier(NET, n_components="auto", random_state=0).fit(x[:400], y[:400] > 0)
    assert labels.n_components_ == model.n_components_
    assert labels.score(x[400:], y[400:] > 0) > 0.9


def test_streams_have_the_number_of_one_fit(data):
    x, y = data
    whole = NeuralFeatureRegressor(NET, n_components="auto", random_state=0).fit(x, y)
    parts = NeuralFeatureRegressor(NET, n_components="auto", random_state=0)
    for k in range(0, 600, 100):
        parts.partial_fit(x[k : k + 100], y[k : k + 100])
    assert parts.n_components_ == whole.n_components_
    np.testing.assert_allclose(parts.predict(x[:5]), whole.predict(x[:5]), rtol=1e-6)


def test_what_is_not_reached_is_said():
    x, y = load_iris(return_X_y=True)
    noise = np.random.default_rng(0).standard_normal((len(x), 40))
    with pytest.warns(UserWarning, match='n_components="auto": a centred kernel error of 0.05 was not reached'):
        model = NeuralFeatureClassifier(NET, n_components="auto").fit(np.hstack([x, noise]), y)
    assert model.n_components_ == 113  # all rows but the quarter that is held out


def test_refuses_other_words_and_small_budgets(data):
    x, y = data
    with pytest.raises(ValueError, match="n_components='many': expected a positive integer or \"auto\""):
        NeuralFeatureRegressor(NET, n_components="many").fit(x, y)
    with pytest.raises(ValueError, match="12 distinct rows are too few"):
        NeuralFeatureRegressor(NET, n_components="auto").fit(x[:12], y[:12])
    with pytest.raises(MemoryError, match="memory_budget"):
        NeuralFeatureRegressor(NET, n_components="auto", memory_budget=10_000).fit(x, y)
