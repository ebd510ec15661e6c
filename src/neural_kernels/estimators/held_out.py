"""Examples that judge ridges where leave-one-out residuals cost too much: predicted by a model of the others."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from neural_kernels.estimators.examples import Examples
from neural_kernels.estimators.scores import SCORES
from neural_kernels.runtime.types import Array
from neural_kernels.solvers.conjugate_gradient import IterativeRidge

_SHARE = 10  # one example in so many judges, at most


class HeldOut:
    """Judges drawn by lot, and their residuals about predictions that none of them had a part in.

    Parameters
    ----------
    system_without : callable
        The system of all examples with other weights.
    examples : Examples
    candidates : ndarray of int, ascending
        Examples that may judge.
    criterion : str
        A name of `SCORES`.
    count : int
        Judges, at most.

    Attributes
    ----------
    judges : ndarray of int, ascending
    """

    def __init__(
        self,
        system_without: Callable[[Array], IterativeRidge],
        examples: Examples,
        candidates: np.ndarray,
        criterion: str,
        count: int,
    ) -> None:
        few = max(1, min(count, len(examples.weights) // _SHARE))
        drawn = np.random.default_rng(0).permutation(candidates)[:few]
        self.judges = np.sort(drawn)
        self._system_without, self._examples, self._criterion = system_without, examples, criterion
        self._residuals: dict[float, Array] = {}

    def residuals(self, ridge: float) -> Array:
        """Of the judges, shape (len(judges), o), with this ridge."""
        if ridge not in self._residuals:
            self._solve(np.array([ridge]))
        return self._residuals[ridge]

    def scores(self, ridges: Array) -> Array:
        """Of each ridge, the larger the better; all ridges by one run."""
        self._solve(ridges)
        found, judges = np.stack([self._residuals[ridge] for ridge in ridges]), self._examples.take(self.judges)
        return SCORES[self._criterion](found, judges, self._examples.offset)

    def _solve(self, ridges: Array) -> None:
        targets, weights = self._examples.targets, self._examples.weights.copy()
        weights[self.judges] = 0
        offset = np.average(targets, axis=0, weights=weights)
        system = self._system_without(weights)
        cross = system.operator.columns(self.judges).astype(np.float64)
        for ridge, coefficients in zip(ridges, system.solve_all(targets - offset, ridges).value, strict=True):
            self._residuals[float(ridge)] = targets[self.judges] - offset - cross.T @ coefficients
