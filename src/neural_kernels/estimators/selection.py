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
        Of all of them; None where there was one.
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
