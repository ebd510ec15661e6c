"""How likely targets are under a Gaussian process, at the amplitude that makes them the likeliest."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.special import xlogy

from neural_kernels.runtime.types import Array


@dataclass(frozen=True)
class Evidence:
    r"""Marginal likelihood of targets :math:`y \sim N(0, a (K + \lambda I))`, with the amplitude a that maximises it.

    Parameters
    ----------
    amplitude : ndarray of shape (), (o,), (r,) or (r, o)
        a, of every output, for every ridge: the targets' variance in units of the kernel. The noise variance is
        :math:`a \lambda`.
    log_likelihood : float or ndarray of shape (r,)
        Natural logarithm of the density at those amplitudes, summed over outputs. ``-inf`` for a ridge of 0 where
        copies were merged: without noise they have no density.
    """

    amplitude: Array
    log_likelihood: Array

    @classmethod
    def profiled(
        cls, misfit: float | npt.ArrayLike, log_determinant: float, ridge: float, rows: float, distinct: int
    ) -> Evidence:
        r"""For one ridge, from what depends on the kernel.

        .. math:: a = \frac 1 W y^T (K + \lambda I)^{-1} y, \qquad
           \log p = -\frac 1 2 \bigl( W \log 2 \pi e a + \log |K + \lambda I| \bigr),

        K over all W rows, of which m are distinct: its determinant is that of the m distinct ones, each weighted by its
        copies, times :math:`\lambda^{W - m}`.

        Parameters
        ----------
        misfit : ndarray of shape (o,) or ()
            :math:`y^T (K + \lambda I)^{-1} y` of every output.
        log_determinant : float
            Of the weighted matrix of the distinct rows, with its ridge.
        ridge : float
        rows : float
            W, the sum of weights: copies counted.
        distinct : int
            m.
        """
        amplitude = np.asarray(np.maximum(misfit, 0) / rows)
        if ridge == 0 and rows != distinct:
            return cls(amplitude, np.array(-np.inf))
        log_amplitude = np.log(np.maximum(amplitude, np.finfo(np.float64).tiny))  # constant targets: of next to none
        spread = rows * (log_amplitude + np.log(2 * np.pi) + 1)
        log_likelihood = -0.5 * np.sum(spread + log_determinant + xlogy(rows - distinct, ridge))
        return cls(amplitude, np.asarray(log_likelihood))
