"""Probability that two standard normal variables both exceed thresholds (Genz 2004, Statistics and Computing 14)."""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor

from neural_kernels.runtime.numerics import safe_divide, safe_sqrt


def quadrant_probability(h: Tensor, k: Tensor, delta: Tensor) -> Tensor:
    """P(z1 > h, z2 > k) for standard normals of correlation 1 - delta (Genz 2004), about 1e-15 in absolute terms.

    Up to |correlation| 0.925 it is Plackett's integral over the angle from independence; nearer to coincidence the one
    from there, less its singular part.
    """
    far = delta.clamp(0.075, 1.925)
    near = torch.minimum(delta, 2 - delta).clamp(0, 0.075)
    mirrored = torch.where(delta > 1, -k, k)
    inner = _nearly_coincident(h, mirrored, near)
    low, high = torch.minimum(h, mirrored), torch.maximum(h, mirrored)
    upper = torch.special.ndtr(-high) - inner
    # P(z1 > h, z2 < mirrored) = P(h < z1 < mirrored) + inner.
    ndtr = torch.special.ndtr
    between = torch.where(low < 0, ndtr(high) - ndtr(low), ndtr(-low) - ndtr(-high))
    opposite = inner + torch.where(mirrored > h, between, 0)
    outer = torch.where(delta > 1, opposite, upper)
    return torch.where((delta > 0.075) & (delta < 1.925), _from_independence(h, k, far), outer).clamp(min=0)


def _from_independence(h: Tensor, k: Tensor, delta: Tensor) -> Tensor:
    """Return Phi(-h) Phi(-k) + 1/(2 pi) int_0^asin(rho) exp(-(h^2 + k^2 - 2 h k sin t) / (2 cos^2 t)) dt."""
    angle = torch.asin(1 - delta)
    total = torch.zeros_like(h)
    for x, w in zip(*np.polynomial.legendre.leggauss(24), strict=True):
        sine = torch.sin(angle * ((1 + x) / 2))
        total = total + w * torch.exp((sine * h * k - (h * h + k * k) / 2) / (1 - sine * sine))
    return torch.special.ndtr(-h) * torch.special.ndtr(-k) + angle * total / (4 * math.pi)


def _nearly_coincident(h: Tensor, k: Tensor, delta: Tensor) -> Tensor:
    """Return P(z > max(h, k)) - P(z1 > h, z2 > k) for small delta: Genz's expansion in the sine, and the rest."""
    square = delta * (2 - delta)
    a, b2, hk = safe_sqrt(square), (h - k) ** 2, h * k
    b = (h - k).abs()
    c, d = (4 - hk) / 8, (12 - hk) / 80
    # The exponents are never positive: (h - k)^2 >= -4 h k; the clamp is for the limit of no sine.
    gauss = torch.exp((-(safe_divide(b2, square) + hk) / 2).clamp(max=0))
    total = a * gauss * (1 - c * (b2 - square) * (1 - d * b2) / 3 + c * d * square * square)
    tail = torch.special.erfcx(safe_divide(b, a) / math.sqrt(2)) * gauss / 2
    total = total - torch.where(square > 0, math.sqrt(2 * math.pi) * tail * b * (1 - c * b2 * (1 - d * b2) / 3), 0)
    for x, w in zip(*np.polynomial.legendre.leggauss(24), strict=True):
        xs = square * ((1 + x) / 2) ** 2
        rs = (1 - xs).sqrt()
        exponent = -(safe_divide(b2, xs) + hk) / 2
        exact = torch.exp((exponent - hk * xs / (2 * (1 + rs) ** 2)).clamp(max=0)) / rs
        near = torch.exp(exponent.clamp(max=0)) * (1 + c * xs * (1 + 5 * d * xs))
        total = total + a / 2 * w * (exact - near)
    return total / (2 * math.pi)
