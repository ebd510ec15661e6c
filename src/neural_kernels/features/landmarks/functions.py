"""The compiled functions of activations: those by the angle alone, and which function an activation has."""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor
from typing_extensions import override

from neural_kernels.activations import Dual
from neural_kernels.engine.arc import angle, lens
from neural_kernels.features.landmarks.pair_function import PairFunction
from neural_kernels.features.landmarks.series import SeriesFunction, has_short_series
from neural_kernels.features.method import UnsuitableError
from neural_kernels.runtime.jit import compiled


class RampFunction(PairFunction):
    """An activation that is linear on either side of 0, by the angle alone.

    Parameters
    ----------
    slopes : tuple of float
        Below and above 0.
    """

    dtypes = (torch.float32, torch.float64)

    def __init__(self, slopes: tuple[float, float]) -> None:
        below, above = slopes
        linear, even = ((above + below) / 2) ** 2, ((above - below) / 2) ** 2
        self._parts = np.array([linear - even, 4 * even])

    @override
    def landmarks(self, std: Tensor) -> tuple[np.ndarray, ...]:
        return (std.numpy(),)

    @override
    def fill(
        self,
        products: Tensor,
        std: Tensor,
        landmarks: tuple[np.ndarray, ...],
        weights: tuple[float, float],
        out: Tensor,
    ) -> None:
        parts = (self._parts * weights[0], self._parts * weights[1])
        real = out.numpy().dtype
        _ramps(products.numpy(), std.numpy(), *landmarks, *(part.astype(real) for part in parts), out.numpy())


def pair_function(dual: Dual) -> PairFunction | None:
    """The compiled function of an activation; None where its series is too long."""
    if dual.slopes is not None:
        return RampFunction(dual.slopes)
    try:
        return SeriesFunction(dual) if has_short_series(dual) else None
    except UnsuitableError:
        return None


@compiled
def _ramp(c):
    """E[max(X, 0) max(Y, 0)] and the probability of X, Y > 0 for standard normal variables of correlation c."""
    real = type(c)
    half, zero = real(0.5), real(0)
    m = half * (real(1) - abs(c))
    y = math.sqrt(m)
    turned = half * y * angle(m)
    return half * (max(c, zero) + y * m * lens(m)), half - turned if c >= zero else turned


@compiled
def _ramps(products, std, others, value, slope, out):
    one, zero = out.dtype.type(1), out.dtype.type(0)
    m = out.shape[1]
    both = products.shape[1] > m
    for i in range(out.shape[0]):
        s = std[i]
        inverse = one / s if s > zero else zero
        a, b = s * value[0], s * value[1]
        row, target = products[i], out[i]
        if both:
            for j in range(m):
                c = min(max(row[j] * inverse, -one), one)
                v, w = _ramp(c)
                target[j] = others[j] * (a * c + b * v) + (slope[0] + slope[1] * w) * row[m + j]
        else:
            for j in range(m):
                c = min(max(row[j] * inverse, -one), one)
                target[j] = others[j] * (a * c + b * _ramp(c)[0])
