"""The rows that a model was given, by which it can be edited."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from neural_kernels.estimators.examples import Examples
from neural_kernels.runtime.types import Array


@dataclass(frozen=True)
class Ledger:
    """Targets and weights of all rows, and which of the model's examples each is.

    Parameters
    ----------
    targets : ndarray of shape (n, o)
    weights : ndarray of shape (n,)
    example : ndarray of shape (n,), int
        -1 for rows of weight 0.
    """

    targets: Array
    weights: Array
    example: np.ndarray

    @classmethod
    def of(cls, examples: Examples, targets: Array, weights: Array) -> Ledger:
        """Of the rows that examples were made of."""
        example = np.full(len(weights), -1)
        group = np.arange(len(examples.support)) if examples.copies is None else examples.copies.group
        example[weights > 0] = group
        return cls(targets, weights, example)

    def without(self, rows: np.ndarray) -> Ledger:
        """Without some rows; those behind them move up."""
        return Ledger(*(np.delete(part, rows, axis=0) for part in (self.targets, self.weights, self.example)))

    def joined(self, other: Ledger) -> Ledger:
        """With more rows behind its own."""
        targets, weights = np.concatenate([self.targets, other.targets]), np.concatenate([self.weights, other.weights])
        return Ledger(targets, weights, np.concatenate([self.example, other.example]))

    def totals(self, count: int) -> Array:
        """Weights of so many examples: sums over their rows."""
        used = self.example >= 0
        return np.bincount(self.example[used], self.weights[used], count).astype(np.float64)

    def renumbered(self, places: np.ndarray) -> Ledger:
        """With the example i called ``places[i]``."""
        return replace(self, example=np.where(self.example >= 0, places[self.example], -1))

    def examples(self) -> Examples:
        """The examples themselves, in the order of their numbers."""
        used = np.flatnonzero(self.example >= 0)
        return Examples.of_groups(used, self.example[used], self.targets[used], self.weights[used])
