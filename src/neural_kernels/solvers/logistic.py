"""Logistic regression, of two classes or many: its sums over rows, and a metric from the features' moments."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from scipy.linalg import eigh
from scipy.special import expit, logsumexp

from neural_kernels.runtime.types import Array
from neural_kernels.solvers.moments import Moments

_SMALLEST = 1e-12  # of the largest rate: nothing is divided by less


def softmax(logits: Array) -> Array:
    """Probabilities of the classes, (n, K), of logits (n, K), or (n, 1) for the second of two classes."""
    if logits.shape[1] == 1:
        return np.hstack([expit(-logits), expit(logits)])
    return np.exp(log_softmax(logits))


def log_softmax(logits: Array) -> Array:
    """The logarithm of the same."""
    if logits.shape[1] == 1:
        return -np.hstack([np.logaddexp(0, logits), np.logaddexp(0, -logits)])
    return logits - logsumexp(logits, axis=1, keepdims=True)


@dataclass
class LogisticSums:
    r"""Sums over rows for one model: loss, its derivatives by logits, and the mean of their second derivatives.

    .. math:: \ell = -\sum_i w_i \log p_{y_i}(x_i), \quad r_i = w_i (p(x_i) - e_{y_i}), \quad
       S = \sum_i w_i (\operatorname{diag} p(x_i) - p(x_i) p(x_i)^T).

    Two classes have one logit, K classes K.

    Parameters
    ----------
    k : int
        Logits.
    """

    k: int
    loss: float = 0.0
    weight: float = 0.0
    curvature: Array = field(init=False)

    def __post_init__(self) -> None:
        self.curvature = np.zeros((self.k, self.k))

    def add(self, logits: Array, targets: Array, weights: Array) -> Array:
        """Take in rows; return the derivatives r.

        Parameters
        ----------
        logits, targets : ndarray of shape (b, k)
            One-hot; of two classes 1 for the second.
        weights : ndarray of shape (b,)
        """
        w = weights[:, None]
        if self.k == 1:
            p, norms = expit(logits), np.logaddexp(0, logits)
            self.curvature += (w * p * (1 - p)).sum()
        else:
            norms = logsumexp(logits, axis=1, keepdims=True)
            p = np.exp(logits - norms)
            self.curvature += np.diag(weights @ p) - (w * p).T @ p
        self.loss += float((w * norms).sum() - (w * targets * logits).sum())
        self.weight += float(weights.sum())
        p -= targets
        p *= w
        return p


class LogisticMetric:
    r"""Inverses of :math:`S \otimes A / W + \lambda`, near the Hessian of a logistic regression on centred features.

    A is their scatter, W the weight. With :math:`S = W (I - 1 1^T / K) / 2`, for two classes W / 4, it is a bound on
    the Hessian [1]_; with the sum S at the point in question (`LogisticSums`), nearer to it.

    Parameters
    ----------
    moments : Moments

    Notes
    -----
    One eigendecomposition, 9 m^3 operations; each product with a vector 4 m^2 k.

    References
    ----------
    .. [1] D. Böhning, "Multinomial logistic regression algorithm", 1992.
    """

    def __init__(self, moments: Moments) -> None:
        self.mean, self.weight = moments.mean, moments.weight
        values, self._basis = eigh(moments.scatter, lower=True, check_finite=False, driver="evd")
        self._values = np.maximum(values, 0) / self.weight

    def bound(self, k: int) -> Array:
        """The S that is never exceeded, shape (k, k)."""
        return self.weight * (np.full((1, 1), 0.25) if k == 1 else (np.eye(k) - 1 / k) / 2)

    def solve(self, curvature: Array, ridge: float, gradient: Array) -> Array:
        """The inverse times a gradient: that of coefficients, (m, k), and below it that of intercepts, as a vector."""
        k = len(curvature)
        rates, turn = eigh(curvature)
        rates = np.maximum(rates, 0)
        known = rates > _SMALLEST * rates.max()  # the same added to the logits of all classes changes nothing
        whole = np.where(known, gradient.reshape(-1, k) @ turn, 0)
        slopes = np.outer(self._values, rates) + ridge
        coefficients = self._basis.T @ whole[:-1] / np.maximum(slopes, _SMALLEST * slopes.max())
        offsets = whole[-1] / np.where(known, rates, 1)
        return (np.vstack([self._basis @ coefficients, offsets]) @ turn.T).ravel()
