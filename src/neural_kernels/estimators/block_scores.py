"""R^2 and accuracy of rows in blocks, in one pass."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

import numpy as np
from sklearn.metrics import accuracy_score
from sklearn.utils.validation import check_array, check_consistent_length
from typing_extensions import override

from neural_kernels.estimators import inputs
from neural_kernels.estimators.blocks import over_blocks
from neural_kernels.runtime.types import Array
from neural_kernels.sources import Block, RowSource


class BlockScore(Protocol):
    """A score of rows that come in parts."""

    def add(self, y: Any, predicted: np.ndarray, weights: Array) -> None:
        """Take in targets, predictions and weights, not all 0, of some rows."""

    def value(self) -> float:
        """Of all rows so far."""
        ...


def score_blocks(
    source: RowSource, predict: Callable[[Any], np.ndarray], score: BlockScore, title: str | None = None
) -> float:
    """The score of what a model predicts of all blocks, which bring targets, and maybe weights.

    Parameters
    ----------
    source : RowSource
    predict : callable
        Of the X of a block.
    score : BlockScore
        That has seen no rows.
    title : str, optional
        Of a progress bar.

    Raises
    ------
    ValueError
        Without targets; where all weights are 0.
    """

    def judge(block: Block) -> float:
        if block.y is None:
            raise ValueError("no targets to score by: expected blocks (X, y) or (X, y, weight)")
        check_consistent_length(block.X, block.y, block.weight)
        weights = inputs.read_weights_of_part(block.weight, block.X)
        if weights.any():
            score.add(block.y, predict(block.X), weights)
        return float(weights.sum())

    if not sum(over_blocks(source, judge, title)) > 0:
        raise ValueError("all rows have a sample_weight of zero: expected some that count")
    return score.value()


class BlockAccuracy(BlockScore):
    """Share of the weight whose label is predicted, as ``accuracy_score`` has it."""

    def __init__(self) -> None:
        self._right = self._weight = 0.0

    @override
    def add(self, y: Any, predicted: np.ndarray, weights: Array) -> None:
        self._right += float(accuracy_score(y, predicted, sample_weight=weights, normalize=False))
        self._weight += float(weights.sum())

    @override
    def value(self) -> float:
        return self._right / self._weight


class BlockR2(BlockScore):
    """R^2, averaged over outputs, as ``r2_score`` has it; sums of parts are combined as those of moments are."""

    def __init__(self) -> None:
        self._weight: float = 0.0
        self._mean: Array = np.zeros(1)
        self._scatter: Array = np.zeros(1)  # weighted sums of squares about the mean,
        self._lost: Array = np.zeros(1)  # and of errors

    @override
    def add(self, y: Any, predicted: np.ndarray, weights: Array) -> None:
        values = check_array(y, ensure_2d=False, dtype="float64").reshape(len(weights), -1)
        if values.size != predicted.size:
            raise ValueError(f"targets of shape {np.shape(y)}: expected {predicted.shape}, as predictions are")
        total = float(weights.sum())
        mean, share = weights @ values / total, self._weight * total / (self._weight + total)
        self._scatter = self._scatter + weights @ np.square(values - mean) + share * np.square(mean - self._mean)
        self._mean = self._mean + total / (self._weight + total) * (mean - self._mean)
        self._lost = self._lost + weights @ np.square(values - predicted.reshape(values.shape))
        self._weight += total

    @override
    def value(self) -> float:
        # Of an output that does not vary it is 1 where nothing is lost, and else 0.
        constant = (self._lost > 0).astype(np.float64)
        return float((1 - np.divide(self._lost, self._scatter, out=constant, where=self._scatter > 0)).mean())
