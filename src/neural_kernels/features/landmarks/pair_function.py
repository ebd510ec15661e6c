"""What a compiled activation does with many pairs of units: value and slope in one pass, and how they add up.

With k the kernel that the activation sees and n the one that its slope multiplies, for units p and landmarks z with
standard deviations s and t, what comes in are products of features, A = k(p, z) / t and B = n(p, z), and what goes out
is a kappa(k) + b slope(k) n.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod

import numpy as np
import torch
from torch import Tensor


class PairFunction(ABC):
    """An activation, compiled.

    Attributes
    ----------
    reach : tuple of float
        The standard deviations, but for 0, for which it is right.
    dtypes : tuple of torch.dtype
        The precisions for which it is near enough.
    """

    reach: tuple[float, float] = (0.0, math.inf)
    dtypes: tuple[torch.dtype, ...] = (torch.float32,)

    def serves(self, std: Tensor) -> bool:
        """Whether all of these standard deviations are within its reach, in their precision."""
        low, high = self.reach
        if std.dtype not in self.dtypes:
            return False
        return (not low and high == math.inf) or bool(((std <= high) & ((std >= low) | (std == 0))).all())

    @abstractmethod
    def landmarks(self, std: Tensor) -> tuple[np.ndarray, ...]:
        """Give what the function keeps of the landmarks, by their standard deviations, shape (m,)."""

    @abstractmethod
    def fill(
        self,
        products: Tensor,
        std: Tensor,
        landmarks: tuple[np.ndarray, ...],
        weights: tuple[float, float],
        out: Tensor,
    ) -> None:
        """Write a kappa(k) + b slope(k) n to `out`, shape (rows, m).

        Parameters
        ----------
        products : Tensor, shape (rows, m) or (rows, 2 m)
            A, and B beside it.
        std : Tensor, shape (rows,)
        landmarks : tuple of ndarray
            From `landmarks`.
        weights : tuple of float
            a and b.
        out : Tensor, shape (rows, m)
        """
