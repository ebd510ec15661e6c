"""What a regressor on features says of targets beside their mean: deviations, samples, intervals."""

from __future__ import annotations

from typing import Any

import numpy as np

from neural_kernels.checks import require_number
from neural_kernels.estimators.built import blocks, features, squared_norms
from neural_kernels.estimators.feature_base import FeatureRidge, Solution
from neural_kernels.estimators.leave_one_out import upper_quantile
from neural_kernels.estimators.predictive import PredictiveModel, TargetVariances
from neural_kernels.runtime.types import Array
from neural_kernels.solvers.ridge_path import RidgePath

_FEW = 1024  # rows, by which a mean is estimated


class FeaturePosterior(PredictiveModel, FeatureRidge):
    """Private base: prediction with uncertainty; `fit` is its subclass's."""

    _single = False
    _scored: tuple[Solution, Array, Array] | None = None
    _lacking: tuple[Solution, float] | None = None

    @property
    def log_marginal_likelihood_(self) -> float:
        """Of the targets, with normal coefficients and noise."""
        return float(self._path().evidence.log_likelihood[0])

    def predict(self, X: Any, return_std: bool = False, return_cov: bool = False, noise: bool = True) -> Any:
        r"""Predict.

        Parameters
        ----------
        X : array-like of shape (m, ...)
        return_std, return_cov : bool
            Also return standard deviations or covariances of targets at X about f, in the targets' own units: of the
            linear model with normal coefficients and noise whose amplitude is fitted to the targets, see Notes.
        noise : bool
            True: of targets. False: of the function that they are noisy values of.

        Returns
        -------
        mean : ndarray of shape (m,) or (m, n_outputs)
        std : ndarray of the same shape, with `return_std`
        cov : ndarray of shape (m, m) or (m, m, n_outputs), with `return_cov`
        """
        if return_std and return_cov:
            raise ValueError("return_std and return_cov: ask for one of them")
        mean = self._outputs(X)
        if not (return_std or return_cov):
            return self._in_shape(mean)
        function = self._function_covariance(self._read(X, self._shape, reset=False), whole=return_cov)
        if noise:
            own: Array = np.eye(len(mean)) if return_cov else np.ones(len(mean))
            spread = self._variances.of_targets(function, own)
        else:
            spread = self._variances.of_function(function)
        return self._in_shape(mean), self._in_shape(spread if return_cov else np.sqrt(spread))

    def predict_interval(self, X: Any, coverage: float = 0.9) -> Array:
        """Intervals in which targets at X should lie, whatever their distribution: the jackknife.

        f, plus and minus the quantile of the exact leave-one-out residuals of the rows by which alpha is chosen, too.
        Where there are many more rows than features, f is nearly the same without one of them, and the jackknife+ of
        :class:`NeuralKernelRegressor` would give nearly the same. Copies of a row count as rows, each of the mean
        square that theirs have.

        Parameters
        ----------
        X : array-like of shape (m, ...)
        coverage : float
            Share of targets to be covered, below 1. Where there are too few rows for so much, below
            ``coverage / (1 - coverage)``, bounds are infinite.

        Returns
        -------
        ndarray of shape (m, 2) or (m, 2, n_outputs)
            Lower and upper bounds: ``lower, upper = predict_interval(X).T`` for one output.

        Notes
        -----
        The first call computes the residuals: of up to 16,384 rows, n m^2 operations.
        """
        require_number("predict_interval", 0.0, 1.0, coverage=coverage)
        mean = self._outputs(X)
        scores, weights = self._residual_sizes()
        half = upper_quantile(scores.T, weights, coverage)
        return self._in_shape(np.stack([mean - half, mean + half], axis=1))

    @property
    def _variances(self) -> TargetVariances:
        amplitude = self._path().evidence.amplitude[0]
        return TargetVariances(amplitude, self.ridge_ * amplitude)

    def _path(self) -> RidgePath:
        """For the ridge in use, of which the factor is kept."""
        return self._solved().path

    def _function_covariance(self, X: Any, whole: bool) -> Array:
        """Posterior covariances (m, m) or variances (m,) of the function, for an amplitude of 1."""
        fitted, path, lacked = self._solved().built.map, self._path(), self._lacked_in_training()
        if whole:
            phi = features(fitted, X)
            beyond = np.maximum(self._lacked(X, phi) - lacked, 0)
            return self.ridge_ * path.covariance(phi) + np.diag(beyond)
        variance = np.empty(X.shape[0])
        for block in blocks(X.shape[0], fitted.columns, None):
            phi = features(fitted, X[block])
            beyond = np.maximum(self._lacked(X[block], phi) - lacked, 0)
            variance[block] = self.ridge_ * path.leverage(phi)[0] + beyond
        return variance

    def _lacked(self, rows: Any, phi: np.ndarray) -> Array:
        """What the features leave out of the kernel's diagonal."""
        return np.maximum(np.asarray(self.kernel_.diag(rows), dtype=np.float64) - squared_norms(phi), 0)

    def _lacked_in_training(self) -> float:
        """Its mean over rows that the map did not learn from: the noise that was fitted stands for so much of it."""
        solution = self._solved()
        if self._lacking is None or self._lacking[0] is not solution:
            judges = solution.built.judges(self._seen().kept[0])
            few = np.unique(np.linspace(0, len(judges) - 1, min(_FEW, len(judges))).astype(np.intp))
            rows, weights = judges.data[few], judges.weights[few]
            lacked = self._lacked(rows, features(solution.built.map, rows))
            self._lacking = solution, float(np.average(lacked, weights=weights))
        return self._lacking[1]

    def _residual_sizes(self) -> tuple[Array, Array]:
        """Absolute leave-one-out residuals (n, o), and how many rows each of them is."""
        solution = self._solved()
        if self._scored is None or self._scored[0] is not solution:
            judges = solution.built.judges(self._seen().kept[0])
            residuals = self._loo_residuals(solution.path, solution.built, judges)[0][0]
            scores = np.sqrt(np.square(residuals) + judges.scatter / judges.weights[:, None])
            self._scored = solution, scores, judges.weights
        return self._scored[1:]
