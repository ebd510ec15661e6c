"""Scores of classes to probabilities, by a link of two parameters that are fitted to held-out scores."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.special import xlogy

from neural_kernels.runtime.types import Array

SOFTNESSES = (np.inf, 0.5, 0.2, 0.1, 0.05, 0.02)  # a finer grid, or a wider one, gains no 0.0005 of log-loss
_SHARP = 1e-9  # takes estimates as they are
_FAINT = 1e-9  # times the logits: equal probabilities, whose order is still that of the scores
_STEP = 8.0  # in the search for 1 / T, by which factor it moves at most
_TINY = np.finfo(np.float64).tiny
_FLAT = -30.0  # below, log(1 + exp(x)) is exp(x) in float64


def per_class(scores: Array) -> Array:
    """One column per class, (n, K): two classes may share one, (n, 1), positive for the second."""
    return np.hstack([-scores, scores]) if scores.shape[1] == 1 else scores


@dataclass(frozen=True)
class Calibration:
    r"""What turns scores of classes into probabilities.

    The least-squares fit to targets 1 (the class) and -1 (the rest) estimates the probabilities of the classes, by
    :math:`\hat p_k(x) = (1 + F_k(x)) / 2`, but for two faults: where classes overlap, estimates may be negative; where
    they do not, estimates are cautious, as a ridge shrinks them. So

    .. math:: p_k(x) \propto g(\hat p_k(x))^{1 / T}, \qquad g(p) = s \log(1 + e^{p / s}),

    with the softness s, which makes g a smooth positive part, and the temperature T. A small s with T = 1 takes the
    estimates as they are, T < 1 makes them bolder. The other limit is the softmax of the scores over a temperature,
    which s = inf stands for. As g increases, classes keep the order of their scores.

    Parameters
    ----------
    temperature : float
        T; with s = inf it divides the scores. Huge for scores that are no better than chance.
    softness : float
        s, positive.
    log_loss : float
        Mean over the examples that it was fitted to, by weight: what models may be compared by.
    """

    temperature: float
    softness: float
    log_loss: float

    @classmethod
    def fit(cls, scores: Array, shares: Array, weights: Array) -> Calibration:
        r"""Fit T and s to scores of which none has seen its own label: those of the least log-loss.

        A finite s, the second parameter, has to gain 1 / n in it (Akaike's criterion), n being the effective number of
        examples, :math:`(\sum w)^2 / \sum w^2`. In the loss :math:`q_i` is :math:`(n q_i + 1 / K) / (n + 1)`, which is
        one more label, spread evenly over classes: scores without errors do not drive T to 0.

        Parameters
        ----------
        scores : ndarray of shape (n, K), or (n, 1) for two classes
            F.
        shares : ndarray of shape (n, K)
            q, of each class in an example's labels: one-hot, but for merged copies that disagree.
        weights : ndarray of shape (n,)
            w, positive.

        Notes
        -----
        For each s of a grid the loss is convex in 1 / T, whose best value Newton's method finds: about 40 passes over
        the scores, 4 ms for 1,000 x 10.

        References
        ----------
        .. [1] C. Guo, G. Pleiss, Y. Sun, K. Weinberger, "On calibration of modern neural networks", 2017,
           arXiv:1706.04599: one temperature.
        .. [2] J. Platt, "Probabilistic outputs for support vector machines", 1999: the additional label.
        """
        if len(scores) == 1:  # inputs do not vary, nothing is held out: the scores are the frequencies of the labels
            return cls(1.0, _SHARP, -float(xlogy(shares, shares).sum()))
        weights = weights / weights.sum()
        n, k = 1 / np.square(weights).sum(), shares.shape[1]
        shares = np.ascontiguousarray(shares.T)
        smooth = (n * shares + 1 / k) / (n + 1)
        fits = []
        for softness in SOFTNESSES:
            logits = _logits(scores, softness)
            power = _best_power(logits, smooth, weights)
            log_p = _log_softmax(power * logits)
            lost, smooth_lost = (-float((q * log_p).sum(axis=0) @ weights) for q in (shares, smooth))
            criterion = smooth_lost + (softness < np.inf) / n
            fits.append((criterion, cls(1 / power, softness, lost)))
        return min(fits, key=lambda fit: fit[0])[1]

    def probabilities(self, scores: Array) -> Array:
        """Of scores, (n, 1) or (n, K): shape (n, K)."""
        return np.exp(self.log_probabilities(scores))

    def log_probabilities(self, scores: Array) -> Array:
        """Their logarithms, finite also where probabilities are too small for numbers."""
        return np.ascontiguousarray(_log_softmax(_logits(scores, self.softness) / self.temperature).T)


def _logits(scores: Array, softness: float) -> Array:
    """The logarithm of g less its maximum over the classes, (K, n): sums over few classes are quick down columns."""
    logits = np.ascontiguousarray(per_class(scores).T)
    if softness < np.inf:
        x = (1 + logits) / (2 * softness)
        logits = np.where(x < _FLAT, x, np.log(np.logaddexp(0, np.maximum(x, _FLAT))))
    return logits - logits.max(axis=0)


def _log_softmax(logits: Array) -> Array:
    """Of logits up to 0, (K, n), of which one is 0 in each column."""
    return logits - np.log(np.exp(logits).sum(axis=0))


def _best_power(logits: Array, shares: Array, weights: Array) -> float:
    """The b of the least log-loss of softmax(b * logits): Newton's method, in a bracket, on a convex function."""
    unit = -logits.min()
    if unit == 0:  # all equal
        return 1.0
    z = logits / unit
    observed = (shares * z).sum(axis=0) @ weights

    def slope_and_curvature(b: float) -> tuple[float, float]:
        p = np.exp(b * z)
        p /= p.sum(axis=0)
        p *= z
        mean = p.sum(axis=0)
        p *= z
        return mean @ weights - observed, (p.sum(axis=0) - mean * mean) @ weights

    slope, curvature = slope_and_curvature(0.0)
    if slope >= 0:  # no better than chance
        return float(_FAINT / unit)
    low, high, b = 0.0, np.inf, -slope / curvature
    for _ in range(100):
        slope, curvature = slope_and_curvature(b)
        low, high = (low, b) if slope > 0 else (b, high)
        new = min(max(b - slope / max(curvature, _TINY), b / _STEP), b * _STEP)
        if abs(new - b) <= 1e-9 * b:
            break
        b = new if low < new < high else (low + high) / 2
    return float(b / unit)
