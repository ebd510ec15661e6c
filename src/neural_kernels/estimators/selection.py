"""Which alpha is used: the one whose exact leave-one-out residuals are the smallest."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from neural_kernels.runtime.types import Array


@dataclass(frozen=True)
class AlphaChoice:
    """The alpha in use, and the ridge it means.

    Parameters
    ----------
    index : int
        Its position among the given ones.
    alpha, ridge : float
    scores : ndarray of shape (r,) or None
        Leave-one-out R^2 of all of them; None where there was one.
    """

    index: int
    alpha: float
    ridge: float
    scores: Array | None

    @classmethod
    def of(cls, alphas: Array, scale: float, score: Callable[[Array], Array]) -> AlphaChoice:
        """Select the alpha of the best score, the first of equal ones.

        Parameters
        ----------
        alphas : ndarray of shape (r,)
        scale : float
            The ridge that an alpha of 1 means.
        score : callable
            Of the ridges, shape (r,); called where there are several.
        """
        ridges = alphas * scale
        scores = score(ridges) if len(ridges) > 1 else None
        best = 0 if scores is None else int(np.argmax(scores))
        return cls(best, float(alphas[best]), float(ridges[best]), scores)


def squared_errors(
    residuals: Array, targets: Array, mean: Array, weights: Array, scatter: Array | float = 0.0
) -> tuple[Array, Array]:
    """Weighted sums of squares: those that are lost, (r, o), and those about the mean, (o,).

    Parameters
    ----------
    residuals : ndarray of shape (r, n, o)
    targets : ndarray of shape (n, o)
    mean : ndarray of shape (o,)
    weights : ndarray of shape (n,)
    scatter : ndarray of shape (o,)
        What merged copies of examples lose and vary in any case.
    """
    lost = np.square(residuals).transpose(0, 2, 1) @ weights + scatter
    return lost, weights @ np.square(targets - mean) + scatter


def mean_r2(lost: Array, total: Array) -> Array:
    """R^2 for each ridge, averaged over outputs: 1 - lost / total; of targets that do not vary, 1 - lost."""
    return (1 - lost / np.where(total > 0, total, 1)).mean(axis=-1)
