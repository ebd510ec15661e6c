"""Examples that judge ridges: by exact leave-one-out, all of them or a few drawn by lot."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from neural_kernels.estimators.examples import Examples
from neural_kernels.estimators.leave_one_out import loo_residuals
from neural_kernels.estimators.scores import SCORES
from neural_kernels.estimators.settings import EVIDENCE
from neural_kernels.runtime.types import Array
from neural_kernels.solvers.protocol import RidgeSystem
from neural_kernels.solvers.spectral import Spectral


@dataclass(frozen=True)
class Jury:
    """A system, and those of its examples whose leave-one-out predictions count.

    Parameters
    ----------
    system : RidgeSystem
    examples : Examples
        All of the system's.
    judges : ndarray of int, ascending
        Not those far outside the others, whose error without them is as large as their norm: they would outvote all.
    criterion : str
        A name of `SCORES`, or "evidence", in which all examples have a part.
    """

    system: RidgeSystem
    examples: Examples
    judges: np.ndarray
    criterion: str

    @classmethod
    def of_part(
        cls,
        block: Callable[[np.ndarray], np.ndarray],
        examples: Examples,
        judges: np.ndarray,
        criterion: str,
        count: int,
    ) -> Jury:
        """Of so many judges, drawn by lot, with a system of these alone: for a first glance at all ridges.

        `block` gives the Gram matrix of some of the examples.
        """
        rows = _drawn(judges)[:count]
        part = examples.take(np.sort(rows))
        system = Spectral().system(block(np.sort(rows)), part.weights)
        return cls(system, part, np.arange(len(rows)), criterion)

    def reduced(self, count: int) -> Jury:
        """With so many judges at most, drawn by lot from the other end than `of_part` does."""
        return replace(self, judges=np.sort(_drawn(self.judges)[-count:]))

    def residuals(self, ridge: float) -> Array:
        """Exact residuals (len(judges), o) of predictions without the example itself."""
        examples = self.examples
        centred = examples.targets - examples.offset
        return loo_residuals(self.system, centred, examples.weights, np.array([ridge]), self.judges)[0]

    def scores(self, ridges: Array) -> Array:
        """Of each ridge, the larger the better; errors as from `RidgeSystem.loo_residuals`."""
        examples, centred = self.examples, self.examples.targets - self.examples.offset
        if self.criterion == EVIDENCE:
            return self.system.evidence(centred, ridges, examples.scatter).log_likelihood
        residuals = loo_residuals(self.system, centred, examples.weights, ridges, self.judges)
        return SCORES[self.criterion](residuals, examples.take(self.judges), examples.offset)

    def scores_where_regular(self, ridges: Array) -> Array:
        """The same, NaN for ridges so small that the system is not positive definite."""
        try:
            return self.scores(ridges)
        except np.linalg.LinAlgError:
            if len(ridges) == 1:
                return np.array([np.nan])
            return np.concatenate([self.scores_where_regular(ridges[[k]]) for k in range(len(ridges))])


def _drawn(judges: np.ndarray) -> np.ndarray:
    """In an order by lot, which is always the same for the same number."""
    return np.random.default_rng(0).permutation(judges)
