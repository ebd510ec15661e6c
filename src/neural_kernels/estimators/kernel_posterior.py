"""What a kernel regressor says of targets beside their mean: deviations, samples, intervals."""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_is_fitted
from typing_extensions import override

from neural_kernels.checks import require_integer, require_number
from neural_kernels.estimators import settings
from neural_kernels.estimators.editing import EditableModel
from neural_kernels.estimators.ensemble_noise import ensemble_variances
from neural_kernels.estimators.examples import Examples
from neural_kernels.estimators.leave_one_out import LeftOut
from neural_kernels.estimators.passing_gradients import passing_gradients
from neural_kernels.estimators.pathwise import deviations
from neural_kernels.estimators.predictive import PredictiveModel, TargetVariances, too_many_covariances
from neural_kernels.exact import kernels
from neural_kernels.features.method import UnsuitableError
from neural_kernels.runtime.lazy import cached_property
from neural_kernels.runtime.types import Array
from neural_kernels.solvers import IterativeSolver, ensemble_covariance, gp_covariance


class KernelPosterior(PredictiveModel, EditableModel):
    """Private base: prediction with uncertainty; `fit` is its subclass's."""

    y_offset_: Any

    @property
    def _single(self) -> bool:
        return np.ndim(self.y_offset_) == 0

    @passing_gradients
    def predict(
        self,
        X: Any,
        return_std: bool = False,
        return_cov: bool = False,
        time: float | None = None,
        noise: bool = True,
    ) -> Any:
        r"""Predict, at the end of training or at any time of it.

        At time t under gradient flow on the mean squared error of n examples (sum of weights) and o outputs, from
        outputs equal to the intercept,

        .. math:: f_t(x) = m + k(x, X) K_\lambda^{-1} (I - e^{-t K_\lambda / (n o)}) (y - m), \;
           K_\lambda = K + \lambda.

        Parameters
        ----------
        X : array-like of shape (m, ...)
            A torch tensor that requires gradients gives a tensor that passes them on (once, as `gradient` has them).
        return_std, return_cov : bool
            Also return standard deviations or covariances of targets at X about f, in the targets' own units: 95 % of
            them should lie within 1.96 deviations. The amplitude of the prior is fitted to the targets, see Notes.
        time : float, optional
            Training time, at least 0; default: the end. A function drawn from the prior and the noise stay what they
            are; earlier, f is further from them.
        noise : bool
            True, as with a ``WhiteKernel`` in ``sklearn.gaussian_process``: of targets. False: of the function that
            they are noisy values of (with an NTK: of the outputs of trained networks).

        Returns
        -------
        mean : ndarray of shape (m,) or (m, n_outputs)
        std : ndarray of the same shape, with `return_std`
        cov : ndarray of shape (m, m) or (m, m, n_outputs), with `return_cov`
        """
        if return_std and return_cov:
            raise ValueError("return_std and return_cov: ask for one of them")
        mean = self._outputs(X, time)
        if not (return_std or return_cov):
            return self._in_shape(mean)
        if settings.is_precomputed(self.kernel):
            raise ValueError(
                'kernel="precomputed": uncertainty needs the prior of the test examples; use predict_interval, which '
                "does not, or neural_kernels.solvers.gp_covariance or ensemble_covariance with the kernels at hand"
            )
        spread = self._covariance(self._read(X, reset=False), self._rate(time), noise, whole=return_cov)
        return self._in_shape(mean), self._in_shape(spread if return_cov else np.sqrt(spread))

    @override
    def sample_y(self, X: Any, n_samples: int = 1, random_state: Any = 0, noise: bool = True) -> Array:
        """Draw targets at X together, or with ``noise=False`` functions, as `predict` describes their covariance.

        A solver that iterates draws functions before the data by random features and corrects them: each sample is a
        right-hand side, and no covariance of X is made. All others factorise it.

        Parameters
        ----------
        X : array-like of shape (m, ...)
        n_samples : int
        random_state : int, RandomState or None
        noise : bool

        Returns
        -------
        ndarray of shape (m, n_samples) or (m, n_outputs, n_samples)

        Notes
        -----
        By a factorisation 9 m^3 operations and 4 arrays of m^2 numbers an output; by iterations those of a fit with as
        many outputs, and 4,096 random features of all rows for each of 32 parts of the samples. The samples' means are
        exact; their covariance is, over many, as near as features are unbiased, of one hidden layer exactly.
        """
        require_integer("sample_y", n_samples=n_samples)
        check_is_fitted(self)
        if isinstance(self.solver_, IterativeSolver) and not settings.is_precomputed(self.kernel):
            try:
                return self._pathwise(X, n_samples, check_random_state(random_state), noise)
            except UnsuitableError:  # there are no random features of the kernel
                pass
        return super().sample_y(X, n_samples, random_state, noise)

    def _pathwise(self, X: Any, n_samples: int, generator: np.random.RandomState, noise: bool) -> Array:
        variances, mean = self._variances, self._outputs(X, None)
        rows, root = self._read(X, reset=False), self._system.root

        def correction(values: Array) -> Array:
            coefficients = self._system.solve(values, self.ridge_)
            parts = [self._cross(rows[part]) @ coefficients for part in self._blocks(rows.shape[0])]
            return np.concatenate(parts)

        count, spread = mean.shape[1] * n_samples, np.sqrt(self.ridge_) / root
        drawn = deviations(self.kernel_, self.X_fit_, rows, count, generator, correction, spread)
        drawn = drawn.reshape(len(mean), mean.shape[1], n_samples) * np.sqrt(variances.function)[:, None]
        samples = mean[..., None] + drawn
        if noise:
            samples += np.sqrt(variances.noise)[:, None] * generator.standard_normal(samples.shape)
        return samples[:, 0] if self._single else samples

    def predict_interval(self, X: Any, coverage: float = 0.9) -> Array:
        r"""Intervals in which targets at X should lie, whatever their distribution: the jackknife+ [1]_.

        Its bounds are quantiles of :math:`f_{-i}(x) \pm |y_i - f_{-i}(x_i)|` over the training rows i, each prediction
        made without row i (and its copies), by exact formulas: nothing is refitted. If rows are exchangeable, at least
        ``2 * coverage - 1`` of the targets are covered; in practice, `coverage` of them.

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
        2 n^2 operations a row of X, beside the kernel; the first call computes the residuals, n^3 with a Cholesky
        factor.

        References
        ----------
        .. [1] R. Barber, E. Candes, A. Ramdas, R. Tibshirani, "Predictive inference with the jackknife+", 2021,
           arXiv:1905.02928.
        """
        check_is_fitted(self)
        require_number("predict_interval", 0.0, 1.0, coverage=coverage)
        X = self._read(X, reset=False)
        dual = self.dual_coef_.reshape(len(self.support_), -1)
        bounds = np.empty((X.shape[0], 2, dual.shape[1]))
        for rows in self._blocks(X.shape[0], arrays=8):
            cross = self._cross(X[rows])
            smoother = self._system.solve(cross.T, self.ridge_).T
            bounds[rows] = self._left_out.interval(cross @ dual + self.y_offset_, smoother, coverage)
        return self._in_shape(bounds)

    def _fit_posterior(self, examples: Examples) -> None:
        """Set what tells the units of targets, after `_fit_examples`."""
        if isinstance(self.solver_, IterativeSolver):
            owed = examples.scatter / self.ridge_ if self.ridge_ else np.where(examples.scatter > 0, np.inf, 0.0)
            misfit = np.einsum("ij,ij->j", self._targets, self.dual_coef_) + owed
            self._amplitude, self.log_marginal_likelihood_ = np.maximum(misfit, 0) / self._mass, np.nan
        else:
            evidence = self._system.evidence(self._targets, self.ridge_, examples.scatter)
            self._amplitude, self.log_marginal_likelihood_ = evidence.amplitude, float(evidence.log_likelihood)
        self._examples = examples
        for computed in ("_left_out", "_variances"):
            vars(self).pop(computed, None)

    @cached_property
    def _left_out(self) -> LeftOut:
        self._require_gram("predict_interval")
        return LeftOut.of(self._system, self._targets, self._examples.copies, self.ridge_)

    @cached_property
    def _variances(self) -> TargetVariances:
        if settings.is_precomputed(self.kernel) or settings.prior(self.kernel_) is self.kernel_:
            return TargetVariances(self._amplitude, self.ridge_ * self._amplitude)
        self._require_gram("return_std of an NTK")
        train, scatter = np.asarray(settings.prior(self.kernel_)(self.X_fit_)), self._examples.scatter
        return TargetVariances(*ensemble_variances(self._system, train, self._targets, self.ridge_, scatter))

    def _require_gram(self, what: str) -> None:
        if isinstance(self.solver_, IterativeSolver):
            raise NotImplementedError(
                f"{what}: {type(self.solver_).__name__} does not hold what it needs, the factorised kernel matrix; fit "
                'with solver=nk.solvers.Cholesky(), take kernel="nngp" with return_std, or nk.NeuralFeatureRegressor'
            )

    def _covariance(self, X: Any, rate: float, noise: bool, whole: bool) -> Array:
        """Covariances, (m, m, o), or their diagonal, (m, o); what takes n numbers a row is made in blocks of rows."""
        prior, m = settings.prior(self.kernel_), X.shape[0]
        if whole:
            self._check_covariance(m, X.dtype.itemsize, prior is self.kernel_)
        train = None if prior is self.kernel_ else np.asarray(prior(self.X_fit_))
        if whole:
            cross, weights = np.empty((2, m, len(self.support_)))
            for rows in self._blocks(m, arrays=6):
                cross[rows], weights[rows] = self._smoother(X[rows], train is None, rate)
            return self._spread(np.asarray(prior(X)), cross, weights, train, noise)
        values, variance = np.asarray(prior.diag(X)), np.empty((m, len(self._variances.function)))
        for rows in self._blocks(m, arrays=8):
            variance[rows] = self._spread(values[rows], *self._smoother(X[rows], train is None, rate), train, noise)
        return variance

    def _smoother(self, X: Any, gaussian: bool, rate: float) -> tuple[Array, Array]:
        """The prior's covariances with the training examples and the weights of the posterior, (b, n) each."""
        if gaussian:
            cross = self._cross(X)
            return cross, self._system.solve(cross.T, self.ridge_, 2 * rate).T
        assert self.network_ is not None
        cross, tangent = kernels(self.network_, X, self.X_fit_)
        return cross, self._system.solve(tangent.T, self.ridge_, rate).T

    def _spread(self, prior: Array, cross: Array, weights: Array, train: np.ndarray | None, noise: bool) -> Array:
        """With the axis of outputs last: of a Gaussian process (`train` is None) or of the ensemble."""
        if train is None:
            function = gp_covariance(prior, cross, weights)
        else:
            function = ensemble_covariance(prior, cross, train, weights)
        spread = self._variances.of_function(function)
        del function
        if noise:
            own = np.arange(len(prior))
            spread[(own, own) if prior.ndim == 2 else own] += self._variances.noise
        if noise and train is not None:  # what the noise of the training targets has done to f
            scaled = weights / self._system.root
            moved = np.square(scaled).sum(axis=1) if prior.ndim == 1 else scaled @ scaled.T
            for k, variance in enumerate(self._variances.noise):
                spread[..., k] += variance * moved
        return spread

    def _check_covariance(self, m: int, itemsize: int, gaussian: bool) -> None:
        """Raise MemoryError, before anything large is made, if covariances of m rows exceed `memory_budget`."""
        n, outputs = len(self.support_), len(np.atleast_1d(self.y_offset_))
        of_train = 0 if gaussian else itemsize * n * n
        need = 8 * m * (m * (outputs + 2) + (2 if gaussian else 4) * n) + itemsize * m * m + of_train
        if need > (budget := settings.as_budget(self.memory_budget)):
            raise too_many_covariances(m, need, budget)
