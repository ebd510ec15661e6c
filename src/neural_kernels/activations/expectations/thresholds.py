"""Series for single thresholds, of which compiled probabilities of quadrants are made (`engine.quadrants`).

They are Chebyshev polynomials in the place u of the quadrant's corner along the line at distance h from the origin:

    small h:  S(h, u) = int_u^inf (1 - exp(-(h^2 + v^2) / 2)) / (h^2 + v^2) dv, which is entire in h and in u,
    large h:  (1 + u) int_u^inf exp((u^2 - v^2) / 2) (h^2 + u^2) / (h^2 + v^2) dv, close to Mills' ratio times 1 + u.

Both vary slowly with h, too. So the coefficients are computed once in a process, as polynomials of h.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import cache

import numpy as np
import torch
from torch import Tensor

from neural_kernels.activations.expectations import chebyshev
from neural_kernels.engine.quadrants import FARTHEST, SMALL, TERMS

_DEGREES = 24  # polynomials of h
_LARGEST = 40.0  # thresholds beyond are exceeded with probability 0 in float64
_END = 14.0  # where exp(-v^2 / 2) has vanished


def threshold_series(h: Tensor) -> Tensor:
    """Return the Chebyshev coefficients for thresholds h >= 0, float64, of shape (*h.shape, TERMS)."""
    small, large = _coefficients()
    low = 2 * h.clamp(max=SMALL) / SMALL - 1
    high = 2 * torch.log(h.clamp(SMALL, _LARGEST) / SMALL) / math.log(_LARGEST / SMALL) - 1
    low, high = (chebyshev.polynomials(x, _DEGREES) for x in (low, high))
    return torch.where((h < SMALL)[..., None], low @ small, high @ large)


@cache
def _coefficients() -> tuple[Tensor, Tensor]:
    """Return the coefficients for small and for large thresholds, by polynomial of h and of u."""

    def small(y: np.ndarray, x: np.ndarray) -> np.ndarray:
        return _small(SMALL * (1 + y) / 2, FARTHEST * (1 + x) / 2)

    def large(y: np.ndarray, x: np.ndarray) -> np.ndarray:
        h = SMALL * (_LARGEST / SMALL) ** ((1 + y) / 2)
        return _large(h, (2 + h / 4) * (1 + x) / (1 - x))

    return _interpolant(small), _interpolant(large)


def _small(h: np.ndarray, u: np.ndarray) -> np.ndarray:
    node, weight = _rule()
    v = u[..., None] + (_END - u[..., None]) * node
    square = h[..., None] ** 2 + v * v
    inner = (-np.expm1(-square / 2) / square) @ weight * (_END - u)
    return inner + np.arctan2(h, _END) / h


def _large(h: np.ndarray, u: np.ndarray) -> np.ndarray:
    node, weight = _rule()
    reach = 12 / np.maximum(1, u / 3)
    step = reach[..., None] * node
    square, v = (h * h + u * u)[..., None], u[..., None] + step
    ratio = square / (h[..., None] ** 2 + v * v)
    return (1 + u) * reach * ((np.exp(-u[..., None] * step - step * step / 2) * ratio) @ weight)


def _rule() -> tuple[np.ndarray, np.ndarray]:
    """Return the nodes and weights of Gauss and Legendre on (0, 1)."""
    node, weight = np.polynomial.legendre.leggauss(120)
    return (1 + node) / 2, weight / 2


def _interpolant(fn: Callable[[np.ndarray, np.ndarray], np.ndarray]) -> Tensor:
    """Return Chebyshev coefficients of a function on the square [-1, 1]^2."""
    y, x = (chebyshev.nodes(count).numpy() for count in (_DEGREES, TERMS))
    values = torch.from_numpy(fn(*np.meshgrid(y, x, indexing="ij")))
    return chebyshev.transform(_DEGREES) @ values @ chebyshev.transform(TERMS).T
