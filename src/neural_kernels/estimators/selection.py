"""Which alpha is used: the one of the best score."""

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
        NaN where none was made; None where there was one alpha.
    """

    index: int
    alpha: float
    ridge: float
    scores: Array | None

    @classmethod
    def of(
        cls, alphas: Array, scale: float, score: Callable[[Array], Array], among: np.ndarray | None = None
    ) -> AlphaChoice:
        """Select the alpha of the best score, the first of equal ones.

        Parameters
        ----------
        alphas : ndarray of shape (r,)
        scale : float
            The ridge that an alpha of 1 means.
        score : callable
            Of the ridges, shape (r,); called where there are several. NaN for one that cannot be used.
        among : ndarray of int, optional
            Positions of those that are scored, in this order; default all.
        """
        ridges = alphas * scale
        if len(ridges) == 1:
            return cls(0, float(alphas[0]), float(ridges[0]), None)
        scores = np.full(len(ridges), np.nan)
        chosen = slice(None) if among is None else among
        scores[chosen] = score(ridges[chosen])
        best = 0 if np.isnan(scores).all() else int(np.nanargmax(scores))
        return cls(best, float(alphas[best]), float(ridges[best]), scores)


def two_best(scores: Array) -> np.ndarray:
    """Positions of the best of the scores and of the better one beside it, the best last.

    The likely choice is then the one that a solver has factorised last.
    """
    best = int(np.nanargmax(scores))
    beside = [k for k in (best - 1, best + 1) if 0 <= k < len(scores) and not np.isnan(scores[k])]
    return np.array([*sorted(beside, key=lambda k: scores[k])[-1:], best])
