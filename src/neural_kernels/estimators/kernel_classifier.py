"""Exact classification with the kernel of an infinitely wide network."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
from sklearn.base import ClassifierMixin
from sklearn.utils.multiclass import check_classification_targets
from typing_extensions import override

from neural_kernels.estimators.atomic import atomic
from neural_kernels.estimators.calibration import Calibration, per_class
from neural_kernels.estimators.editing import EditableModel
from neural_kernels.estimators.examples import Examples
from neural_kernels.estimators.jury import Jury
from neural_kernels.estimators.labels import calibrate, code_labels, find_classes
from neural_kernels.estimators.ledger import Ledger
from neural_kernels.estimators.passing_gradients import passing_gradients
from neural_kernels.runtime.lazy import cached_property
from neural_kernels.runtime.types import Array


class NeuralKernelClassifier(ClassifierMixin, EditableModel):
    r"""Classification by an infinitely wide neural network, trained exactly, one class against the rest.

    Kernel ridge regression, that is the squared loss, as in :class:`NeuralKernelRegressor`, on targets 1 (the class)
    and -1 (the rest); two classes take one column. The class with the highest score is predicted. Probabilities are

    .. math:: p_k(x) \propto g\bigl((1 + F_k(x)) / 2\bigr)^{1 / T}, \qquad g(p) = s \log(1 + e^{p / s}),

    with F the scores of all classes (-f and f for two), a temperature T and a softness s of the least log-loss on the
    exact leave-one-out scores of the training data, which a closed form gives without refits: no score that they are
    fitted to has seen its own label. (1 + F) / 2 is the least-squares estimate of the probabilities; where the data do
    not pay for s it is infinite, which means the softmax of F / T [2]_. As g increases, the most probable class is the
    one with the highest score.

    Parameters
    ----------
    network : Layer, optional
        Default ``nk.mlp(3, bias_var=0.1)``: without biases, inputs of one or two columns are hardly told apart. One on
        images, such as ``nk.cnn(3)``, takes X of shape (n, channels, height, width). Unused with a kernel object and
        with a precomputed kernel.
    kernel : {"ntk", "nngp", "precomputed"} or Kernel
        Of the network, "ntk": all layers are trained; "nngp": the last one. "precomputed": X is the Gram matrix,
        (n, n) to fit and (m, n) to predict. Or a kernel object, as for :class:`NeuralKernelRegressor`.
    alpha : float or array-like of shape (r,), optional
        Ridge, in units of a robust mean of the kernel's diagonal. Of several, the one with the best leave-one-out
        score, which is exact (refits with the same ridge would give it). None: one of 11 from 10 down to 1e-4,
        each :math:`\sqrt{10}` times the next. With more than 300 distinct examples and no solver named, a quarter of
        them (300 at least), drawn by lot, leave two of these, which up to 1,000 decide between on all.
    selection : {"loo", "evidence"}
        What chooses among several alphas: a leave-one-out score, or the marginal likelihood of a Gaussian process with
        this kernel and noise, whose amplitude is fitted, too.
    scoring : {"log_loss", "accuracy", "r2", "evidence"}, optional
        The leave-one-out score: the log-loss of probabilities (the default), the accuracy, or the R^2 of the decision
        values, averaged over classes. "evidence" is another way to say ``selection="evidence"``.
    solver : Solver, optional
        Such as ``nk.solvers.Cholesky()`` or ``nk.solvers.Spectral()``. None: Cholesky for few alphas, else Spectral if
        memory allows, as `solver_reason_` says. Spectral also makes training times cheap; Cholesky decomposes when the
        first one is asked for. ``nk.solvers.ConjugateGradient()``, taken by itself above 20,000 examples or where a
        factorisation exceeds `memory_budget`, holds no Gram matrix: alphas are then judged, and probabilities made, by
        up to 1,000 held-out examples.
    class_weight : dict or "balanced", optional
        Positive factors of the sample weights by class; "balanced" gives all classes the same total weight.
        Probabilities then refer to the population so weighted.
    memory_budget : int, optional
        Bytes that the Gram matrix and the solver may take.
    keep_factor : bool, optional
        Whether a fitted model holds its factorised kernel matrix, 8 n^2 bytes (Cholesky), which predictions do without.
        None: up to 256 MiB, some 5,800 examples. Where it is not held, training times, novelty and edits make it first,
        n^3 / 3 operations, and then hold it. A precomputed kernel, which cannot be made again, is held unless this is
        False. Pickles and files never hold what the training rows say.
    verbose : int
        Above 0, the kernel shows a progress bar.

    Attributes
    ----------
    classes_ : ndarray of shape (K,)
        The labels, sorted.
    calibration_ : Calibration
        What makes probabilities of scores, with `softness`, `temperature` and the leave-one-out `log_loss`.
    temperature_ : float
        T: below 1 with a finite s, probabilities are bolder than the least-squares estimates.
    alpha_, ridge_ : float
        The alpha in use, and the ridge it means.
    alphas_ : ndarray of shape (r,)
        Those that it was chosen from.
    loo_scores_ : ndarray of shape (r,) or None
        Of every alpha, the larger the better: minus the log-loss, the accuracy, R^2, or with "evidence" the logarithm
        of the marginal likelihood. NaN for one that was not tried on all examples, or is singular; None with one alpha.
    dual_coef_ : ndarray of shape (m, 1) or (m, K)
        Coefficients of the kernel at the distinct training examples.
    y_offset_ : ndarray of shape (1,) or (K,)
        The intercepts.
    solver_, solver_reason_, support_, X_fit_, kernel_, network_, n_features_in_, feature_names_in_
        As for :class:`NeuralKernelRegressor`.

    Raises
    ------
    ValueError, MemoryError, numpy.linalg.LinAlgError
        As for :class:`NeuralKernelRegressor`; and ValueError for fewer than two classes.

    Notes
    -----
    Time: n^2 / 2 kernel entries, then 2 n^3 / 3 (Cholesky, half of it for leave-one-out) or about 9 n^3 (Spectral) to
    fit; m n entries to predict. The default choice of alpha adds about 2 n^3 / 3, and once in a while n^3 / 3 more.
    Memory: the Gram matrix, and about one (Cholesky) or three (Spectral) n x n float64 matrices; for
    what a fitted model holds of them see `keep_factor`.

    References
    ----------
    .. [1] S. Arora et al., "Harnessing the power of infinitely wide deep nets on small-data tasks", 2019,
       arXiv:1910.01663.
    .. [2] C. Guo et al., "On calibration of modern neural networks", 2017, arXiv:1706.04599.

    Examples
    --------
    >>> from sklearn.datasets import load_breast_cancer
    >>> from sklearn.model_selection import cross_val_score
    >>> from sklearn.pipeline import make_pipeline
    >>> from sklearn.preprocessing import StandardScaler
    >>> import neural_kernels as nk
    >>> X, y = load_breast_cancer(return_X_y=True)
    >>> model = make_pipeline(StandardScaler(), nk.NeuralKernelClassifier(alpha=0.01))
    >>> bool(cross_val_score(model, X, y).mean() > 0.96)
    True
    """

    scorings = ("log_loss", "accuracy", "r2")
    _reading: ClassVar[dict[str, bool]] = {}

    def __init__(
        self,
        network: Any = None,
        *,
        kernel: Any = "ntk",
        alpha: Any = None,
        selection: Any = "loo",
        scoring: Any = None,
        solver: Any = None,
        class_weight: Any = None,
        memory_budget: int | None = None,
        keep_factor: bool | None = None,
        verbose: int = 0,
    ):
        self.network = network
        self.kernel = kernel
        self.alpha = alpha
        self.selection = selection
        self.scoring = scoring
        self.solver = solver
        self.class_weight = class_weight
        self.memory_budget = memory_budget
        self.keep_factor = keep_factor
        self.verbose = verbose

    @atomic
    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> NeuralKernelClassifier:
        """Fit to the labels y, shape (n,), with non-negative weights, shape (n,), default all 1."""
        X, y, weights = self._read_training(X, y, sample_weight)
        check_classification_targets(y)
        self.classes_ = find_classes(y[weights > 0])
        targets, weights = code_labels(y, self.classes_, weights, self.class_weight)
        examples = Examples.of(X, targets, weights)
        jury = self._fit_examples(X, examples)
        self._ledger = Ledger.of(examples, targets, weights)
        self.calibration_ = calibrate(examples.take(jury.judges), jury.residuals(self.ridge_))
        self.temperature_ = self.calibration_.temperature
        self._let_go()
        return self

    @cached_property
    def calibration_(self) -> Calibration:
        """What makes probabilities of scores: set by `fit`; after `add` and `remove` made when it is asked for."""
        examples = self._ledger.examples()
        _, judges = self._unit_and_judges(self._variances_of_rows(), examples)
        return calibrate(examples.take(judges), Jury(self._system, examples, judges, "").residuals(self.ridge_))

    @cached_property
    def temperature_(self) -> float:
        """That of `calibration_`."""
        return self.calibration_.temperature

    @override
    def _require_ledger(self, what: str) -> Ledger:
        if isinstance(self.class_weight, str):
            raise ValueError(
                f"{what}: with class_weight={self.class_weight!r} all weights change; fit anew, or give a dict"
            )
        return super()._require_ledger(what)

    @override
    def _coded(self, y: np.ndarray, weights: Array) -> tuple[Array, Array]:
        check_classification_targets(y)
        try:
            return code_labels(y, self.classes_, weights, self.class_weight)
        except ValueError as error:
            raise ValueError(f"{error}; a new class takes a new fit") from error

    @override
    def _edit(self, ledger: Ledger, added: Any) -> Examples:
        seen = (per_class(ledger.targets[ledger.weights > 0]) > 0).any(axis=0)
        if not seen.all():
            missing = self.classes_[~seen].tolist()
            raise ValueError(f"no row of positive weight would be left of the classes {missing}; fit anew without them")
        for computed in ("calibration_", "temperature_"):
            vars(self).pop(computed, None)
        return super()._edit(ledger, added)

    @passing_gradients
    def decision_function(self, X: Any, time: float | None = None) -> Array:
        """Score the classes: (n, K), or for two classes (n,), positive for ``classes_[1]``.

        `time` is the training time, as in :meth:`predict`.
        """
        scores = self._outputs(X, time)
        return scores[:, 0] if scores.shape[1] == 1 else scores

    def predict(self, X: Any, time: float | None = None) -> np.ndarray:
        """Predict labels, at the end of training or at a `time` of it as in :meth:`NeuralKernelRegressor.predict`."""
        scores = per_class(self._outputs(X, time))
        return self.classes_[scores.argmax(axis=1)]

    def predict_proba(self, X: Any) -> Array:
        """Predict probabilities of the classes, (n, K), by `calibration_`; the class of the highest is predicted."""
        scores = self._outputs(X, None)
        return self.calibration_.probabilities(scores)

    def predict_log_proba(self, X: Any) -> Array:
        """Predict the logarithms of the probabilities, (n, K), finite also where these are too small for numbers."""
        scores = self._outputs(X, None)
        return self.calibration_.log_probabilities(scores)
