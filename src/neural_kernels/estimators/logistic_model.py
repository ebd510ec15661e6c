"""What a logistic regression on features predicts, and says of itself."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from sklearn.base import ClassifierMixin
from sklearn.utils.validation import check_is_fitted
from typing_extensions import override

from neural_kernels.estimators import settings
from neural_kernels.estimators.block_scores import BlockAccuracy, score_blocks
from neural_kernels.estimators.built import Built
from neural_kernels.estimators.feature_model import FeatureModel
from neural_kernels.estimators.input_gradients import InputGradients, gradients_on_features
from neural_kernels.estimators.logistic_search import LogisticSearch
from neural_kernels.estimators.map_properties import MapProperties
from neural_kernels.estimators.passing_gradients import passing_gradients
from neural_kernels.estimators.region import Region
from neural_kernels.estimators.selection import AlphaChoice
from neural_kernels.features import FeatureMap
from neural_kernels.runtime.types import Array
from neural_kernels.solvers.logistic import log_softmax, softmax

GRID = np.logspace(0, -5, 6)  # the alphas that are tried where none is given


@dataclass(frozen=True)
class LogisticSolution:
    """What a model predicts with.

    Parameters
    ----------
    map : FeatureMap
    choice : AlphaChoice
    coefficients : ndarray of shape (m, k)
    intercept : ndarray of shape (k,)
    residual : float
        Norm of the gradient in units of the first.
    steps, passes : int
    """

    map: FeatureMap
    choice: AlphaChoice
    coefficients: Array
    intercept: Array
    residual: float
    steps: int
    passes: int

    @classmethod
    def of(cls, built: Built, choice: AlphaChoice, search: LogisticSearch, passes: int) -> LogisticSolution:
        """Of coefficients of centred features."""
        found, done = search.found, search.search
        intercept = found[-1] - built.moments.mean @ found[:-1]
        return cls(built.map, choice, found[:-1].copy(), intercept, done.residual, done.steps, passes)


class LogisticModel(ClassifierMixin, InputGradients, MapProperties, FeatureModel):
    """Private base: prediction from a solution; `fit` is its subclass's."""

    alpha: Any
    verbose: int
    classes_: np.ndarray
    _solution: LogisticSolution | None = None
    _region: Region | None = None

    def __sklearn_is_fitted__(self) -> bool:
        return self._solution is not None

    def _fitted(self) -> LogisticSolution:
        check_is_fitted(self)
        assert self._solution is not None
        return self._solution

    @property
    @override
    def map_(self) -> FeatureMap:
        """The feature map."""
        return self._fitted().map

    @property
    def alphas_(self) -> Array:
        """Those that alpha is chosen from."""
        return GRID.copy() if self.alpha is None else settings.alphas(self.alpha)

    @property
    def alpha_(self) -> float:
        """The alpha in use."""
        return self._fitted().choice.alpha

    @property
    def ridge_(self) -> float:
        """The ridge that it means."""
        return self._fitted().choice.ridge

    @property
    def held_out_scores_(self) -> Any:
        """Minus the mean log-loss of rows held out, of every alpha."""
        return self._fitted().choice.scores

    @property
    def n_iter_(self) -> int:
        """Steps of the final fit."""
        return max(1, self._fitted().steps)

    @property
    def n_passes_(self) -> int:
        """Over the data, or the features that are kept."""
        return self._fitted().passes

    @property
    def gradient_norm_(self) -> float:
        """In units of the first."""
        return self._fitted().residual

    @property
    def coef_(self) -> Array:
        """Coefficients of the features."""
        return np.ascontiguousarray(self._fitted().coefficients.T)

    @property
    def intercept_(self) -> Array:
        """What is added to them."""
        return self._fitted().intercept

    @passing_gradients
    def decision_function(self, X: Any) -> Array:
        """Logits of the classes: (n, K), or for two classes (n,), of ``classes_[1]``; X as for `fit`."""
        logits = self._of_rows(X, self._logits_of)
        return logits[:, 0] if logits.shape[1] == 1 else logits

    def predict(self, X: Any) -> np.ndarray:
        """Predict labels, shape (n,)."""
        return self._of_rows(X, self._labels_of)

    def predict_proba(self, X: Any) -> Array:
        """Predict probabilities of the classes, (n, K)."""
        return self._of_rows(X, lambda rows: softmax(self._logits_of(rows)))

    def predict_log_proba(self, X: Any) -> Array:
        """Predict their logarithms, (n, K), finite also where they are too small for numbers."""
        return self._of_rows(X, lambda rows: log_softmax(self._logits_of(rows)))

    @override
    def score(self, X: Any, y: Any = None, sample_weight: Any = None) -> float:
        """Accuracy of the labels predicted; X may be a source of blocks with labels, as for `fit`."""
        source = self._source(X, y, sample_weight)
        if source is None:
            return float(super().score(X, y, sample_weight))
        return score_blocks(source, self.predict, BlockAccuracy(), type(self).__name__ if self.verbose else None)

    def _labels_of(self, X: Any) -> np.ndarray:
        logits = self._logits_of(X)
        chosen = logits[:, 0] > 0 if logits.shape[1] == 1 else logits.argmax(axis=1)
        return self.classes_[chosen.astype(np.intp)]

    def _logits_of(self, X: Any) -> Array:
        solution = self._fitted()
        X = self._read(X, solution.map.shape or (), reset=False)
        logits = solution.map.project(X, solution.coefficients) + solution.intercept
        assert self._region is not None
        self._region.warn_if_outside(X, self.kernel_)
        return logits

    @override
    def _input_gradients(self, X: Any, along: Array | None = None) -> Array:
        solution = self._fitted()
        if X is None:
            raise ValueError("X=None: the model does not keep its rows; give rows to average over")
        X = self._read(X, solution.map.shape or (), reset=False)
        return gradients_on_features(solution.map, solution.coefficients, X, along)
