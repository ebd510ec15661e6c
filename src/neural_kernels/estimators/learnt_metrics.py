"""Metrics that a model has learnt: of which model, from which gradients, and which is the best."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from neural_kernels.algebra import InputMap
from neural_kernels.estimators.measured_inputs import outer_product
from neural_kernels.runtime.lazy import cached_property
from neural_kernels.runtime.types import Array


@dataclass(frozen=True)
class LearntStage:
    """A model with a metric, and how it came about.

    Parameters
    ----------
    iteration : int
        How often the metric was learnt; 0 is the model without.
    power : float
    score : float
        The best leave-one-out score of the model; NaN where it has none.
    model : estimator
    seen : InputMap
        How its inputs were multiplied by the root of the metric.
    rows, weights : ndarray of shape (r, ...) and (r,)
        Inputs of which gradients are averaged.
    """

    iteration: int
    power: float
    score: float
    model: Any
    seen: InputMap
    rows: Array
    weights: Array

    @cached_property
    def outer_product(self) -> Array:
        """The average gradient outer product by the inputs as they are, or its diagonal."""
        return outer_product(self.model, self.rows, self.weights, self.seen)

    @property
    def mean_squares(self) -> Array:
        """Of the gradient by each column; the diagonal of the above."""
        return self.outer_product if self.outer_product.ndim == 1 else np.diagonal(self.outer_product)


def powered(product: Array, power: float) -> Array:
    """A power of an outer product, or of a diagonal, of trace d."""
    if product.ndim == 1:
        result = (product / product.max()) ** power
        return result * (len(result) / result.sum())
    values, vectors = np.linalg.eigh(product)
    powers = (values.clip(0) / values[-1]) ** power
    return (vectors * (powers * (len(powers) / powers.sum()))) @ vectors.T


class BestStage:
    """The stage of the best score so far, of equal ones the first, among those of the most iterations.

    Parameters
    ----------
    least : int
        Iterations from which on scores decide; before, the later stage is the better one.
    """

    def __init__(self, least: int) -> None:
        self._least, self.history, self.index = least, [], 0
        self.best: Any = None

    def add(self, stage: LearntStage) -> None:
        """Note its score, and keep it if it is the best."""
        self.history.append({"iteration": stage.iteration, "power": stage.power, "score": stage.score})
        if self.best is None or self._rank(stage) > self._rank(self.best):
            self.best, self.index = stage, len(self.history) - 1

    def _rank(self, stage: LearntStage) -> tuple[int, float]:
        return min(stage.iteration, self._least), -np.inf if np.isnan(stage.score) else stage.score
