"""Predictive distributions of targets: deviations, covariances and samples in their own units."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.linalg import eigh
from sklearn.utils import check_random_state

from neural_kernels.checks import require_integer
from neural_kernels.runtime.types import Array


@dataclass(frozen=True)
class TargetVariances:
    """Of every output, in the square of its targets' units.

    Parameters
    ----------
    function : ndarray of shape (o,)
        The amplitude: what multiplies covariances of functions.
    noise : ndarray of shape (o,)
        Of a single target about the function.
    """

    function: Array
    noise: Array

    def of_function(self, function: Array) -> Array:
        """Variances or covariances of functions, with an axis of outputs at the end.

        Parameters
        ----------
        function : ndarray of shape (m,) or (m, m)
            For an amplitude of 1.
        """
        return function[..., None] * self.function


def draw(mean: Array, covariance: Array, n_samples: int, random_state: Any) -> Array:
    """Samples of normal distributions, shape (m, o, n_samples).

    Parameters
    ----------
    mean : ndarray of shape (m, o)
    covariance : ndarray of shape (m, m, o)
        May be singular.
    n_samples : int
    random_state : int, RandomState or None
    """
    generator = check_random_state(random_state)
    samples = np.empty((*mean.shape, n_samples))
    for k in range(mean.shape[1]):
        values, vectors = eigh(covariance[..., k])
        root = vectors * np.sqrt(np.maximum(values, 0))
        samples[:, k] = mean[:, k, None] + root @ generator.standard_normal((len(mean), n_samples))
    return samples


def too_many_covariances(rows: int, need: int, budget: float) -> MemoryError:
    """The error for covariances of rows that exceed `memory_budget`."""
    return MemoryError(
        f"covariances of {rows:,} rows take {need:,} bytes; memory_budget is {int(budget):,}. Ask for return_std, give "
        "fewer rows or raise the budget."
    )


class PredictiveModel:
    """Private base of regressors: what follows from the predicted means, covariances and variances of outputs."""

    predict: Any
    _single: Any  # bool, an attribute or a property: whether targets had no axis of outputs
    _variances: Any  # TargetVariances, likewise

    @property
    def amplitude_(self) -> Any:
        """Variance of functions in units of the prior kernel, of every output."""
        return self._per_output(self._variances.function)

    @property
    def noise_variance_(self) -> Any:
        """Variance of single targets about the function, of every output."""
        return self._per_output(self._variances.noise)

    def sample_y(self, X: Any, n_samples: int = 1, random_state: Any = 0, noise: bool = True) -> Array:
        """Draw targets at X together, or with ``noise=False`` functions, as `predict` describes their covariance.

        Parameters
        ----------
        X : array-like of shape (m, ...)
        n_samples : int
        random_state : int, RandomState or None
        noise : bool

        Returns
        -------
        ndarray of shape (m, n_samples) or (m, n_outputs, n_samples)
            As from ``GaussianProcessRegressor.sample_y``. Time about 9 m^3, memory 4 arrays of m^2 numbers an output.
        """
        require_integer("sample_y", n_samples=n_samples)
        mean, covariance = self.predict(X, return_cov=True, noise=noise)
        m = len(mean)
        samples = draw(mean.reshape(m, -1), covariance.reshape(m, m, -1), n_samples, random_state)
        return samples[:, 0] if mean.ndim == 1 else samples

    def _in_shape(self, values: Array) -> Array:
        """Without the axis of outputs, the last, where targets had none."""
        return values[..., 0] if self._single else values

    def _per_output(self, values: Array) -> Any:
        return values.item() if self._single else values
