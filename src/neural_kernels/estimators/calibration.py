"""Scores of classes to probabilities, by one temperature."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.optimize import brentq
from scipy.special import log_softmax, softmax

from neural_kernels.runtime.types import Array

COLDEST, WARMEST = 1e-9, 1e9


def per_class(scores: Array) -> Array:
    """One column per class, (n, K): two classes may share one, (n, 1), positive for the second."""
    return np.hstack([-scores, scores]) if scores.shape[1] == 1 else scores


@dataclass(frozen=True)
class Calibration:
    """What turns scores of classes into probabilities, the softmax of the scores over one temperature and offsets.

    Parameters
    ----------
    temperature : float
    log_loss : float
        Mean over the examples that it was fitted to, by weight: what models may be compared by.
    offsets : ndarray of shape (K,), or 0
        Added to the scores of the classes over the temperature.
    """

    temperature: float
    log_loss: float
    offsets: Array | float = 0.0

    @classmethod
    def fit(cls, scores: Array, shares: Array, weights: Array) -> Calibration:
        """Fit to scores of examples, (n, 1) or (n, K), of which none has seen its own label.

        Parameters
        ----------
        scores : ndarray of shape (n, K), or (n, 1) for two classes
        shares : ndarray of shape (n, K)
            Of each class in an example's labels: one-hot, but for merged copies that disagree.
        weights : ndarray of shape (n,)
        """
        scores = per_class(scores)
        if len(scores) == 1 and shares.all():  # inputs do not vary: all that is known are the frequencies
            return cls(1.0, float(-(shares * np.log(shares)).sum()), np.log(shares[0]) - scores[0])
        temperature = fit_temperature(scores, shares, weights)
        lost = -(shares * log_softmax(scores / temperature, axis=1)).sum(axis=1)
        return cls(temperature, float(np.average(lost, weights=weights)))

    def probabilities(self, scores: Array) -> Array:
        """Of scores, (n, 1) or (n, K): shape (n, K)."""
        return softmax(per_class(scores) / self.temperature + self.offsets, axis=1)


def fit_temperature(scores: Array, shares: Array, weights: Array) -> float:
    r"""Fit T such that softmax(scores / T) has the least log-loss on held-out scores.

    The derivative of the log-loss by b = 1 / T, :math:`\sum_i w_i (E_{softmax(b F_i)}[F_i] - q_i \cdot F_i)`, increases
    in b: its zero is found by bisection. Labels are smoothed as in Platt's method, the class c of total weight N_c to
    (N_c e_c + 1) / (N_c + K), so that scores without errors do not drive T to 0.

    Parameters
    ----------
    scores : ndarray of shape (n, K)
        F.
    shares : ndarray of shape (n, K)
        Of each class in an example's labels: one-hot, but for merged copies that disagree.
    weights : ndarray of shape (n,)

    References
    ----------
    .. [1] C. Guo, G. Pleiss, Y. Sun, K. Weinberger, "On calibration of modern neural networks", 2017, arXiv:1706.04599.
    .. [2] J. Platt, "Probabilistic outputs for support vector machines", 1999.
    """
    totals, k = weights @ shares, shares.shape[1]
    smooth = shares @ ((np.diag(totals) + 1) / (totals[:, None] + k))

    def slope(b: float) -> float:
        expected = softmax(b * scores, axis=1) - smooth
        return float(weights @ np.einsum("ik,ik->i", expected, scores))

    if slope(1 / WARMEST) >= 0:  # no better than chance
        return WARMEST
    upper = 1.0
    while slope(upper) < 0 and upper < 1 / COLDEST:
        upper *= 4
    if upper >= 1 / COLDEST:
        return COLDEST
    return 1 / float(brentq(slope, 1 / WARMEST, upper, xtol=1e-14, rtol=1e-14))  # pyright: ignore[reportArgumentType]
