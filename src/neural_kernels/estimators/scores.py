"""Scores of leave-one-out predictions, by which one alpha is better than another: the larger, the better."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from neural_kernels.estimators.calibration import per_class
from neural_kernels.estimators.examples import Examples
from neural_kernels.estimators.labels import calibrate, shares
from neural_kernels.runtime.types import Array


def r2(residuals: Array, examples: Examples, mean: Array) -> Array:
    """R^2 of each ridge, averaged over outputs.

    Parameters
    ----------
    residuals : ndarray of shape (r, n, o)
        Targets less predictions.
    examples : Examples
        n of them.
    mean : ndarray of shape (o,)
        Of the targets: what a model without inputs would predict.
    """
    return mean_r2(*squared_errors(residuals, examples.targets, mean, examples.weights, examples.scatter))


def accuracy(residuals: Array, examples: Examples, mean: Array) -> Array:
    """Share of the weight whose label has the largest score; parameters as for `r2`."""
    truth = shares(examples)
    largest = np.stack([per_class(examples.targets - left).argmax(axis=1) for left in residuals])
    return truth[np.arange(len(truth)), largest] @ examples.weights / examples.weights.sum()


def log_loss(residuals: Array, examples: Examples, mean: Array) -> Array:
    """Minus the log-loss of probabilities, which are fitted for each ridge; parameters as for `r2`."""
    return np.array([-calibrate(examples, left).log_loss for left in residuals])


SCORES: dict[str, Callable[[Array, Examples, Array], Array]] = {"r2": r2, "accuracy": accuracy, "log_loss": log_loss}


def squared_errors(
    residuals: Array, targets: Array, mean: Array, weights: Array, scatter: Array | float = 0.0
) -> tuple[Array, Array]:
    """Weighted sums of squares: those that are lost, (r, o), and those about the mean, (o,).

    Parameters
    ----------
    residuals : ndarray of shape (r, n, o)
    targets : ndarray of shape (n, o)
    mean : ndarray of shape (o,)
    weights : ndarray of shape (n,)
    scatter : ndarray of shape (o,)
        What merged copies of examples lose and vary in any case.
    """
    lost = np.square(residuals).transpose(0, 2, 1) @ weights + scatter
    return lost, weights @ np.square(targets - mean) + scatter


def mean_r2(lost: Array, total: Array) -> Array:
    """R^2 for each ridge, averaged over outputs: 1 - lost / total; of targets that do not vary, 1 - lost."""
    return (1 - lost / np.where(total > 0, total, 1)).mean(axis=-1)
