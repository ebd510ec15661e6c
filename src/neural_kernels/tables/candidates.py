"""Kernels that learn a metric, each judged by exact leave-one-out: what a model of a table is chosen from."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache

import numpy as np

from neural_kernels.activations import GELU
from neural_kernels.estimators.examples import Examples
from neural_kernels.estimators.learnt_metrics import powered
from neural_kernels.estimators.leave_one_out import loo_residuals
from neural_kernels.estimators.measured_inputs import variances
from neural_kernels.exact import NTK, GammaExponential, Kernel, MetricKernel
from neural_kernels.exact.gradients import gradients
from neural_kernels.layers import mlp
from neural_kernels.runtime.types import Array
from neural_kernels.solvers import Cholesky, Spectral
from neural_kernels.solvers.protocol import RidgeSystem
from neural_kernels.tables.deadline import Deadline

ALPHAS = 10.0 ** np.arange(3, -7.5, -0.5)
POWERS = (0.5, 1.0)
ITERATIONS = 5
_WIDE = 10.0  # typical distances: the length scale of the kernel of distances
_BLIND = 0.9  # of the variance lost: such a kernel sees hardly anything, and its ridge flattens all gradients;
_BOLD = 1e-2  # they are then taken at an alpha of that at most
_PAIRS = 500  # rows that tell a typical distance


@dataclass(frozen=True)
class Candidate:
    """A kernel, and what it predicts for each example from the others.

    Parameters
    ----------
    family : str
        What it was before it had a metric.
    iteration : int
        How often the metric was learnt.
    power : float
        Of the average gradient outer product.
    kernel : Kernel
    alpha, scale : float
        The best of the alphas, and the ridge that an alpha of 1 means.
    residuals : ndarray of shape (n, o)
        Targets less predictions without the example.
    coefficients : ndarray of shape (n, o)
        Of the kernel at the examples, of which gradients are taken: for this alpha, or a smaller one where even the
        best predicts hardly anything.
    """

    family: str
    iteration: int
    power: float
    kernel: Kernel
    alpha: float
    scale: float
    residuals: Array
    coefficients: Array


def starting_kernels(X: Array) -> dict[str, Kernel]:
    """Three that err differently, by name: with kinks, smooth, and bounded far away.

    On 42 tables for regression any one of them is worse than all three, and any fourth gains little.
    """
    return {
        "NTK of one hidden layer, ReLU": NTK(mlp(1, bias_var=1.0)),
        "NTK of two hidden layers, GELU": NTK(mlp(2, GELU(), bias_var=0.1)),
        "exp(-distance^1.5)": GammaExponential((_WIDE * _typical_distance(X)) ** -1.5, 1.5),
    }


@dataclass(frozen=True)
class Candidates:
    """All that are tried, one after the other, until the time is over.

    Parameters
    ----------
    X : ndarray of shape (n, d)
        Distinct rows.
    examples : Examples
        Their targets and weights.
    deadline : Deadline
        After which no further one is begun; the first is tried in any case.
    """

    X: Array
    examples: Examples
    deadline: Deadline = field(default_factory=Deadline)

    @property
    def count(self) -> int:
        """How many there are, if the time suffices."""
        return len(starting_kernels(self.X)) * (1 + len(POWERS) * ITERATIONS)

    def __iter__(self) -> Iterator[Candidate]:
        kernels = starting_kernels(self.X)
        plain: dict[str, Candidate] = {}
        for family, kernel in kernels.items():
            if plain and self.deadline.passed:
                return
            plain[family] = self.judge(family, kernel)
            yield plain[family]
        first_squares = cache(lambda family: self.mean_squares(plain[family]))  # with each power paths begin there
        for power in POWERS:
            reached: Mapping[str, Candidate] = plain
            for _ in range(ITERATIONS):
                following = {}
                for family, before in reached.items():
                    if self.deadline.passed:
                        return
                    squares = self.mean_squares(before) if before.iteration else first_squares(family)
                    if not squares.any():  # no column matters
                        continue
                    if self.deadline.passed:
                        return
                    measured = MetricKernel(kernels[family], self.metric(squares, power))
                    following[family] = self.judge(family, measured, before, power)
                    yield following[family]
                reached = following

    def judge(self, family: str, kernel: Kernel, before: Candidate | None = None, power: float = 1.0) -> Candidate:
        """Choose alpha by exact leave-one-out: among all, or, beginning with that of another kernel, uphill."""
        gram = np.asarray(kernel(self.X))
        scale = float(np.median(gram.diagonal())) or 1.0
        weights, centred = self.examples.weights, self.examples.targets - self.examples.offset
        system: RidgeSystem = (Spectral() if before is None else Cholesky()).system(gram, weights)
        tried: dict[int, Array] = {}

        def loss(k: int) -> float:
            if k not in tried:
                try:
                    tried[k] = loo_residuals(system, centred, weights, ALPHAS[[k]] * scale)[0]
                except np.linalg.LinAlgError:
                    return np.inf
            return self.lost(tried[k])

        if before is None:
            best = min(range(len(ALPHAS)), key=loss)
        else:
            best = _downhill(loss, int(np.abs(ALPHAS - before.alpha).argmin()), len(ALPHAS))
        alpha = float(ALPHAS[best])
        iteration = 0 if before is None else before.iteration + 1
        bold = min(alpha, _BOLD) if self.lost(tried[best]) > _BLIND else alpha
        found = system.solve(centred, bold * scale)
        return Candidate(family, iteration, power, kernel, alpha, scale, tried[best], found)

    def lost(self, residuals: Array) -> float:
        """Squares of the residuals, each output in units of its variance."""
        weights, targets = self.examples.weights, self.examples.targets - self.examples.offset
        return float(((weights @ np.square(residuals)) / np.maximum(weights @ np.square(targets), 1e-300)).mean())

    def metric(self, squares: Array, power: float) -> Array:
        """A power of the mean squares of gradients, at which rows are as far from each other as they were."""
        metric = powered(squares, power)
        return metric * (self.variances.sum() / (metric @ self.variances))

    @property
    def variances(self) -> Array:
        """Of the columns."""
        return variances(self.X, self.examples.weights)

    def mean_squares(self, found: Candidate) -> Array:
        """Of the gradient by each column, summed over outputs."""
        slopes = gradients(found.kernel, self.X, self.X, found.coefficients)
        return np.average(np.square(slopes).sum(axis=1), axis=0, weights=self.examples.weights)


def _downhill(loss: Callable[[int], float], start: int, count: int) -> int:
    """The position of a least value, from one on until its neighbours are no better."""
    best = start
    while True:
        nearest = min((k for k in (best - 1, best + 1) if 0 <= k < count), key=loss)
        if loss(nearest) >= loss(best):
            return best
        best = nearest


def _typical_distance(X: Array) -> float:
    rows = X[np.linspace(0, len(X) - 1, min(len(X), _PAIRS)).astype(np.intp)]
    squares = np.square(rows).sum(axis=1)
    squared = squares[:, None] + squares - 2 * rows @ rows.T
    apart = squared[squared > 1e-12 * squares.max(initial=0)]
    return float(np.sqrt(np.median(apart))) if apart.size else 1.0
