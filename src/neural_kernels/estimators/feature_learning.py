"""Kernels that learn their features: a metric on the inputs, from the gradients of the model itself."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from sklearn.base import BaseEstimator, MetaEstimatorMixin, clone
from sklearn.utils.metaestimators import available_if
from sklearn.utils.validation import check_is_fitted, validate_data

from neural_kernels.algebra import Metric
from neural_kernels.checks import require_integer, require_number
from neural_kernels.errors import ScaleWarning
from neural_kernels.estimators import inputs
from neural_kernels.estimators.atomic import atomic
from neural_kernels.runtime.types import Array

_LONGEST = 5  # iterations that "auto" tries,
_POWERS = (0.5, 1.0)  # and powers
_ROWS = 20_000  # of which gradients are averaged, at most


def _has(name: str) -> Callable[[Any], bool]:
    return lambda self: hasattr(getattr(self, "estimator_", self.estimator), name)


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
    metric : ndarray of shape (d,) or (d, d)
    """

    iteration: int
    power: float
    score: float
    model: Any
    metric: Array

    @property
    def root(self) -> Array:
        """The symmetric root of the metric, by which inputs are multiplied."""
        return Metric(self.metric).root

    def outer_product(self, rows: Array, weights: Array) -> Array:
        """The average gradient outer product by the inputs as they are, or its diagonal."""
        root = self.root
        product = self.model.agop(mapped(rows, root), diag=root.ndim == 1, sample_weight=weights)
        return root * product * root if root.ndim == 1 else root @ product @ root


class FeatureLearning(MetaEstimatorMixin, BaseEstimator):
    r"""A kernel model that learns which columns, or directions, of its inputs matter.

    The model is fitted, the average outer product of its gradients becomes the metric of the inputs, and the model is
    fitted again, a few times [1]_:

    .. math:: f_t \text{ with } k(M_t^{1/2} x, M_t^{1/2} z), \qquad
       M_{t+1} = c\, \Bigl( \frac 1 n \sum_{j, o} \nabla f_{t, o}(x_j) \nabla f_{t, o}(x_j)^T \Bigr)^{power},

    with c such that the trace is d. How often, and with which power, is chosen by the model's own exact leave-one-out
    score: no validation set is set aside.

    Parameters
    ----------
    estimator : estimator
        A kernel or feature model of this library, such as ``nk.NeuralKernelRegressor()``. With "auto" it must have
        leave-one-out scores: ``alpha=None`` or several alphas.
    iterations : int or "auto"
        How often the metric is learnt. "auto": up to 5 times, the best by leave-one-out, which may be 0.
    diag : bool
        True: a diagonal metric, a weight for each column. False: a full one. A full metric has d^2 numbers that have
        seen the targets, of which leave-one-out knows nothing: its score is then far too good. Take it for few columns
        that need to be mixed, and judge it by rows of a test.
    power : float or "auto"
        "auto": 1/2 or 1, the better by leave-one-out.

    Attributes
    ----------
    estimator_ : estimator
        The model, fitted to ``X @ root`` with the root of `metric_`.
    metric_ : ndarray of shape (d,) or (d, d)
    feature_importances_ : ndarray of shape (d,)
        Mean square of the gradient by each column times the column's variance; their sum is 1.
    history_ : list of dict
        Iteration, power and score of every model that was fitted.
    n_features_in_, feature_names_in_, classes_

    Raises
    ------
    ValueError
        "auto" and an estimator without leave-one-out scores; inputs that are no vectors.

    Notes
    -----
    Costs up to 11 fits, and as many average gradient outer products (see `agop` of the estimator), of 20,000 rows at
    most. Scale the inputs first, as for any kernel.

    References
    ----------
    .. [1] A. Radhakrishnan, D. Beaglehole, P. Pandit, M. Belkin, "Mechanism of feature learning in deep fully connected
       networks and kernel machines that recursively learn features", 2022, arXiv:2212.13881.

    Examples
    --------
    >>> from sklearn.datasets import make_friedman1
    >>> import neural_kernels as nk
    >>> X, y = make_friedman1(n_samples=300, n_features=20, random_state=0)
    >>> model = nk.FeatureLearning(nk.NeuralKernelRegressor()).fit(X[:200] - 0.5, y[:200])
    >>> bool(model.feature_importances_[:5].sum() > 0.9)
    True
    """

    def __init__(self, estimator: Any, *, iterations: Any = "auto", diag: bool = True, power: Any = "auto"):
        self.estimator = estimator
        self.iterations = iterations
        self.diag = diag
        self.power = power

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        inner = self.estimator.__sklearn_tags__()
        tags.estimator_type, tags.classifier_tags = inner.estimator_type, inner.classifier_tags
        tags.regressor_tags, tags.target_tags = inner.regressor_tags, inner.target_tags
        return tags

    @atomic
    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> FeatureLearning:
        """Fit to X, shape (n, d), and targets or labels y, with non-negative weights, shape (n,), default all 1."""
        longest, powers = self._settings()
        X, y = validate_data(self, X, y, dtype=[np.float64, np.float32], multi_output=True, y_numeric=False)
        rows, weights = _some(X, inputs.read_weights(sample_weight, X))
        metric = np.ones(X.shape[1]) if self.diag else np.eye(X.shape[1])
        first = self._stage(0, powers[0], metric, X, y, sample_weight)
        stages = [first]
        for power in powers:
            stage = first
            for iteration in range(1, longest + 1):
                product = stage.outer_product(rows, weights)
                if not np.trace(product) if product.ndim == 2 else not product.sum():
                    break  # a constant: no direction counts
                stage = self._stage(iteration, power, powered(product, power), X, y, sample_weight)
                stages.append(stage)
        best = stages[-1] if self.iterations != "auto" and len(powers) == 1 else _best(stages, self.iterations)
        self.history_ = [{"iteration": s.iteration, "power": s.power, "score": s.score} for s in stages]
        self.estimator_, self.metric_, self._root = best.model, best.metric, best.root
        product = best.outer_product(rows, weights)
        moved = (product if product.ndim == 1 else np.diagonal(product)) * _variance(rows, weights)
        self.feature_importances_ = moved / total if (total := moved.sum()) else np.full(len(moved), 1 / len(moved))
        if hasattr(best.model, "classes_"):
            self.classes_ = best.model.classes_
        return self

    def _settings(self) -> tuple[int, tuple[float, ...]]:
        """How many iterations are made, and with which powers."""
        if self.iterations != "auto":
            require_integer(self, 0, iterations=self.iterations)
        if self.power != "auto":
            require_number(self, 0.0, 2.0, power=self.power)
        longest = _LONGEST if self.iterations == "auto" else int(self.iterations)
        return longest, _POWERS if self.power == "auto" else (float(self.power),)

    def _stage(self, iteration: int, power: float, metric: Array, X: Array, y: Any, sample_weight: Any) -> LearntStage:
        root = Metric(metric).root
        with warnings.catch_warnings():
            if iteration:  # columns of little weight are as they should be
                warnings.simplefilter("ignore", ScaleWarning)
            unfitted: Any = clone(self.estimator)
            model = unfitted.fit(mapped(X, root), y, sample_weight=sample_weight)
        scores = getattr(model, "loo_scores_", None)
        if scores is None and "auto" in (self.iterations, self.power):
            raise ValueError(
                f"{self.estimator!r} has no leave-one-out scores, by which iterations and power are chosen: give it "
                'alpha=None or several alphas, or numbers in place of "auto"'
            )
        return LearntStage(iteration, power, float("nan" if scores is None else np.nanmax(scores)), model, metric)

    def _mapped(self, X: Any) -> Array:
        check_is_fitted(self)
        rows: Any = validate_data(self, X, reset=False, dtype=[np.float64, np.float32])
        return mapped(rows, self._root)

    def predict(self, X: Any, **options: Any) -> Any:
        """As `predict` of the estimator, with its options."""
        X = self._mapped(X)
        return self.estimator_.predict(X, **options)

    @available_if(_has("predict_proba"))
    def predict_proba(self, X: Any) -> Any:
        """As `predict_proba` of the estimator."""
        X = self._mapped(X)
        return self.estimator_.predict_proba(X)

    @available_if(_has("decision_function"))
    def decision_function(self, X: Any) -> Any:
        """As `decision_function` of the estimator."""
        X = self._mapped(X)
        return self.estimator_.decision_function(X)

    @available_if(_has("predict_interval"))
    def predict_interval(self, X: Any, coverage: float = 0.9) -> Any:
        """As `predict_interval` of the estimator. The metric has seen the targets, so that it may cover less."""
        X = self._mapped(X)
        return self.estimator_.predict_interval(X, coverage)

    @available_if(_has("score"))
    def score(self, X: Any, y: Any, sample_weight: Any = None) -> float:
        """As `score` of the estimator: R^2, or the accuracy."""
        X = self._mapped(X)
        return self.estimator_.score(X, y, sample_weight=sample_weight)

    def gradient(self, X: Any) -> Array:
        """As `gradient` of the estimator, by the inputs as they are: (n, n_outputs, d)."""
        X = self._mapped(X)
        return mapped(self.estimator_.gradient(X), self._root)


def mapped(x: Array, root: Array) -> Array:
    """Rows times the root of a metric, in their own precision."""
    return (x * root if root.ndim == 1 else x @ root).astype(x.dtype, copy=False)


def powered(product: Array, power: float) -> Array:
    """A power of an outer product, or of a diagonal, of trace d."""
    if product.ndim == 1:
        result = (product / product.max()) ** power
        return result * (len(result) / result.sum())
    values, vectors = np.linalg.eigh(product)
    powers = (values.clip(0) / values[-1]) ** power
    return (vectors * (powers * (len(powers) / powers.sum()))) @ vectors.T


def _best(stages: list[LearntStage], iterations: Any) -> LearntStage:
    """That of the best score; of equal ones the first. With a number of iterations, of those that made them all."""
    wanted = stages if iterations == "auto" else [s for s in stages if s.iteration == max(t.iteration for t in stages)]
    scores = np.array([stage.score for stage in wanted])
    return wanted[0] if np.isnan(scores).all() else wanted[int(np.nanargmax(scores))]


def _some(X: Array, weights: Array) -> tuple[Array, Array]:
    """Rows to average over, with their weights: all, or 20,000 drawn by lot, always the same."""
    if len(X) <= _ROWS:
        return X, weights
    drawn = np.sort(np.random.default_rng(0).choice(len(X), _ROWS, replace=False))
    return X[drawn], weights[drawn]


def _variance(rows: Array, weights: Array) -> Array:
    """Of every column."""
    mean = np.average(rows, axis=0, weights=weights)
    return np.average(np.square(rows - mean), axis=0, weights=weights)
