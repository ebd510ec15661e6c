"""Labels as targets of a regression, one class against the rest, and probabilities from its scores."""

from __future__ import annotations

from typing import Any

import numpy as np

from neural_kernels.estimators.calibration import Calibration, per_class
from neural_kernels.estimators.class_weight import class_factors
from neural_kernels.estimators.examples import Examples
from neural_kernels.runtime.types import Array


def find_classes(labels: Any) -> np.ndarray:
    """Sort the labels, without repetition; two or more are required."""
    classes = np.unique(labels)
    if len(classes) == 0:
        raise ValueError("all rows have a sample_weight of zero: expected some that count, of 2 classes or more")
    if len(classes) < 2:
        (only,) = classes.tolist()
        raise ValueError(f"y holds one class, {only!r}, among samples of positive weight; expected 2 or more")
    return classes


def code_labels(y: np.ndarray, classes: np.ndarray, weights: Array, class_weight: Any) -> tuple[Array, Array]:
    """Return targets and weights for a regression.

    Parameters
    ----------
    y : ndarray of shape (n,)
    classes : ndarray of shape (K,)
    weights : ndarray of shape (n,)
    class_weight : None, "balanced" or dict

    Returns
    -------
    targets : ndarray of shape (n, K), or (n, 1) for two classes
        1 for the class, -1 for the rest; of rows of weight 0 anything.
    weights : ndarray of shape (n,)
        Times the factors of the classes.

    Raises
    ------
    ValueError
        A row of positive weight has another label; class weights that are none.
    """
    k = len(classes)
    label = np.searchsorted(classes, y).clip(max=k - 1)
    unknown = (classes[label] != y) & (weights > 0)
    if unknown.any():
        raise ValueError(f"y holds {y[unknown].tolist()[0]!r}, which is not among the classes {classes}")
    targets = 2.0 * np.eye(k)[label] - 1
    factors = class_factors(class_weight, classes, label, weights)[label]
    return targets[:, 1:] if k == 2 else targets, weights * factors


def code_all_labels(y: np.ndarray, classes: np.ndarray, weights: Array, class_weight: Any) -> tuple[Array, Array]:
    """As `code_labels`, with a column for each class, of which there may be one alone, or none yet."""
    if len(classes) == 0:
        return np.empty((len(y), 0)), weights
    targets, weights = code_labels(y, classes, weights, class_weight)
    return per_class(targets) if len(classes) == 2 else targets, weights


def union_of_labels(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """All labels, sorted; numbers beside strings are refused, which would become strings."""
    if len(one) and len(other) and (one.dtype.kind in "OSU") != (other.dtype.kind in "OSU"):
        raise ValueError(f"labels of two kinds, {one} and {other}: expected numbers or strings")
    return np.union1d(one, other)


def calibrate(examples: Examples, residuals: Array) -> Calibration:
    """Fit probabilities to scores of which none has seen its own label: targets less leave-one-out residuals."""
    return Calibration.fit(examples.targets - residuals, shares(examples), examples.weights)


def shares(examples: Examples) -> Array:
    """Of each class in an example's labels, (n, K): one-hot, but for merged copies that disagree."""
    return (per_class(examples.targets) + 1) / 2
