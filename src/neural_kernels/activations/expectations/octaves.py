"""A function of a positive number in tables: a product of few numbers where it is asked for few of them."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from neural_kernels.activations.expectations import chebyshev
from neural_kernels.runtime.types import Array

_NODES = 32  # for a half octave, as in `interpolation`
_BEYOND = 1.001  # times the largest number asked for
_MOST = 64  # half octaves
_MIDDLE, _REACH = (1 + math.sqrt(0.5)) / 2, (1 - math.sqrt(0.5)) / 2  # of a half octave that ends at 1


@dataclass(frozen=True)
class HalfOctaves:
    """Chebyshev series of several functions, for each half octave below the largest number.

    Parameters
    ----------
    largest : float
    coefficients : ndarray of shape (half octaves, NODES, k)
        Of the first half octave, which ends at the largest number, first.
    """

    largest: float
    coefficients: Array

    @classmethod
    def of(cls, functions: Callable[[Tensor], Tensor], like: Tensor) -> HalfOctaves:
        """Of functions that are analytic on a half octave, for numbers like those that are given.

        Parameters
        ----------
        functions : callable
            Takes a tensor of shape (n,), gives one of shape (n, k).
        like : Tensor, shape (n,)
            There are tables from half an octave below the smallest to a thousandth above the largest of those that are
            positive, at most for 32 octaves.
        """
        positive = like[like > 0]
        largest = _BEYOND * float(positive.max()) if len(positive) else 1.0
        octaves = math.log2(largest / float(positive.min())) if len(positive) else 0.0
        tops = largest * 2.0 ** (-torch.arange(min(2 + int(2 * octaves), _MOST), dtype=torch.float64) / 2)
        points = tops[:, None] * (_MIDDLE + _REACH * chebyshev.nodes(_NODES))
        values = functions(points.flatten()).unflatten(0, points.shape)
        return cls(largest, (chebyshev.transform(_NODES) @ values).numpy())

    def __call__(self, numbers: Array) -> Array:
        """All functions at numbers of shape (n,), shape (n, k); NaN where there is no table."""
        result = np.full((len(numbers), self.coefficients.shape[-1]), np.nan)
        below = 2 * np.log2(self.largest / numbers)
        place = np.where((below >= 0) & (below < len(self.coefficients)), below, -1).astype(np.int64)
        for half in np.unique(place[place >= 0]):
            rows = place == half
            at = (numbers[rows] / (self.largest * 2.0 ** (-half / 2)) - _MIDDLE) / _REACH
            polynomials = chebyshev.polynomials(torch.from_numpy(at), _NODES)
            result[rows] = polynomials.numpy() @ self.coefficients[half]
        return result
