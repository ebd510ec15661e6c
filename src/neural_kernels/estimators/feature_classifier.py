"""Classification with features of infinitely wide networks, in one pass over the data."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy.special import softmax
from sklearn.base import ClassifierMixin
from sklearn.utils.multiclass import check_classification_targets

from neural_kernels.estimators.calibration import fit_temperature
from neural_kernels.estimators.class_weight import class_factors
from neural_kernels.estimators.feature_base import FeatureRidge
from neural_kernels.estimators.kernel_classifier import _all_scores
from neural_kernels.runtime.types import Array


class NeuralFeatureClassifier(ClassifierMixin, FeatureRidge):
    r"""Classification with the features of an infinitely wide network: :class:`NeuralKernelClassifier` for many rows.

    The regression of :class:`NeuralFeatureRegressor` on targets 1 (the class) and -1 (the rest); two classes take one
    column. The class with the highest score is predicted. Probabilities are :math:`\mathrm{softmax}(F(x) / T)`, with F
    the scores of all classes (-f and f for two) and T one temperature of the least log-loss on the exact leave-one-out
    scores of the training rows, as for :class:`NeuralKernelClassifier`.

    Parameters
    ----------
    network, kernel, n_components, method, random_state, alpha, memory_budget, verbose
        As for :class:`NeuralFeatureRegressor`.
    class_weight : dict or "balanced", optional
        Positive factors of the sample weights by class; "balanced" gives all classes the same total weight, and is
        for `fit` only.

    Attributes
    ----------
    classes_ : ndarray of shape (K,)
        The labels, sorted.
    temperature_ : float
        T, of the rows of the last call.
    coef_ : ndarray of shape (1, m) or (K, m)
    intercept_ : ndarray of shape (1,) or (K,)
    alpha_, ridge_, loo_scores_, moments_, map_, method_, reason_, network_, n_features_in_, feature_names_in_
        As for :class:`NeuralFeatureRegressor`.

    Raises
    ------
    ValueError, MemoryError, numpy.linalg.LinAlgError
        As for :class:`NeuralFeatureRegressor`; and ValueError for fewer than two classes.

    Notes
    -----
    As for :class:`NeuralFeatureRegressor`; the temperature always takes the second pass, with one alpha at 2 n m^2
    operations, the features again and m^3 / 3 more.

    Examples
    --------
    >>> from sklearn.datasets import load_breast_cancer
    >>> from sklearn.model_selection import cross_val_score
    >>> from sklearn.pipeline import make_pipeline
    >>> from sklearn.preprocessing import StandardScaler
    >>> from neural_kernels.estimators.feature_regressor import NeuralFeatureClassifier
    >>> X, y = load_breast_cancer(return_X_y=True)
    >>> model = make_pipeline(StandardScaler(), NeuralFeatureClassifier(n_components=128, random_state=0))
    >>> bool(cross_val_score(model, X, y).mean() > 0.96)
    True
    """

    def __init__(
        self,
        network: Any = None,
        *,
        kernel: str = "ntk",
        n_components: int = 4096,
        method: Any = None,
        alpha: Any = 1e-2,
        class_weight: Any = None,
        random_state: Any = None,
        memory_budget: int | None = None,
        verbose: int = 0,
    ):
        self.network = network
        self.kernel = kernel
        self.n_components = n_components
        self.method = method
        self.alpha = alpha
        self.class_weight = class_weight
        self.random_state = random_state
        self.memory_budget = memory_budget
        self.verbose = verbose

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> NeuralFeatureClassifier:
        """Fit to the labels y, shape (n,), with non-negative weights, shape (n,), default all 1."""
        X, y, weights = self._read_training(X, y, sample_weight)
        check_classification_targets(y)
        self.classes_ = _classes(y[weights > 0])
        return self._fit(X, y, weights, anew=True)

    def partial_fit(self, X: Any, y: Any, classes: Any = None, sample_weight: Any = None) -> NeuralFeatureClassifier:
        """Take in more rows, as :meth:`NeuralFeatureRegressor.partial_fit` does.

        Parameters
        ----------
        X : array-like of shape (n, d)
        y : array-like of shape (n,)
        classes : array-like of shape (K,)
            All labels there will be; needed in the first call.
        sample_weight : array-like of shape (n,), optional
        """
        anew = not hasattr(self, "moments_")
        if isinstance(self.class_weight, str):
            raise ValueError(f"class_weight={self.class_weight!r}: partial_fit does not know all labels; give a dict")
        X, y, weights = self._read_training(X, y, sample_weight, reset=anew)
        check_classification_targets(y)
        if anew and classes is None:
            raise ValueError("classes: expected all labels there will be, in the first call of partial_fit")
        if anew:
            self.classes_ = _classes(classes)
        elif classes is not None and not np.array_equal(_classes(classes), self.classes_):
            raise ValueError(f"classes={classes!r}: expected those of the first call, {self.classes_}")
        self._fit(X, y, weights, anew)
        if anew:
            self._warn_if_narrow()
        return self

    def _fit(self, X: Any, y: np.ndarray, weights: Array, anew: bool) -> NeuralFeatureClassifier:
        k = len(self.classes_)
        label = np.searchsorted(self.classes_, y).clip(max=k - 1)
        unknown = (self.classes_[label] != y) & (weights > 0)
        if unknown.any():
            raise ValueError(f"y holds {y[unknown][0]!r}, which is not among the classes {self.classes_}")
        weights = weights * class_factors(self.class_weight, self.classes_, label, weights)[label]
        targets = 2.0 * np.eye(k)[label] - 1
        examples, residuals = self._learn(X, targets[:, 1:] if k == 2 else targets, weights, anew, loo=True)
        shares = (_all_scores(examples.targets) + 1) / 2
        self.temperature_ = fit_temperature(_all_scores(examples.targets - residuals), shares, examples.weights)
        return self

    def decision_function(self, X: Any) -> Array:
        """Score the classes: (n, K), or for two classes (n,), positive for ``classes_[1]``."""
        scores = self._outputs(X)
        return scores[:, 0] if scores.shape[1] == 1 else scores

    def predict(self, X: Any) -> np.ndarray:
        """Predict labels, shape (n,)."""
        scores = _all_scores(self._outputs(X))
        return self.classes_[scores.argmax(axis=1)]

    def predict_proba(self, X: Any) -> Array:
        """Predict probabilities of the classes, (n, K): the softmax of the scores over `temperature_`."""
        scores = _all_scores(self._outputs(X))
        return softmax(scores / self.temperature_, axis=1)


def _classes(labels: Any) -> np.ndarray:
    classes = np.unique(labels)
    if len(classes) < 2:
        raise ValueError(f"y holds one class, {classes[0]!r}, among samples of positive weight; expected 2 or more")
    return classes
