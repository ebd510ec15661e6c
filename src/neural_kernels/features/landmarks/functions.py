"""What an activation makes of many pairs of units, compiled: value and slope in one pass, and how they add up.

With k the kernel that the activation sees and n the one that its slope multiplies, for units p and landmarks z with
standard deviations s and t, what comes in are products of features, A = k(p, z) / t and B = n(p, z), and what goes out
is a kappa(k) + b slope(k) n.
"""

from __future__ import annotations

import math

import numpy as np
from torch import Tensor

from neural_kernels.activations import Dual
from neural_kernels.engine.arc import angle, lens
from neural_kernels.features.landmarks.series import SeriesFunction, has_short_series
from neural_kernels.features.method import UnsuitableError
from neural_kernels.runtime.jit import compiled


class RampFunction:
    """An activation that is linear on either side of 0, by the angle alone.

    Parameters
    ----------
    slopes : tuple of float
        Below and above 0.
    """

    reach = 0.0, math.inf  # standard deviations for which it is right

    def __init__(self, slopes: tuple[float, float]) -> None:
        below, above = slopes
        linear, even = ((above + below) / 2) ** 2, ((above - below) / 2) ** 2
        self._parts = np.array([linear - even, 4 * even])

    def landmarks(self, std: Tensor) -> tuple[np.ndarray, ...]:
        """What the function keeps of the landmarks."""
        return (std.numpy(),)

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
        parts = (self._parts * weights[0], self._parts * weights[1])
        real = out.numpy().dtype
        _ramps(products.numpy(), std.numpy(), *landmarks, *(part.astype(real) for part in parts), out.numpy())


PairFunction = RampFunction | SeriesFunction


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
