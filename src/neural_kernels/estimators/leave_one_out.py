"""What a fitted kernel model predicts without one of its examples: exact, without refits."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from neural_kernels.estimators.examples import Copies
from neural_kernels.runtime.types import Array
from neural_kernels.solvers.protocol import RidgeSystem


def offset_shift(centred: Array, weights: Array) -> Array:
    """What the mean of the targets moves by without example i, (m, o): :math:`-w_i y_i / (W - w_i)`, y centred.

    Nothing where there is but one example, which leaves no other.
    """
    if len(weights) == 1:
        return np.zeros_like(centred)
    return -(weights / (weights.sum() - weights))[:, None] * centred


def loo_residuals(
    system: RidgeSystem, centred: Array, weights: Array, ridges: Array, rows: np.ndarray | None = None
) -> Array:
    """Exact residuals (r, m, o) of predictions without the example itself, neither in f nor in the offset.

    With `rows`, ascending, of these examples only.

    They are linear in the targets, so that the shift of the offset costs one more column, of ones. Of one example
    alone, the mean of all rows where inputs do not vary, they are 0: there is no other to predict it.
    """
    kept = slice(None) if rows is None else rows
    if len(weights) == 1:
        return np.zeros((len(ridges), *centred[kept].shape))
    targets = np.column_stack([centred, np.ones(len(weights))])
    residuals = system.loo_residuals(targets, ridges, rows)
    return residuals[..., :-1] - offset_shift(centred, weights)[kept] * residuals[..., -1:]


@dataclass(frozen=True)
class LeftOut:
    r"""Predictions without each of the examples in turn.

    .. math:: f_{-i}(x) = f(x) - A_i(x)\, r_i + \Bigl( 1 - \sum_j A_j(x) \Bigr) \delta_i, \qquad
       A(x) = k(x, X) (K + \lambda W^{-1})^{-1},

    with the exact leave-one-out residuals r and the shifts :math:`\delta` of the offset.

    Parameters
    ----------
    residuals, shift : ndarray of shape (m, o)
        Of the examples.
    scores : ndarray of shape (n, o)
        :math:`|y_j - f_{-i}(x_j)|` of every row j, which is a copy of example i.
    group : ndarray of shape (n,)
        i for every j.
    weights : ndarray of shape (n,)
        Of the rows.
    """

    residuals: Array
    shift: Array
    scores: Array
    group: np.ndarray
    weights: Array

    @classmethod
    def of(cls, system: RidgeSystem, centred: Array, copies: Copies | None, ridge: float) -> LeftOut:
        """From a system of the examples, and their targets less the offset."""
        weights = np.square(system.root)
        residuals = loo_residuals(system, centred, weights, np.array([ridge]))[0]
        shift = offset_shift(centred, weights)
        if copies is None:
            return cls(residuals, shift, np.abs(residuals), np.arange(len(residuals)), weights)
        scores = np.abs(residuals[copies.group] + copies.deviations)
        return cls(residuals, shift, scores, copies.group, copies.weights)

    def interval(self, outputs: Array, smoother: Array, coverage: float) -> Array:
        r"""Jackknife+ intervals [1]_: quantiles of :math:`f_{-i}(x) \pm |y_i - f_{-i}(x_i)|` over the rows.

        Parameters
        ----------
        outputs : ndarray of shape (b, o)
            f(x).
        smoother : ndarray of shape (b, m)
            A(x).
        coverage : float

        Returns
        -------
        ndarray of shape (b, 2, o)

        Notes
        -----
        b n log n operations an output, and some arrays of b n numbers.

        References
        ----------
        .. [1] R. Barber, E. Candes, A. Ramdas, R. Tibshirani, "Predictive inference with the jackknife+", 2021,
           arXiv:1905.02928, eq. 1.5.
        """
        bounds = np.empty((len(outputs), 2, outputs.shape[1]))
        rest = 1 - smoother.sum(axis=1, keepdims=True)
        for k in range(outputs.shape[1]):
            without = outputs[:, k, None] - smoother * self.residuals[:, k] + rest * self.shift[:, k]
            without = without[:, self.group]
            bounds[:, 0, k] = -upper_quantile(self.scores[:, k] - without, self.weights, coverage)
            bounds[:, 1, k] = upper_quantile(self.scores[:, k] + without, self.weights, coverage)
        return bounds


def upper_quantile(values: Array, weights: Array, coverage: float) -> Array:
    """Of each row the smallest value that so many values, of all and one more, do not exceed; infinity if none is.

    Parameters
    ----------
    values : ndarray of shape (b, n)
    weights : ndarray of shape (n,)
        How many values each of them is.
    coverage : float
    """
    needed = coverage * (weights.sum() + 1) * (1 - 1e-12)  # 0.9 * 10 may come out above 9
    order = np.argsort(values, axis=1)
    enough = np.cumsum(weights[order], axis=1) >= needed
    first = np.take_along_axis(order, enough.argmax(axis=1)[:, None], axis=1)
    found = np.take_along_axis(values, first, axis=1)[:, 0]
    return np.where(enough[:, -1], found, np.inf)
