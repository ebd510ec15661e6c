"""Logistic regressions that share the passes over features: for several alphas, and with other rows held out."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from neural_kernels.estimators.logistic_rows import FeatureBlock
from neural_kernels.runtime.types import Array
from neural_kernels.solvers.logistic import LogisticMetric, LogisticSums
from neural_kernels.solvers.quasi_newton import QuasiNewton

_NOISE = {4: 1e-7, 8: 1e-13}  # of values, by the bytes of the features' numbers


class LogisticSearch:
    r"""The coefficients c and intercepts b that minimise, over all rows that are not held out,

    .. math:: -\sum_i w_i \log p_{y_i}(x_i) + \frac \lambda 2 |c|^2, \qquad p = \operatorname{softmax}(b + c^T \phi),

    with the metric renewed after 1, 2, 4, ... steps from the probabilities there.

    Parameters
    ----------
    ridge : float
    fold : int
        Held out; -1: none.
    search : QuasiNewton
        Over coefficients of centred features, (m, k), with the intercepts as a last row, as vectors.
    k : int
        Logits.

    Attributes
    ----------
    held_out : tuple of float
        Loss and weight of the rows held out, for the coefficients accepted last.
    """

    def __init__(self, ridge: float, fold: int, search: QuasiNewton, k: int) -> None:
        self.ridge, self.fold, self.search, self.k = ridge, fold, search, k
        self.held_out = np.inf, 0.0
        self._curvature: Array | None = None

    @classmethod
    def begun(cls, ridge: float, fold: int, start: Array, tol: float, itemsize: int) -> LogisticSearch:
        """From coefficients and intercepts, (m + 1, k), on features of numbers of so many bytes."""
        return cls(ridge, fold, QuasiNewton(start.ravel().copy(), tol, _NOISE[itemsize]), start.shape[1])

    def asks(self, most: int) -> bool:
        """Whether another pass, of so many at most, is of use."""
        return not self.search.done and self.search.answers < most

    @property
    def asked(self) -> Array:
        """Coefficients that are to be evaluated, and the intercepts below: shape (m + 1, k)."""
        return self.search.point.reshape(-1, self.k)

    @property
    def found(self) -> Array:
        """The best so far, in the same shape."""
        return self.search.best.reshape(-1, self.k)

    def tell(self, sums: LogisticSums, gradient: Array, judged: LogisticSums, metric: LogisticMetric) -> None:
        """Take in what the rows say of the coefficients that were asked for; `gradient` is without the ridge's."""
        asked = self.asked
        slope = gradient.copy()
        slope[:-1] += self.ridge * asked[:-1]
        value = float(sums.loss) + self.ridge / 2 * float(np.square(asked[:-1]).sum())
        bound = metric.bound(self.k)
        renewed = self.search.steps + 1 in (1, 2, 4, 8, 16, 32, 64)
        curvature = sums.curvature if renewed or self._curvature is None else self._curvature
        accepted = self.search.tell(
            value,
            slope.ravel(),
            lambda vector: metric.solve(curvature, self.ridge, vector),
            lambda vector: metric.solve(bound, self.ridge, vector),
        )
        if accepted:
            self._curvature, self.held_out = curvature, (judged.loss, judged.weight)

    def state(self) -> dict[str, np.ndarray]:
        """All there is to know, as arrays."""
        arrays = {f"search {name}": value for name, value in self.search.state().items()}
        arrays |= {"ridge": np.array(self.ridge), "fold": np.array(self.fold), "held out": np.array(self.held_out)}
        return arrays if self._curvature is None else arrays | {"curvature": self._curvature}

    @classmethod
    def from_state(cls, state: Mapping[str, np.ndarray], k: int) -> LogisticSearch:
        """Go on from what `state` gave."""
        inner = {name.removeprefix("search "): value for name, value in state.items() if name.startswith("search ")}
        made: Any = cls(float(state["ridge"]), int(state["fold"]), QuasiNewton.from_state(inner), k)
        made.held_out, made._curvature = tuple(state["held out"].tolist()), state.get("curvature")
        return made


def take_pass(rows: Iterable[FeatureBlock], searches: list[LogisticSearch], metric: LogisticMetric) -> None:
    """Evaluate what all of the searches ask for, in one pass over the features, and tell them.

    Products with features are made in their precision, those of all searches at once, and summed in float64.
    """
    k, mean = searches[0].k, metric.mean
    asked = np.hstack([search.asked for search in searches])
    coefficients, offsets = asked[:-1], asked[-1] - mean @ asked[:-1]
    sums, judged = ([LogisticSums(k) for _ in searches] for _ in range(2))
    gradient, totals, rounded = np.zeros(coefficients.shape), np.zeros(len(offsets)), coefficients
    for block in rows:
        if rounded.dtype != block.phi.dtype:
            rounded = coefficients.astype(block.phi.dtype)
        logits = (block.phi @ rounded).astype(np.float64) + offsets
        slopes = np.zeros_like(logits)
        for number, search in enumerate(searches):
            own, out = slice(number * k, (number + 1) * k), block.folds == search.fold
            if search.fold < 0 or not out.any():
                slopes[:, own] = sums[number].add(logits[:, own], block.targets, block.weights)
                continue
            slopes[~out, own] = sums[number].add(logits[~out, own], block.targets[~out], block.weights[~out])
            judged[number].add(logits[out, own], block.targets[out], block.weights[out])
        gradient += block.phi.T @ slopes.astype(block.phi.dtype)
        totals += slopes.sum(axis=0)
    whole = np.vstack([gradient - np.outer(mean, totals), totals])
    for number, search in enumerate(searches):
        search.tell(sums[number], whole[:, number * k : (number + 1) * k], judged[number], metric)
