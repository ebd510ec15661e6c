"""Predictive distributions of targets: deviations, covariances and samples in their own units."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.linalg import eigh
from sklearn.utils import check_random_state

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

    def of_targets(self, function: Array, noise: Array) -> Array:
        """Variances or covariances of targets, with an axis of outputs at the end.

        Parameters
        ----------
        function, noise : ndarray of shape (m,) or (m, m)
            Covariances for an amplitude and a noise variance of 1.
        """
        return function[..., None] * self.function + noise[..., None] * self.noise

    def of_function(self, function: Array) -> Array:
        """The same without any noise."""
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
