"""Kernels that learn their features: a metric on the inputs, from the gradients of the model itself."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
from sklearn.base import BaseEstimator, MetaEstimatorMixin, clone
from sklearn.utils.metaestimators import available_if
from sklearn.utils.validation import check_is_fitted, validate_data
from typing_extensions import override

from neural_kernels.algebra import Metric
from neural_kernels.checks import require_integer, require_number
from neural_kernels.errors import ScaleWarning
from neural_kernels.estimators import inputs
from neural_kernels.estimators.atomic import atomic
from neural_kernels.estimators.input_gradients import InputGradients
from neural_kernels.estimators.learnt_metrics import BestStage, LearntStage, powered
from neural_kernels.estimators.measured_inputs import MeasuredInputs, mapped, pulled_back, some_inputs, variances
from neural_kernels.estimators.passing_gradients import passing_gradients
from neural_kernels.runtime.boundary import refuse_lazy
from neural_kernels.runtime.types import Array

_LONGEST = 5  # iterations that "auto" tries,
_POWERS = (0.5, 1.0)  # and powers


def _has(name: str) -> Callable[[Any], bool]:
    return lambda self: hasattr(getattr(self, "estimator_", self.estimator), name)


class FeatureLearning(InputGradients, MetaEstimatorMixin, BaseEstimator):
    r"""A kernel model that learns which columns, or directions, of its inputs matter.

    The model is fitted, the average outer product of its gradients becomes the metric of the inputs, and the model is
    fitted again, a few times [1]_:

    .. math:: f_t \text{ with } k(M_t^{1/2} x, M_t^{1/2} z), \qquad
       M_{t+1} = c\, \Bigl( \frac 1 n \sum_{j, o} \nabla f_{t, o}(x_j) \nabla f_{t, o}(x_j)^T \Bigr)^{power},

    with c such that the trace is d. How often, and with which power, is chosen by the model's own exact leave-one-out
    score: no validation set is set aside. Of images, (n, channels, \*positions), the metric is one of the windows that
    the network's first convolution sees, as in ``nk.Conv(metric=M)``, and the products of all windows of an image are
    summed [2]_: learnt patches, of which the eigenvectors of M are the filters.

    Parameters
    ----------
    estimator : estimator
        A kernel or feature model of this library, such as ``nk.NeuralKernelRegressor()``. With "auto" it must have
        leave-one-out scores: ``alpha=None`` or several alphas. For images its ``network`` begins with ``nk.Conv``.
    iterations : int or "auto"
        How often the metric is learnt. "auto": up to 5 times, the best by leave-one-out, which may be 0.
    diag : bool or "auto"
        True: a diagonal metric, a weight for each column. False: a full one, which also mixes columns. A full metric
        has d^2 numbers that have seen the targets, of which leave-one-out knows nothing: its score is then far too
        good. "auto": metrics of both kinds are learnt on one half of the rows, and judged by the leave-one-out score of
        the other half, both ways; the full one is taken if it is better there on average.
    power : float or "auto"
        "auto": 1/2 or 1, the better by leave-one-out.

    Attributes
    ----------
    estimator_ : estimator
        The model, fitted to ``X @ root`` with the root of `metric_`; of images, to their windows times the root, with a
        first convolution of one position.
    metric_ : ndarray of shape (d,) or (d, d)
        Of images, d numbers are a window, ordered by channel, then by place.
    diag_ : bool
        Whether it is a diagonal.
    feature_importances_ : ndarray of shape (d,)
        Mean square of the gradient by each column times the column's variance; their sum is 1.
    history_ : list of dict
        Iteration, power and score of every model that was fitted.
    best_index_ : int
        The position in it of `estimator_`.
    n_features_in_, feature_names_in_, classes_

    Raises
    ------
    ValueError
        "auto" and an estimator without leave-one-out scores; images and a network that does not begin with ``nk.Conv``.

    Notes
    -----
    Costs up to 11 fits, and as many average gradient outer products (see `agop` of the estimator), of 20,000 rows or
    500 images at most; ``diag="auto"`` some 44 more of half the rows. Of images and several outputs, one sum of these
    is differentiated for each image, with signs drawn by lot, always the same: its outer products have the same mean.
    Scale the inputs first, as for any kernel.

    References
    ----------
    .. [1] A. Radhakrishnan, D. Beaglehole, P. Pandit, M. Belkin, "Mechanism of feature learning in deep fully connected
       networks and kernel machines that recursively learn features", 2022, arXiv:2212.13881.

    .. [2] D. Beaglehole, A. Radhakrishnan, P. Pandit, M. Belkin, "Mechanism of feature learning in convolutional neural
       networks", 2023, arXiv:2309.00570.

    Examples
    --------
    >>> from sklearn.datasets import make_friedman1
    >>> import neural_kernels as nk
    >>> X, y = make_friedman1(n_samples=300, n_features=20, random_state=0)
    >>> model = nk.FeatureLearning(nk.NeuralKernelRegressor()).fit(X[:200] - 0.5, y[:200])
    >>> bool(model.feature_importances_[:5].sum() > 0.9)
    True
    """

    def __init__(self, estimator: Any, *, iterations: Any = "auto", diag: Any = True, power: Any = "auto"):
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
        """Fit to rows, shape (n, d), or to images, with targets or labels y and non-negative weights."""
        longest, powers = self._settings()
        refuse_lazy(X, "X")
        refuse_lazy(y, "y")
        several = self.__sklearn_tags__().target_tags.multi_output
        if not several:
            inputs.refuse_several(self, y)
        options: Any = {"dtype": [np.float64, np.float32], "multi_output": several, "allow_nd": True}
        X, y = validate_data(self, X, y, y_numeric=False, **options)
        measured = MeasuredInputs.of(self.estimator, X)
        weights = inputs.read_weights(sample_weight, X)
        sample = some_inputs(X, weights)
        fit = partial(self._stage, measured, X, y, sample_weight, sample)
        self.diag_ = not self._full_is_better(measured, X, y, weights) if self.diag == "auto" else bool(self.diag)
        start = fit(0, powers[0], Metric(np.ones(measured.size) if self.diag_ else np.eye(measured.size)))
        stages = BestStage(longest if self.iterations != "auto" else 0)
        stages.add(start)
        for power in powers:
            stage = start  # of others none is kept but the best: a model may hold a matrix of the training rows
            while stage.iteration < longest and stage.mean_squares.any():  # of a constant no direction counts
                stage = fit(stage.iteration + 1, power, Metric(powered(stage.outer_product, power)))
                stages.add(stage)
        self.history_, self.best_index_, best = stages.history, stages.index, stages.best
        self.estimator_, self._seen, self.metric_ = best.model, best.seen, best.seen.metric.matrix
        self._shape = X.shape[1:]
        plain = measured.seen(Metric(np.ones(measured.size)))
        moved = best.mean_squares * variances(mapped(sample[0], plain), sample[1])
        self.feature_importances_ = moved / total if (total := moved.sum()) else np.full(len(moved), 1 / len(moved))
        if hasattr(best.model, "classes_"):
            self.classes_ = best.model.classes_
        return self

    def _settings(self) -> tuple[int, tuple[float, ...]]:
        """How many iterations are made, and with which powers."""
        if self.iterations != "auto":
            require_integer(self, 0, iterations=self.iterations)
        if self.diag not in (True, False, "auto"):
            raise ValueError(f'FeatureLearning(diag={self.diag!r}): expected True, False or "auto"')
        if self.power != "auto":
            require_number(self, 0.0, 2.0, power=self.power)
        longest = _LONGEST if self.iterations == "auto" else int(self.iterations)
        return longest, _POWERS if self.power == "auto" else (float(self.power),)

    def _full_is_better(self, measured: MeasuredInputs, X: Array, y: Any, weights: Array) -> bool:
        """Whether full metrics of halves of the rows suit the other halves better than diagonal ones do."""
        first = y if y.ndim == 1 else y[:, 0]
        order = np.lexsort((np.random.default_rng(0).permutation(len(X)), first))  # halves of like targets
        halves = np.sort(order[::2]), np.sort(order[1::2])
        if any(len(np.unique(first[half])) < 2 for half in halves):
            return False
        gains = []
        for learn, judge in (halves, halves[::-1]):
            scores = []
            for diag in (True, False):
                learnt: Any = clone(self)
                learnt.set_params(diag=diag).fit(X[learn], y[learn], sample_weight=weights[learn])
                none = X[:0], weights[:0]
                metric = Metric(learnt.metric_)
                found = self._stage(measured, X[judge], y[judge], weights[judge], none, 1, 1.0, metric)
                scores.append(found.score)
            gains.append(scores[1] - scores[0])
        return bool(np.mean(gains) > 0)

    def _stage(
        self,
        measured: MeasuredInputs,
        X: Array,
        y: Any,
        sample_weight: Any,
        sample: Any,
        iteration: int,
        power: float,
        metric: Metric,
    ) -> LearntStage:
        model: Any = clone(measured.model)
        seen = measured.seen(metric)
        with warnings.catch_warnings():
            if iteration:  # columns of little weight are as they should be
                warnings.simplefilter("ignore", ScaleWarning)
            model.fit(mapped(X, seen), y, sample_weight=sample_weight)
        scores = getattr(model, "loo_scores_", None)
        if scores is None and "auto" in (self.iterations, self.power):
            raise ValueError(
                f"{self.estimator!r} has no leave-one-out scores, by which iterations and power are chosen: give it "
                'alpha=None or several alphas, or numbers in place of "auto"'
            )
        score = float("nan" if scores is None else np.nanmax(scores))
        return LearntStage(iteration, power, score, model, seen, *sample)

    def mapped(self, X: Any) -> Array:
        """The inputs as `estimator_` sees them: multiplied by the root of the metric."""
        check_is_fitted(self)
        refuse_lazy(X, "X")
        inputs.check_shape(self, X, self._shape)
        rows: Any = validate_data(self, X, reset=False, dtype=[np.float64, np.float32], allow_nd=True)
        return mapped(rows, self._seen)

    def _asked(self, name: str, X: Any, *given: Any, **options: Any) -> Any:
        X = self.mapped(X)
        return getattr(self.estimator_, name)(X, *given, **options)

    @passing_gradients
    def predict(self, X: Any, **options: Any) -> Any:
        """As `predict` of the estimator, with its options."""
        return self._asked("predict", X, **options)

    @available_if(_has("predict_proba"))
    def predict_proba(self, X: Any) -> Any:
        """As `predict_proba` of the estimator."""
        return self._asked("predict_proba", X)

    @available_if(_has("predict_log_proba"))
    def predict_log_proba(self, X: Any) -> Any:
        """As `predict_log_proba` of the estimator."""
        return self._asked("predict_log_proba", X)

    @available_if(_has("decision_function"))
    @passing_gradients
    def decision_function(self, X: Any) -> Any:
        """As `decision_function` of the estimator."""
        return self._asked("decision_function", X)

    @available_if(_has("predict_interval"))
    def predict_interval(self, X: Any, coverage: float = 0.9) -> Any:
        """As `predict_interval` of the estimator. The metric has seen the targets, so that it may cover less."""
        return self._asked("predict_interval", X, coverage)

    @available_if(_has("novelty"))
    def novelty(self, X: Any) -> Array:
        """As `novelty` of the estimator, in the learnt metric."""
        return self._asked("novelty", X)

    @available_if(_has("add"))
    def add(self, X: Any, y: Any, sample_weight: Any = None) -> FeatureLearning:
        """As `add` of the estimator: more rows, the metric stays what it is."""
        return self._edited("add", self.mapped(X), y, sample_weight)

    @available_if(_has("remove"))
    def remove(self, rows: Any) -> FeatureLearning:
        """As `remove` of the estimator: fewer rows, the metric stays what it is."""
        return self._edited("remove", rows)

    def _edited(self, name: str, *given: Any) -> FeatureLearning:
        check_is_fitted(self)
        with warnings.catch_warnings(action="ignore", category=ScaleWarning):
            getattr(self.estimator_, name)(*given)
        return self

    @available_if(_has("score"))
    def score(self, X: Any, y: Any, sample_weight: Any = None) -> float:
        """As `score` of the estimator: R^2, or the accuracy."""
        return self._asked("score", X, y, sample_weight=sample_weight)

    @override
    def _input_gradients(self, X: Any, along: Array | None = None) -> Array:
        check_is_fitted(self)
        found = self.estimator_._input_gradients(None if X is None else self.mapped(X), along)
        return pulled_back(found, self._seen, self._shape)
