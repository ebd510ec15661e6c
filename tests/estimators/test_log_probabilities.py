"""Logarithms of probabilities, of all that classify."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import StandardScaler

import neural_kernels as nk
from neural_kernels.estimators.calibration import Calibration

RNG = np.random.default_rng(0)
X = RNG.normal(size=(90, 3))
LABELS = np.array(["a", "b", "c"])[np.digitize(X[:, 0] + 0.3 * RNG.normal(size=90), [-0.5, 0.5])]


@pytest.mark.parametrize(
    "model",
    [
        nk.NeuralKernelClassifier(),
        nk.NeuralFeatureClassifier(n_components=32, random_state=0),
        nk.NeuralFeatureLogisticClassifier(n_components=32, random_state=0),
        nk.FeatureLearning(nk.NeuralKernelClassifier(), iterations=1, power=1.0),
        nk.StreamPipeline([("scale", StandardScaler()), ("model", nk.NeuralKernelClassifier())]),
        Pipeline([("scale", StandardScaler()), ("model", nk.NeuralKernelClassifier())]),
    ],
    ids=lambda model: type(model).__name__,
)
@pytest.mark.parametrize("labels", [LABELS, LABELS == "a"], ids=["three", "two"])
def test_they_are_the_logarithms(model, labels):
    model.fit(X, labels)
    np.testing.assert_allclose(np.exp(model.predict_log_proba(X)), model.predict_proba(X), rtol=1e-12)


def test_they_are_finite_where_probabilities_are_not_there():
    calibration = Calibration(temperature=1e-4, softness=np.inf, log_loss=0.0)
    scores = np.array([[1.0], [-1.0]])
    assert (calibration.probabilities(scores) == [[0, 1], [1, 0]]).all()
    np.testing.assert_allclose(calibration.log_probabilities(scores), [[-2e4, 0], [0, -2e4]])


def test_regressors_have_none():
    assert not hasattr(nk.FeatureLearning(nk.NeuralKernelRegressor()), "predict_log_proba")
