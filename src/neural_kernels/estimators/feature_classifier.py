"""Classification with features of infinitely wide networks, in one pass over the data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
from sklearn.base import ClassifierMixin
from sklearn.utils.multiclass import check_classification_targets
from typing_extensions import override

from neural_kernels.estimators.accumulation import BALANCED, Accumulation
from neural_kernels.estimators.atomic import atomic
from neural_kernels.estimators.block_scores import BlockAccuracy, score_blocks
from neural_kernels.estimators.built import Built
from neural_kernels.estimators.calibration import Calibration
from neural_kernels.estimators.class_weight import balance
from neural_kernels.estimators.feature_base import Solution
from neural_kernels.estimators.feature_novelty import FeatureNovelty
from neural_kernels.estimators.labels import calibrate, code_all_labels, find_classes, union_of_labels
from neural_kernels.estimators.passing_gradients import passing_gradients
from neural_kernels.estimators.row_table import RowTable
from neural_kernels.runtime.types import Array


class NeuralFeatureClassifier(ClassifierMixin, FeatureNovelty):
    r"""Classification with the features of an infinitely wide network: :class:`NeuralKernelClassifier` for many rows.

    The regression of :class:`NeuralFeatureRegressor` on targets 1 (the class) and -1 (the rest); two classes take one
    column. The class with the highest score is predicted. Probabilities are fitted to exact leave-one-out
    scores of training rows, as for :class:`NeuralKernelClassifier`.

    Parameters
    ----------
    network, kernel, n_components, method, augment, random_state, alpha, memory_budget, verbose
        As for :class:`NeuralFeatureRegressor`.
    selection, scoring
        As for :class:`NeuralKernelClassifier`: by default alpha has the best leave-one-out log-loss.
    class_weight : dict or "balanced", optional
        Positive factors of the sample weights by class; "balanced" gives all classes the same total weight. A stream
        of more rows than are kept then holds the moments of each class, K 8 m^2 bytes.

    Attributes
    ----------
    classes_ : ndarray of shape (K,)
        The labels, sorted.
    calibration_, temperature_
        As for :class:`NeuralKernelClassifier`.
    coef_ : ndarray of shape (1, m) or (K, m)
    intercept_ : ndarray of shape (1,) or (K,)
    alpha_, ridge_, loo_scores_, moments_, map_, n_components_, method_, reason_, kernel_, network_, n_features_in_
        As for :class:`NeuralFeatureRegressor`.

    Raises
    ------
    ValueError, MemoryError, numpy.linalg.LinAlgError
        As for :class:`NeuralFeatureRegressor`; and ValueError for fewer than two classes.

    Notes
    -----
    As for :class:`NeuralFeatureRegressor`; probabilities always take residuals of the rows that are kept, with one
    alpha at s m^2 operations, their features again and m^3 / 3 more.

    Examples
    --------
    >>> from sklearn.datasets import load_breast_cancer
    >>> from sklearn.model_selection import cross_val_score
    >>> from sklearn.pipeline import make_pipeline
    >>> from sklearn.preprocessing import StandardScaler
    >>> from neural_kernels.estimators import NeuralFeatureClassifier
    >>> X, y = load_breast_cancer(return_X_y=True)
    >>> model = make_pipeline(StandardScaler(), NeuralFeatureClassifier(n_components=128, random_state=0))
    >>> bool(cross_val_score(model, X, y).mean() > 0.96)
    True
    """

    scorings = ("log_loss", "accuracy", "r2")

    def __init__(
        self,
        network: Any = None,
        *,
        kernel: Any = "ntk",
        n_components: int | str = 4096,
        method: Any = None,
        augment: Any = None,
        alpha: Any = None,
        selection: Any = "loo",
        scoring: Any = None,
        class_weight: Any = None,
        random_state: Any = None,
        memory_budget: int | None = None,
        verbose: int = 0,
    ):
        self.network = network
        self.kernel = kernel
        self.n_components = n_components
        self.method = method
        self.augment = augment
        self.alpha = alpha
        self.selection = selection
        self.scoring = scoring
        self.class_weight = class_weight
        self.random_state = random_state
        self.memory_budget = memory_budget
        self.verbose = verbose

    @atomic
    def fit(
        self, X: Any, y: Any = None, sample_weight: Any = None, *, checkpoint: Any = None
    ) -> NeuralFeatureClassifier:
        """Fit to the labels y, shape (n,), with non-negative weights, shape (n,), default all 1.

        X may be a source of blocks, and such a fit have a checkpoint, as for :meth:`NeuralFeatureRegressor.fit`; labels
        may come in any block.
        """
        self._take_all(X, y, sample_weight, checkpoint)
        self._solved()
        return self

    def _take_all(self, X: Any, y: Any, sample_weight: Any, checkpoint: Any) -> None:
        """Forget what was seen and take in rows, or blocks of them; nothing is solved."""
        if not self._fit_blocks(X, y, sample_weight, self._take_part, checkpoint):
            X, y, weights = self._read_rows(X, y, sample_weight, reset=True)
            self.classes_, self._named = find_classes(y[weights > 0]), False
            self._begin(X, *code_all_labels(y, self.classes_, weights, self.class_weight))

    @atomic
    def partial_fit(
        self, X: Any, y: Any = None, classes: Any = None, sample_weight: Any = None
    ) -> NeuralFeatureClassifier:
        """Take in more rows, as :meth:`NeuralFeatureRegressor.partial_fit` does.

        Parameters
        ----------
        X : array-like of shape (n, d)
        y : array-like of shape (n,)
        classes : array-like of shape (K,), optional
            All labels there will be, in the first call; others are then refused. None: those that come.
        sample_weight : array-like of shape (n,), optional
        """
        take = partial(self._take_part, classes=classes)
        if not self._add_blocks(X, y, sample_weight, take):
            take(X, y, sample_weight)
        return self

    @override
    def score(self, X: Any, y: Any = None, sample_weight: Any = None) -> float:
        """Accuracy of the labels predicted; X may be a source of blocks with labels, as for `fit`, read in one pass."""
        source = self._source(X, y, sample_weight)
        if source is None:
            return float(super().score(X, y, sample_weight))
        return score_blocks(source, self.predict, BlockAccuracy(), self._title)

    def _take_part(self, X: Any, y: Any, sample_weight: Any, classes: Any = None) -> None:
        first, given = not self._started(), self.class_weight
        apart = isinstance(given, str) and given == "balanced"
        if not first and self._seen().apart != apart:
            raise ValueError(BALANCED)
        X, y, weights = self._read_rows(X, y, sample_weight, reset=first)
        labels = np.unique(y[weights > 0])
        if first:
            self._named = classes is not None
            self.classes_ = find_classes(classes) if self._named else labels
        elif classes is not None and not np.array_equal(find_classes(classes), self.classes_):
            raise ValueError(f"classes={classes!r}: expected those of the calls before, {self.classes_}")
        elif not self._named:
            classes = union_of_labels(self.classes_, labels)
            self._accumulation, self.classes_ = self._with_classes(classes), classes
        if isinstance(given, Mapping) and not self._named:  # others that it names may still come
            given = {label: factor for label, factor in given.items() if label in self.classes_.tolist()}
        targets, weights = code_all_labels(y, self.classes_, weights, None if apart else given)
        if first:
            self._begin(X, targets, weights, apart)
        else:
            self._add(X, targets, weights)

    @override
    def _read_rows(self, X: Any, y: Any, sample_weight: Any, reset: bool) -> tuple[Any, Any, Array]:
        X, y, weights = self._read_training(X, y, sample_weight, reset)
        check_classification_targets(y)
        return X, y, weights

    def _with_classes(self, classes: np.ndarray) -> Accumulation:
        """What was seen, as if these classes, some of which are new, had been known."""
        return self._seen().with_outputs(np.searchsorted(classes, self.classes_), len(classes), -1.0)

    @override
    def _aligned(self, other: NeuralFeatureClassifier) -> tuple[Accumulation, Accumulation]:
        if np.array_equal(self.classes_, other.classes_):
            return super()._aligned(other)
        if self._named or other._named:
            raise ValueError(f"models of the classes {self.classes_} and {other.classes_} cannot be merged")
        classes = union_of_labels(self.classes_, other.classes_)
        mine, theirs = self._with_classes(classes), other._with_classes(classes)
        self.classes_ = classes
        return mine, theirs

    @override
    def _weighted(self, settled: Accumulation) -> tuple[RowTable, Built | None]:
        rows, built = settled.kept[0], settled.built
        if not settled.apart:
            return super()._weighted(settled)
        assert not isinstance(built, Built)
        factors = balance(rows.weights @ rows.shares if built is None else built.weights)
        return rows.weighted(factors), built and built.weighted(factors)

    @override
    def _solve(self, built: Built, judges: RowTable) -> Solution:
        find_classes(self.classes_)
        solution, examples, residuals = self._solve_with_residuals(built, judges)
        return replace(solution, calibration=calibrate(examples, residuals))

    @property
    def calibration_(self) -> Calibration:
        """What makes probabilities of scores."""
        calibration = self._solved().calibration
        assert calibration is not None
        return calibration

    @property
    def temperature_(self) -> float:
        """The temperature of `calibration_`."""
        return self.calibration_.temperature

    @property
    @override
    def coef_(self) -> Array:
        """Coefficients of the features."""
        return super().coef_[-1:] if len(self.classes_) == 2 else super().coef_

    @property
    @override
    def intercept_(self) -> Array:
        """What is added to them."""
        return super().intercept_[-1:] if len(self.classes_) == 2 else super().intercept_

    @passing_gradients
    def decision_function(self, X: Any) -> Array:
        """Score the classes: (n, K), or for two classes (n,), positive for ``classes_[1]``."""
        scores = self._outputs(X)
        return scores[:, 1] if scores.shape[1] == 2 else scores

    def predict(self, X: Any) -> np.ndarray:
        """Predict labels, shape (n,)."""
        return self._of_rows(X, lambda rows: self.classes_[self._outputs_of(rows).argmax(axis=1)])

    def predict_proba(self, X: Any) -> Array:
        """Predict probabilities of the classes, (n, K), by `calibration_`; the class of the highest is predicted."""
        return self._of_rows(X, lambda rows: self.calibration_.probabilities(self._outputs_of(rows)))

    def predict_log_proba(self, X: Any) -> Array:
        """Predict the logarithms of the probabilities, (n, K), finite also where these are too small for numbers."""
        return self._of_rows(X, lambda rows: self.calibration_.log_probabilities(self._outputs_of(rows)))
