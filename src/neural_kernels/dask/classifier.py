"""Classification with features of Dask collections."""

from __future__ import annotations

from typing import Any

import numpy as np

from neural_kernels.dask.lazy import RowFunction
from neural_kernels.dask.linear import DaskLinear
from neural_kernels.estimators import NeuralFeatureClassifier


class DaskNeuralFeatureClassifier(DaskLinear):
    """:class:`NeuralFeatureClassifier` for rows in Dask collections: see :class:`DaskNeuralFeatureRegressor`.

    The labels, and their weights with ``class_weight="balanced"``, are found in the first pass, with the sample.

    Parameters
    ----------
    network, kernel, n_components, method, augment, alpha, selection, scoring, class_weight, random_state, \
    memory_budget, verbose
        As for :class:`NeuralFeatureClassifier`; the budget is that of a worker.
    client : distributed.Client, optional
        As for :class:`DaskNeuralFeatureRegressor`.

    Attributes
    ----------
    classes_, coef_, intercept_, alpha_, ridge_, loo_scores_, calibration_, map_, ...
        All of :class:`NeuralFeatureClassifier`, and as there.

    Examples
    --------
    >>> import dask.array as da
    >>> from neural_kernels.dask import DaskNeuralFeatureClassifier
    >>> X = da.random.default_rng(0).standard_normal((3000, 4), chunks=(500, 4))
    >>> y = X[:, 0] * X[:, 1] > 0
    >>> model = DaskNeuralFeatureClassifier(n_components=128, random_state=0).fit(X, y)
    >>> bool((model.predict(X) == y).mean().compute() > 0.9)
    True
    """

    local = NeuralFeatureClassifier

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
        client: Any = None,
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
        self.client = client

    def predict(self, X: Any) -> Any:
        """Predict labels, lazily: a collection of the kind and partitions of X, shape (n,)."""
        return self._lazily(RowFunction("predict", (), self.classes_.dtype), X)

    def predict_proba(self, X: Any) -> Any:
        """Predict probabilities of the classes, lazily, shape (n, K)."""
        return self._lazily(RowFunction("predict_proba", (len(self.classes_),), np.dtype(np.float64)), X)

    def predict_log_proba(self, X: Any) -> Any:
        """Predict the logarithms of the probabilities, lazily, shape (n, K)."""
        return self._lazily(RowFunction("predict_log_proba", (len(self.classes_),), np.dtype(np.float64)), X)

    def decision_function(self, X: Any) -> Any:
        """Score the classes, lazily: (n, K), or for two classes (n,), positive for ``classes_[1]``."""
        outputs = (len(self.classes_),) if len(self.classes_) > 2 else ()
        return self._lazily(RowFunction("decision_function", outputs, np.dtype(np.float64)), X)
