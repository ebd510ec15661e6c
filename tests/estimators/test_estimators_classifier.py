"""The classifier: against the regressor, refits and what probabilities must be."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.testing import assert_allclose
from scipy.special import softmax
from sklearn.datasets import load_breast_cancer, load_iris
from sklearn.model_selection import train_test_split
from sklearn.preprocessing import StandardScaler

from neural_kernels.estimators import NeuralKernelClassifier, NeuralKernelRegressor
from neural_kernels.estimators.calibration import Calibration
from neural_kernels.exact import NNGP, NTK
from neural_kernels.layers import mlp

NET = mlp(2, bias_var=0.1)
KERNEL = {"ntk": NTK(NET), "nngp": NNGP(NET)}


@pytest.fixture
def data():
    """60 training examples, 9 test examples, a smooth target far from 0."""
    rng = np.random.default_rng(0)
    X = rng.standard_normal((69, 4))
    y = np.sin(X[:, 0]) + X[:, 1] ** 2 + 5 + 0.1 * rng.standard_normal(69)
    return X[:60], y[:60], X[60:]


@pytest.fixture(scope="module")
def cancer():
    X, y = load_breast_cancer(return_X_y=True)
    train, test, y_train, y_test = train_test_split(X, y, random_state=0, stratify=y, test_size=0.5)
    scaler = StandardScaler().fit(train)
    return scaler.transform(train), y_train, scaler.transform(test), y_test


def log_loss(y, probability):
    return -np.log(probability[np.arange(len(y)), y]).mean()


@pytest.mark.parametrize("kernel", ["ntk", "nngp"])
def test_two_classes_are_one_regression(data, kernel):
    X, y, Z = data
    labels = np.where(y > 6, "high", "low")
    model = NeuralKernelClassifier(NET, kernel=kernel, alpha=1e-2).fit(X, labels)
    regressor = NeuralKernelRegressor(NET, kernel=kernel, alpha=1e-2).fit(X, np.where(labels == "low", 1.0, -1.0))
    assert model.classes_.tolist() == ["high", "low"]
    assert_allclose(model.decision_function(Z), regressor.predict(Z), rtol=1e-9)
    assert_allclose(model.decision_function(Z, time=9.0), regressor.predict(Z, time=9.0), rtol=1e-9)
    assert (model.predict(Z) == np.where(model.decision_function(Z) > 0, "low", "high")).all()


def test_many_classes():
    X, y = load_iris(return_X_y=True, as_frame=False)
    X = StandardScaler().fit_transform(X)
    names = np.array(["setosa", "versicolor", "virginica"])[y]
    model = NeuralKernelClassifier(alpha=[1e-3, 1e-2, 1e-1]).fit(X[::2], names[::2])
    scores, probability = model.decision_function(X[1::2]), model.predict_proba(X[1::2])
    assert scores.shape == probability.shape == (75, 3)
    assert_allclose(probability.sum(axis=1), 1, rtol=1e-12)
    assert (probability.argmax(axis=1) == scores.argmax(axis=1)).all()
    assert model.score(X[1::2], names[1::2]) > 0.93
    assert model.loo_scores_.shape == (3,)


def test_probabilities_follow_decision_values_and_are_calibrated(cancer):
    X, y, Z, truth = cancer
    model = NeuralKernelClassifier(alpha=1e-2).fit(X, y)
    probability, decision = model.predict_proba(Z), model.decision_function(Z)
    assert_allclose(probability.sum(axis=1), 1, rtol=1e-12)
    order = np.argsort(decision)
    assert (np.diff(probability[order, 1]) >= 0).all()
    assert ((probability[:, 1] > 0.5) == (decision > 0)).all()
    uncalibrated = 1 / (1 + np.exp(-decision))
    calibrated = log_loss(truth, probability)
    assert calibrated < 0.6 * log_loss(truth, np.column_stack([1 - uncalibrated, uncalibrated]))
    assert calibrated < 0.12
    assert model.score(Z, truth) > 0.95


def test_probabilities_are_fitted_to_refits_without_the_example(data):
    X, y = data[0][:30], (data[1][:30] > 6).astype(int)
    model = NeuralKernelClassifier(NET, alpha=0.1).fit(X, y)
    gram, scores = KERNEL["ntk"](X), np.empty((30, 1))
    for i in range(30):
        rest = np.arange(30) != i
        relative = model.ridge_ / np.diagonal(gram)[rest].mean()
        refit = NeuralKernelClassifier(kernel="precomputed", alpha=relative).fit(gram[np.ix_(rest, rest)], y[rest])
        scores[i] = refit.decision_function(gram[[i]][:, rest])
    expected = Calibration.fit(scores, np.eye(2)[y], np.ones(30))
    assert model.calibration_.softness == expected.softness
    assert model.temperature_ == model.calibration_.temperature == pytest.approx(expected.temperature, rel=1e-6)
    assert model.calibration_.log_loss == pytest.approx(log_loss(y, expected.probabilities(scores)), rel=1e-6)


@pytest.mark.parametrize("labels", [2, 3, 7])
@pytest.mark.parametrize("alpha", [1e-4, 1.0])
def test_the_predicted_class_is_the_most_probable_one(data, labels, alpha):
    X, y, _ = data
    y = np.digitize(y, np.quantile(y, np.arange(1, labels) / labels))
    Z = 3 * np.random.default_rng(1).standard_normal((500, 4))
    model = NeuralKernelClassifier(NET, alpha=alpha).fit(X, y)
    probability = model.predict_proba(Z)
    assert_allclose(probability.sum(axis=1), 1, rtol=1e-12)
    assert (model.classes_[probability.argmax(axis=1)] == model.predict(Z)).all()


def test_noise_in_labels_shows_in_probabilities():
    rng = np.random.default_rng(0)
    X = rng.standard_normal((400, 4))
    y = (X[:, 0] + rng.standard_normal(400) > 0).astype(int)
    model = NeuralKernelClassifier(NET, alpha=1e-4).fit(X[:200], y[:200])
    held_out = log_loss(y[200:], model.predict_proba(X[200:]))
    assert held_out < np.log(2)
    assert held_out < log_loss(y[200:], softmax(8 * model.decision_function(X[200:])[:, None] * [-1, 1], axis=1))


def test_class_weights_are_sample_weights(data):
    X, y, Z = data
    labels = np.where(y > 7, "high", "low")
    share = (labels == "high").mean()
    factors = {"high": 0.5 / share, "low": 0.5 / (1 - share)}
    balanced = NeuralKernelClassifier(NET, class_weight="balanced").fit(X, labels).decision_function(Z)
    given = NeuralKernelClassifier(NET, class_weight=factors).fit(X, labels).decision_function(Z)
    weights = np.where(labels == "high", factors["high"], factors["low"])
    weighted = NeuralKernelClassifier(NET).fit(X, labels, sample_weight=weights).decision_function(Z)
    assert_allclose(balanced, weighted, rtol=1e-9)
    assert_allclose(given, weighted, rtol=1e-9)


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"class_weight": "even"}, "class_weight='even'"),
        ({"class_weight": {5: 1.0}}, "not among"),
        ({"class_weight": {0: -1.0}}, "positive"),
    ],
)
def test_bad_class_weights_are_refused(data, parameters, message):
    X, y, _ = data
    with pytest.raises(ValueError, match=message):
        NeuralKernelClassifier(**parameters).fit(X, (y > 6).astype(int))


def test_one_class_is_refused(data):
    X, y, _ = data
    with pytest.raises(ValueError, match="one class"):
        NeuralKernelClassifier(NET).fit(X, np.zeros(60, dtype=int))
    labels = (y > 6).astype(int)
    with pytest.raises(ValueError, match="one class"):
        NeuralKernelClassifier(NET).fit(X, labels, sample_weight=labels)
