"""Probabilities of the classifier with its default settings, on held-out rows, beside those of logistic regression."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
import pytest
from sklearn.datasets import load_breast_cancer, load_digits, load_wine, make_blobs
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss
from sklearn.model_selection import StratifiedKFold, cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import neural_kernels as nk


def _arrays(load: Callable[..., Any]) -> tuple[Any, Any]:
    return load(return_X_y=True)


def species() -> tuple[Any, Any]:
    """Thirty-two overlapping classes of ten rows."""
    points: Any = make_blobs(320, 10, centers=32, cluster_std=3.0, random_state=0)
    return points[0], points[1]


def digits() -> tuple[Any, Any]:
    x, y = _arrays(load_digits)
    return x[:600], y[:600]


SETS = {
    "species": species,
    "digits": digits,
    "wine": lambda: _arrays(load_wine),
    "cancer": lambda: _arrays(load_breast_cancer),
}


def held_out(model: Any, name: str) -> tuple[Any, Any]:
    x, y = SETS[name]()
    pipeline = make_pipeline(StandardScaler(), model)
    folds = StratifiedKFold(3, shuffle=True, random_state=0)
    return cross_val_predict(pipeline, x, y, cv=folds, method="predict_proba"), y


def calibration_error(p: np.ndarray, y: np.ndarray) -> float:
    top, right = p.max(axis=1), p.argmax(axis=1) == y
    cell = (15 * top).astype(int).clip(max=14)
    return float(np.abs(np.bincount(cell, right - top, minlength=15)).sum() / len(y))


@cache
def ours(name: str) -> tuple[Any, Any]:
    return held_out(nk.NeuralKernelClassifier(), name)


@pytest.mark.parametrize("name", SETS)
def test_probabilities_are_as_good_as_logistic_regression(name: str) -> None:
    p, y = ours(name)
    assert log_loss(y, p) < log_loss(y, held_out(LogisticRegression(max_iter=500), name)[0]) + 0.02


def test_on_average_probabilities_are_right() -> None:
    assert np.mean([calibration_error(*ours(name)) for name in SETS]) < 0.03


def test_many_classes_of_few_rows_may_be_sure() -> None:
    """Labels that are smoothed as for two classes keep the probabilities of 32 from exceeding a half or so."""
    points: Any = make_blobs(320, 10, centers=32, random_state=1)
    x, y = points[0], points[1]
    p = nk.NeuralKernelClassifier().fit(x[::2], y[::2]).predict_proba(x[1::2])
    assert log_loss(y[1::2], p, labels=np.arange(32)) < 0.05


@pytest.mark.parametrize("factor", [100.0, 1e4])
def test_one_outlying_row_does_not_take_the_others_probabilities(factor: float) -> None:
    """Left out, it is predicted wrong by as much as it is large: one such error would weigh more than all others."""
    x, y = _arrays(load_breast_cancer)
    x = StandardScaler().fit_transform(x)
    x_train, x_test, y_train, y_test = x[:300], x[300:], y[:300], y[300:]
    expected = log_loss(y_test, nk.NeuralKernelClassifier().fit(x_train, y_train).predict_proba(x_test))
    for row in (7, 30):
        outlying = x_train.copy()
        outlying[row] *= factor
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)
            model = nk.NeuralKernelClassifier().fit(outlying, y_train)
        assert log_loss(y_test, model.predict_proba(x_test)) < expected + 0.02
