"""Models that are given rows in parts, and labels for their targets."""

from __future__ import annotations

from typing import Any

import numpy as np

from neural_kernels.estimators import NeuralFeatureClassifier, NeuralFeatureRegressor
from neural_kernels.layers import mlp

NET = mlp(2, bias_var=0.1)
ALPHAS = [1e-3, 1e-1, 10.0]
CLASSES = np.array(["high", "low", "mid"])


def regressor(**options: Any) -> NeuralFeatureRegressor:
    return NeuralFeatureRegressor(NET, **({"n_components": 40, "alpha": ALPHAS, "random_state": 0} | options))


def classifier(**options: Any) -> NeuralFeatureClassifier:
    return NeuralFeatureClassifier(NET, **({"n_components": 40, "alpha": ALPHAS, "random_state": 0} | options))


def label(y):
    return np.array(["low", "mid", "high"])[np.digitize(y, [5.0, 6.5])]
