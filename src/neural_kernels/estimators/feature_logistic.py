"""Logistic regression with features of infinitely wide networks, in few passes over the data."""

from __future__ import annotations

import warnings
from typing import Any

from sklearn.exceptions import ConvergenceWarning

from neural_kernels.checks import require_integer, require_positive
from neural_kernels.estimators import settings
from neural_kernels.estimators.atomic import atomic
from neural_kernels.estimators.built import Built, block_rows
from neural_kernels.estimators.feature_classifier import NeuralFeatureClassifier
from neural_kernels.estimators.labels import find_classes
from neural_kernels.estimators.logistic_checkpoint import SearchFile
from neural_kernels.estimators.logistic_model import LogisticModel, LogisticSolution
from neural_kernels.estimators.logistic_rows import FeatureRows, Folds, LogisticData
from neural_kernels.estimators.logistic_training import LogisticTraining
from neural_kernels.solvers.logistic import LogisticMetric
from neural_kernels.solvers.moments import Moments
from neural_kernels.solvers.quasi_newton import HISTORY

_ROOM = 2**31  # bytes of features that are kept where there is no budget


class NeuralFeatureLogisticClassifier(LogisticModel):
    r"""Multinomial logistic regression on the features of an infinitely wide network, for many rows.

    .. math:: p(x) = \operatorname{softmax}(b + c^T \phi(x)), \quad
       \min_{b, c} -\sum_i w_i \log p_{y_i}(x_i) + \frac \lambda 2 |c|^2, \quad
       \lambda = \alpha \, \overline{|\phi(x_i)|^2},

    the model of scikit-learn's ``LogisticRegression(C=1 / ridge_)`` on the features, two classes with one logit. It
    takes a pass over the rows for the features' moments and some tens for the coefficients, in blocks; its
    probabilities are those of the model. :class:`NeuralFeatureClassifier`, by least squares, takes one pass and
    probabilities that are fitted afterwards.

    Parameters
    ----------
    network, kernel, n_components, method, augment, random_state, verbose
        As for :class:`NeuralFeatures`.
    alpha : float or array-like of shape (r,), optional
        Ridge, in units of a robust mean of the rows' squared features. Of several, the one with the least log-loss of
        rows held out. None: one of 6 from 1 down to 1e-5.
    class_weight : dict or "balanced", optional
        Positive factors of the sample weights by class; "balanced" gives all classes the same total weight.
    tol : float
        The gradient's norm at the end, in units of that of a model that predicts the classes' frequencies; in the
        metric of Notes.
    max_iter : int
        Passes over the data, for the final coefficients and, before, for the comparison of several alphas.
    memory_budget : int, optional
        Bytes that fitting may take, beside the data. Features that fit into what is left of it are kept, others
        computed anew in every pass; None: 2^31 bytes of them are kept.

    Attributes
    ----------
    classes_ : ndarray of shape (K,)
        The labels, sorted.
    coef_ : ndarray of shape (1, m) or (K, m)
    intercept_ : ndarray of shape (1,) or (K,)
    alpha_, ridge_ : float
        The alpha in use, and the ridge it means.
    alphas_ : ndarray of shape (r,)
    held_out_scores_ : ndarray of shape (r,) or None
        Minus the mean log-loss of rows held out, of every alpha; None with one.
    n_iter_ : int
        Steps of the final fit.
    n_passes_ : int
        Over the data or, where they are kept, the features.
    gradient_norm_ : float
        At the end, as for `tol`.
    map_, n_components_, method_, reason_, kernel_, network_, n_features_in_, feature_names_in_
        As for :class:`NeuralFeatures`.

    Raises
    ------
    ValueError
        For parameters or data out of range; fewer than two classes; blocks that can be read once only, such as those
        of a generator; rows that are others in another pass.
    MemoryError
        If fitting would exceed `memory_budget`.

    Warns
    -----
    sklearn.exceptions.ConvergenceWarning
        Where `max_iter` passes did not suffice for `tol`.

    Notes
    -----
    L-BFGS, whose metric is the inverse of :math:`S \otimes A / W + \lambda`, with the scatter A of the features and S,
    the sum of the covariances of the predicted labels, taken anew after 1, 2, 4, ... steps; with the largest possible S
    it is Böhning's bound on the Hessian, in which norms are taken. All alphas share the passes. Up to 4,096 distinct
    rows are held out once each, in 5 folds; of more a fifth, and 16,384 at most, by random numbers that depend on
    their values: copies go together, and no order of the rows matters. Rows that the map learned from are not held
    out, if there are others.

    Time, beside features and their moments: 9 m^3 operations, and a pass 4 n m K for each alpha, with features that
    were not kept beside. Memory: as :class:`NeuralFeatureRegressor` with several alphas, and 40 m K numbers an alpha.

    References
    ----------
    .. [1] D. Böhning, "Multinomial logistic regression algorithm", 1992.

    Examples
    --------
    >>> from sklearn.datasets import load_breast_cancer
    >>> from sklearn.model_selection import cross_val_score
    >>> from sklearn.pipeline import make_pipeline
    >>> from sklearn.preprocessing import StandardScaler
    >>> import neural_kernels as nk
    >>> X, y = load_breast_cancer(return_X_y=True)
    >>> logistic = nk.NeuralFeatureLogisticClassifier(n_components=128, alpha=1e-3, random_state=0)
    >>> bool(cross_val_score(make_pipeline(StandardScaler(), logistic), X, y).mean() > 0.96)
    True
    """

    def __init__(
        self,
        network: Any = None,
        *,
        kernel: Any = "ntk",
        n_components: int | str = 4096,
        method: Any = None,
        augment: Any = None,
        alpha: Any = None,
        class_weight: Any = None,
        tol: float = 1e-3,
        max_iter: int = 100,
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
        self.class_weight = class_weight
        self.tol = tol
        self.max_iter = max_iter
        self.random_state = random_state
        self.memory_budget = memory_budget
        self.verbose = verbose

    @atomic
    def fit(
        self, X: Any, y: Any = None, sample_weight: Any = None, *, checkpoint: Any = None
    ) -> NeuralFeatureLogisticClassifier:
        """Fit to the labels y, shape (n,), with non-negative weights, shape (n,), default all 1.

        X may be files or a source of blocks, as for :meth:`NeuralFeatureRegressor.fit`, that can be read again and
        again, with the same rows in each pass. Such a fit may have a `checkpoint`: beside its file, of the moments, are
        those of the passes, ``path + ".alphas"`` and ``".final"``.
        """
        require_positive(self, tol=self.tol)
        require_integer(self, max_iter=self.max_iter)
        alphas = self.alphas_
        source = self._source(X, y, sample_weight)
        if source is not None and source.once:
            raise ValueError(
                "logistic regression reads rows several times, and these blocks can be read once: give files, a list "
                "of blocks, a DataLoader, a memory map or an nk.RowSource; or take NeuralFeatureClassifier, of one pass"
            )
        first = NeuralFeatureClassifier(**self._of_map(), alpha=[1.0, 0.1])  # for two, memory is that of a basis
        first._take_all(X, y, sample_weight, checkpoint)
        for name in ("n_features_in_", "feature_names_in_"):
            vars(self).pop(name, None)
        for name in ("n_features_in_", "feature_names_in_", "classes_", "kernel_", "network_", "_region"):
            if name in vars(first):
                setattr(self, name, vars(first)[name])
        find_classes(self.classes_)
        settled, _, built = first._summed()
        data = LogisticData(first, (X, y, sample_weight), built, self.class_weight)
        distinct = len(settled.kept[0]) if settled.built is None else first._region.rows
        folds = Folds.among(distinct, settled.seed, built.learned)
        rows = FeatureRows(data.source, data.read, built.map, folds, self._room(built, len(alphas) * folds.count))
        stored = None if checkpoint is None else SearchFile(checkpoint, self, built.moments, data.start.shape[1])
        itemsize, metric = built.moments.dtype.itemsize, LogisticMetric(built.moments)
        title = type(self).__name__ if self.verbose else None
        training = LogisticTraining(rows, metric, data.start, itemsize, self.tol, self.max_iter, stored, title)
        choice = training.choose(alphas, data.scale, folds.count)
        self._solution = LogisticSolution.of(built, choice, training.final(choice.ridge), rows.passes)
        self._warn_unless_converged(self._solution)
        return self

    def _of_map(self) -> dict[str, Any]:
        names = ["network", "kernel", "n_components", "method", "augment", "random_state", "memory_budget", "verbose"]
        return {name: getattr(self, name) for name in names}

    def _room(self, built: Built, searches: int) -> float:
        """Bytes for features, beside all else; refuse what would not fit without any."""
        if self.memory_budget is None:
            return _ROOM
        m, k, itemsize = built.map.columns, len(self.classes_), built.moments.dtype.itemsize
        need = Moments.memory(m, 2) + 3 * itemsize * block_rows(m) * m + 16 * HISTORY * searches * m * k
        budget = settings.as_budget(self.memory_budget)
        if need > budget:
            raise MemoryError(
                f"logistic regression on {m:,} features, {k:,} classes and {searches} models that are fitted together "
                f"takes {need:,} bytes; memory_budget is {int(budget):,}. Use fewer n_components, one alpha or raise "
                "the budget."
            )
        return budget - need

    def _warn_unless_converged(self, solution: LogisticSolution) -> None:
        if solution.residual > self.tol:
            warnings.warn(
                f"logistic regression ended with a gradient of {solution.residual:.1e} times the first, tol is "
                f"{self.tol:g}, after {solution.steps} steps; max_iter is {self.max_iter}. Take more of them, a larger "
                "alpha (where classes can be separated, coefficients grow without end as alpha goes to 0), a larger "
                "tol, or X in float64",
                ConvergenceWarning,
                stacklevel=4,
            )
