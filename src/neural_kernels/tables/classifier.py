"""Classification of tables as they are."""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn.base import ClassifierMixin
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import column_or_1d
from typing_extensions import override

from neural_kernels.estimators.atomic import atomic
from neural_kernels.estimators.examples import Examples
from neural_kernels.estimators.feature_classifier import NeuralFeatureClassifier
from neural_kernels.estimators.inputs import read_weights, refuse_several
from neural_kernels.estimators.kernel_classifier import NeuralKernelClassifier
from neural_kernels.estimators.labels import calibrate, code_labels, find_classes
from neural_kernels.exact import Kernel
from neural_kernels.runtime.types import Array
from neural_kernels.tables.base import TableModel, landmarks, require_targets
from neural_kernels.tables.candidates import Candidate


class TableClassifier(ClassifierMixin, TableModel):
    """Classification of a table as it is, with nothing to choose, and with calibrated probabilities.

    As :class:`TableRegressor`, on targets 1 (the class) and -1 (the rest). Kernels are judged by the log-loss of
    probabilities that are fitted to their leave-one-out scores, as in :class:`NeuralKernelClassifier`.

    Parameters
    ----------
    class_weight : dict or "balanced", optional
        As for :class:`NeuralKernelClassifier`.
    time_budget, memory_budget, verbose
        As for :class:`TableRegressor`.

    Attributes
    ----------
    classes_ : ndarray of shape (K,)
        The labels, sorted.
    report_, pipeline_, encoder_, scaler_, feature_importances_, n_features_in_, feature_names_in_
        As for :class:`TableRegressor`.
    model_ : NeuralKernelClassifier or NeuralFeatureClassifier

    Raises
    ------
    ValueError
        As for :class:`TableRegressor`; and for fewer than two classes.

    Notes
    -----
    Costs as :class:`TableRegressor`; gradients cost as much for every class.

    Examples
    --------
    >>> from sklearn.datasets import load_wine
    >>> import neural_kernels as nk
    >>> X, y = load_wine(return_X_y=True, as_frame=True)
    >>> model = nk.TableClassifier().fit(X[::2], y[::2])
    >>> bool(model.score(X[1::2], y[1::2]) > 0.95)
    True
    """

    criterion = "-log-loss"

    def __init__(
        self,
        *,
        class_weight: Any = None,
        time_budget: float | None = None,
        memory_budget: int | None = None,
        verbose: int = 0,
    ):
        self.class_weight = class_weight
        self.time_budget = time_budget
        self.memory_budget = memory_budget
        self.verbose = verbose

    @atomic
    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> TableClassifier:
        """Fit to a table, shape (n, d), and labels, shape (n,), with non-negative weights, (n,), default all 1."""
        require_targets(self, y)
        refuse_several(self, y)
        y = column_or_1d(y, warn=True)
        check_classification_targets(y)
        weights = read_weights(sample_weight, y)
        self.classes_ = find_classes(y[weights > 0])
        targets, weights = code_labels(y, self.classes_, weights, self.class_weight)
        self._fit_table(X, y, targets, weights)
        return self

    @override
    def _judge(self, candidates: list[Candidate], examples: Examples) -> tuple[Array, Array]:
        losses = np.array([calibrate(examples, found.residuals).log_loss for found in candidates])
        return losses, -losses

    @override
    def _model(self, kernel: Kernel, alpha: Any, columns: int | None) -> Any:
        if columns is None:
            return NeuralKernelClassifier(kernel=kernel, alpha=alpha)
        return NeuralFeatureClassifier(kernel=kernel, alpha=alpha, **landmarks(columns))

    def predict_proba(self, X: Any) -> Array:
        """Probabilities of the classes, (n, K)."""
        return self._asked("predict_proba", X)

    def predict_log_proba(self, X: Any) -> Array:
        """Their logarithms, (n, K)."""
        return self._asked("predict_log_proba", X)

    def decision_function(self, X: Any) -> Array:
        """Scores of the classes: (n, K), or for two classes (n,), positive for ``classes_[1]``."""
        return self._asked("decision_function", X)
