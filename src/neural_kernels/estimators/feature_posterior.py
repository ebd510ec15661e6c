"""What a regressor on features says of targets beside their mean: deviations, samples, intervals."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from sklearn.utils import check_random_state
from typing_extensions import override

from neural_kernels.checks import require_integer, require_number
from neural_kernels.estimators import settings
from neural_kernels.estimators.built import blocks, features
from neural_kernels.estimators.feature_base import Solution
from neural_kernels.estimators.feature_novelty import SMALLEST, FeatureNovelty
from neural_kernels.estimators.leave_one_out import upper_quantile
from neural_kernels.estimators.passing_gradients import passing_gradients
from neural_kernels.estimators.predictive import PredictiveModel, TargetVariances, too_many_covariances
from neural_kernels.runtime.types import Array
from neural_kernels.solvers.ridge_path import RidgePath


@dataclass(frozen=True)
class Judged:
    """What rows say of a model that has not learned its features from them.

    Parameters
    ----------
    sizes : ndarray of shape (n, o)
        Absolute exact leave-one-out residuals.
    weights : ndarray of shape (n,)
        How many rows each of them is.
    amplitude : ndarray of shape (o,)
        With which the residuals have the variances that are said of them, on the mean.
    lacked : float
        Mean of what the features leave out of the kernel's diagonal. The noise that is fitted stands for it.
    """

    sizes: Array
    weights: Array
    amplitude: Array
    lacked: float


class FeaturePosterior(PredictiveModel, FeatureNovelty):
    """Private base: prediction with uncertainty; `fit` is its subclass's."""

    _single = False
    _judgement: tuple[Solution, Judged] | None = None

    @property
    def log_marginal_likelihood_(self) -> float:
        """Of the targets, with normal coefficients and noise."""
        return float(self._path().evidence.log_likelihood[0])

    @passing_gradients
    def predict(self, X: Any, return_std: bool = False, return_cov: bool = False, noise: bool = True) -> Any:
        r"""Predict.

        Parameters
        ----------
        X : array-like of shape (m, ...), or source of blocks
            As for `fit`; the results of all blocks are joined. A torch tensor that requires gradients gives a tensor
            that passes them on (once, as `gradient` has them).
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
        if return_std:
            pairs = self._by_blocks(X, lambda rows: np.stack(self.predict(rows, return_std=True, noise=noise), axis=1))
            if pairs is not None:
                return pairs[:, 0], pairs[:, 1]
        if return_cov and not isinstance(X, np.ndarray) and self._source(X) is not None:
            raise ValueError("return_cov: all rows are needed at once, as one array; got blocks")
        mean = self._outputs(X)
        if not (return_std or return_cov):
            return self._in_shape(mean)
        if return_cov:
            self._check_covariance(*mean.shape)
        function = self._function_covariance(self._read(X, self._shape, reset=False), whole=return_cov)
        spread = self._variances.of_function(function)
        del function
        if noise:
            own = np.arange(len(mean))
            spread[(own, own) if return_cov else own] += self._variances.noise
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
        judged = self._judged()
        half = upper_quantile(judged.sizes.T, judged.weights, coverage)
        return self._in_shape(np.stack([mean - half, mean + half], axis=1))

    @override
    def sample_y(self, X: Any, n_samples: int = 1, random_state: Any = 0, noise: bool = True) -> Array:
        """Draw targets at X together, or with ``noise=False`` functions, as `predict` describes their covariance.

        Whole functions are drawn, as coefficients, and then evaluated: X may be as many rows as predictions are made
        of, and the same seed gives the same functions at other rows, but for what the features leave out of the
        kernel, which is drawn for each row.

        Parameters
        ----------
        X : array-like of shape (m, ...), or source of blocks
        n_samples : int
        random_state : int, RandomState or None
        noise : bool

        Returns
        -------
        ndarray of shape (m, n_samples) or (m, n_outputs, n_samples)

        Notes
        -----
        2 q^2 operations a sample, with q features, and 2 q a sample and row.
        """
        require_integer("sample_y", n_samples=n_samples)
        solution, generator, variances = self._solved(), check_random_state(random_state), self._variances
        found, offsets = solution.coefficients, solution.intercept
        draws = [self._path().draw(n_samples, generator) for _ in offsets]
        spread = np.sqrt(variances.noise)
        coefficients = np.stack([found[:, [k]] + spread[k] * draw[0] for k, draw in enumerate(draws)], axis=1)
        intercepts = np.stack([offsets[k] + spread[k] * draw[1] for k, draw in enumerate(draws)])

        def values(rows: Any) -> Array:
            return self._drawn(self._read(rows, self._shape, reset=False), coefficients, intercepts, generator, noise)

        samples = self._of_rows(X, values)
        return samples[:, 0] if self._single else samples

    def _drawn(
        self, X: Any, coefficients: Array, intercepts: Array, generator: np.random.RandomState, noise: bool
    ) -> Array:
        """Samples (m, o, s) of coefficients (q, o, s) and intercepts (o, s), with what is drawn row by row."""
        fitted, lacked, variances = self._solved().built.map, self._judged().lacked, self._variances
        self._region.warn_if_outside(X, self.kernel_)
        samples = np.empty((X.shape[0], *intercepts.shape))
        for block in blocks(X.shape[0], fitted.columns, None):
            phi = features(fitted, X[block])
            beyond = np.maximum(self._lacked(X[block], phi) - lacked, 0)
            samples[block] = np.tensordot(phi.astype(np.float64), coefficients, 1) + intercepts
            own = beyond[:, None] * variances.function + noise * variances.noise
            samples[block] += np.sqrt(own)[..., None] * generator.standard_normal(samples[block].shape)
        return samples

    @property
    def _variances(self) -> TargetVariances:
        if self.ridge_ == 0:
            raise ValueError("uncertainty needs an alpha above 0, the noise of the targets")
        amplitude = self._judged().amplitude
        return TargetVariances(amplitude, self.ridge_ * amplitude)

    def _path(self) -> RidgePath:
        """For the ridge in use, of which the factor is kept."""
        return self._solved().path

    def _check_covariance(self, n: int, outputs: int) -> None:
        """Raise MemoryError, before anything large is made, if covariances of n rows exceed `memory_budget`."""
        need, budget = 8 * n * (n * (1 + outputs) + 3 * self.map_.columns), settings.as_budget(self.memory_budget)
        if need > budget:
            raise too_many_covariances(n, need, budget)

    def _function_covariance(self, X: Any, whole: bool) -> Array:
        """Posterior covariances (m, m) or variances (m,) of the function, for an amplitude of 1."""
        fitted, path, lacked = self._solved().built.map, self._path(), self._judged().lacked
        if whole:
            phi = features(fitted, X)
            beyond = np.maximum(self._lacked(X, phi) - lacked, 0)
            covariance = path.covariance(phi)
            covariance *= self.ridge_
            covariance[np.diag_indices(len(phi))] += beyond
            return covariance
        variance = np.empty(X.shape[0])
        for block in blocks(X.shape[0], fitted.columns, None):
            phi = features(fitted, X[block])
            beyond = np.maximum(self._lacked(X[block], phi) - lacked, 0)
            variance[block] = self.ridge_ * path.leverage(phi)[0] + beyond
        return variance

    def _judged(self) -> Judged:
        """Of the rows by which alpha is chosen: their residuals, and what follows from them."""
        solution = self._solved()
        if self._judgement is None or self._judgement[0] is not solution:
            self._judgement = solution, self._judge(solution)
        return self._judgement[1]

    def _judge(self, solution: Solution) -> Judged:
        built, path = solution.built, self._path()
        rows = built.judges(self._seen().kept[0])
        y, w = rows.targets, rows.weights
        residuals, lacked, variance = np.zeros_like(y), np.empty(len(y)), np.empty(len(y))
        alone = built.moments.weight <= w.max()  # no other row could predict it
        for block in blocks(len(rows), built.map.columns, None):
            phi = features(built.map, rows.data[block])
            lacked[block] = self._lacked(rows.data[block], phi)
            variance[block] = self.ridge_ / w[block] / np.maximum(1 - w[block] * path.leverage(phi)[0], SMALLEST)
            if not alone:
                residuals[block] = path.loo_residuals(phi, y[block], w[block])[0]
        common = float(np.average(lacked, weights=w))
        variance += np.maximum(lacked - common, 0)
        explained = np.sum(np.square(residuals) / variance[:, None] + rows.scatter / self.ridge_, axis=0)
        sizes = np.sqrt(np.square(residuals) + rows.scatter / w[:, None])
        return Judged(sizes, w, explained / w.sum(), common)
