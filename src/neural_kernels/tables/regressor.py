"""Regression of tables as they are."""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn.base import RegressorMixin
from sklearn.utils.validation import check_array
from typing_extensions import override

from neural_kernels.estimators.atomic import atomic
from neural_kernels.estimators.examples import Examples
from neural_kernels.estimators.feature_regressor import NeuralFeatureRegressor
from neural_kernels.estimators.kernel_regressor import NeuralKernelRegressor
from neural_kernels.estimators.scores import mean_r2, squared_errors
from neural_kernels.exact import Kernel
from neural_kernels.runtime.types import Array
from neural_kernels.tables.base import TableModel, landmarks, require_targets
from neural_kernels.tables.candidates import Candidate

_EXACT = 1e-20  # of the variance: residuals of a kernel that errs nowhere


class TableRegressor(RegressorMixin, TableModel):
    """Regression of a table as it is, with nothing to choose.

    A data frame with categories, strings, dates and missing cells becomes numbers (see :func:`table_pipeline`). Three
    kernels, two of infinitely wide networks and one of distances, learn which columns matter, as in
    :class:`FeatureLearning`; all that come about are judged by exact leave-one-out, and the model is kernel ridge
    regression with their weighted sum.

    Parameters
    ----------
    time_budget : float, optional
        Seconds after which no further kernel is tried, counted from the beginning of the fit. It bounds the search, not
        the fit: what is tried at that moment is finished, the sum of what was found is judged, and the model is fitted
        to all rows. Where it has ended the search, that last fit is made cheaper, too: exact up to 5,000 rows, with
        1,024 landmarks beyond. At least one kernel is tried, that of one hidden layer. Results then depend on the
        machine; without, they are always the same.
    memory_budget : int, optional
        Bytes. Where three matrices of all pairs of rows exceed them, and above 15,000 rows, the model has 4,096
        landmarks.
    verbose : int
        Above 0, a progress bar says which step it is at: columns, kernels, their sum, the last fit, importances.

    Attributes
    ----------
    report_ : TableReport
        What was tried and chosen; print it.
    pipeline_ : Pipeline
        Encoder, scaler and model, all fitted: ordinary steps that can be taken apart.
    encoder_, scaler_, model_ : TableEncoder, TableScaler, NeuralKernelRegressor or NeuralFeatureRegressor
        The steps, with all they can do.
    feature_importances_ : ndarray of shape (d,)
        How much predictions vary with each column of the table; their sum is 1.
    n_features_in_, feature_names_in_

    Raises
    ------
    ValueError
        No column to learn from; targets that are not finite; and as the steps do.

    Notes
    -----
    33 kernels are judged by 2,000 rows at most, each by a few Cholesky factorisations: 12 s for 1,000 rows, half a
    minute for 2,000, on two cores. Then the model is fitted to all rows as :class:`NeuralKernelRegressor` is.

    Examples
    --------
    >>> from sklearn.datasets import load_diabetes
    >>> import neural_kernels as nk
    >>> X, y = load_diabetes(return_X_y=True, as_frame=True)
    >>> model = nk.TableRegressor().fit(X[:300], y[:300])
    >>> bool(model.score(X[300:], y[300:]) > 0.4)
    True
    """

    criterion = "R^2"

    def __init__(self, *, time_budget: float | None = None, memory_budget: int | None = None, verbose: int = 0):
        self.time_budget = time_budget
        self.memory_budget = memory_budget
        self.verbose = verbose

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.target_tags.multi_output = True
        return tags

    @atomic
    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> TableRegressor:
        """Fit to a table, shape (n, d), and targets, (n,) or (n, n_outputs), with weights, (n,), default all 1."""
        require_targets(self, y)
        try:
            y = np.asarray(check_array(y, ensure_2d=False, dtype="float64", input_name="y", estimator=self))
        except ValueError as error:
            error.add_note("Targets are numbers here; nk.TableClassifier takes classes.")
            raise
        self._fit_table(X, y, y.reshape(len(y), -1), sample_weight)
        return self

    @override
    def _judge(self, candidates: list[Candidate], examples: Examples) -> tuple[Array, Array]:
        residuals = np.stack([found.residuals for found in candidates])
        lost, total = squared_errors(residuals, examples.targets, examples.offset, examples.weights, examples.scatter)
        shares = lost / np.where(total > 0, total, 1)
        return np.log(np.maximum(shares, _EXACT)).mean(axis=1) / 2, mean_r2(lost, total)

    @override
    def _model(self, kernel: Kernel, alpha: Any, columns: int | None) -> Any:
        if columns is None:
            return NeuralKernelRegressor(kernel=kernel, alpha=alpha)
        return NeuralFeatureRegressor(kernel=kernel, alpha=alpha, **landmarks(columns))

    @override
    def predict(self, X: Any, return_std: bool = False) -> Any:
        """Predict targets, (n,) or (n, n_outputs); with `return_std` also their standard deviations.

        The model is then a Gaussian process with its kernel as covariance, whose deviation grows with the distance to
        the training rows.
        """
        return self._asked("predict", X, return_std=return_std)

    def predict_interval(self, X: Any, coverage: float = 0.9) -> Array:
        """Intervals, (n, 2) or (n, 2, n_outputs), that cover so many targets: jackknife+, see `NeuralKernelRegressor`.

        The kernel has seen the targets, which leave-one-out does not know of: a little fewer may be covered.
        """
        return self._asked("predict_interval", X, coverage)
