"""Quantiles of weighted values, for which a weight of 2 is the value twice."""

from __future__ import annotations

import numpy as np

_ROUNDING = 1e-12  # of sums of weights, relative: a quantile that lies on a step is not moved off it


def quantiles(values: np.ndarray, weights: np.ndarray, levels: tuple[float, ...]) -> np.ndarray:
    """The values below which shares of the weight lie; where a share ends between two values, their mean.

    Parameters
    ----------
    values, weights : ndarray of shape (n,)
        Finite values, n >= 1; positive weights.
    levels : tuple of float
        The shares, between 0 and 1.
    """
    order = np.argsort(values, kind="stable")
    sorted_values, cumulated = values[order], np.cumsum(weights[order])
    goals, slack = np.array(levels) * cumulated[-1], _ROUNDING * cumulated[-1]
    last = len(values) - 1
    below = sorted_values[np.minimum(np.searchsorted(cumulated, goals - slack), last)]
    above = sorted_values[np.minimum(np.searchsorted(cumulated, goals + slack, side="right"), last)]
    return np.where(below == above, below, below / 2 + above / 2)  # whose sum might overflow
