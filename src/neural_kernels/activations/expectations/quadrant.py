"""Probability that two standard normal variables both exceed thresholds (Genz 2004, Statistics and Computing 14)."""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor

from neural_kernels.runtime.numerics import safe_divide, safe_sqrt


def quadrant_probability(h: Tensor, k: Tensor, delta: Tensor) -> Tensor:
    """P(z1 > h, z2 > k) for standard normals of correlation 1 - delta and thresholds >= 0, broadcast, float64.

    Without gradients, on the CPU, it is compiled: a series for each threshold, two of which make a probability to 1e-13
    in absolute terms, and 1e-12 of the root of both tails, at a thirtieth of the cost of the differentiable formula.
    """
    tensors = h, k, delta
    wanted = torch.is_grad_enabled() and any(tensor.requires_grad for tensor in tensors)
    if wanted or any(tensor.device.type != "cpu" for tensor in tensors):
        return quadrant_formula(*torch.broadcast_tensors(*tensors))
    return _by_series(h, k, delta)


def _by_series(h: Tensor, k: Tensor, delta: Tensor) -> Tensor:
    """Put the axes that both thresholds vary along first, then those of h, then those of k, and run compiled code."""
    from neural_kernels.activations.expectations.thresholds import threshold_series
    from neural_kernels.engine.quadrants import BLOCK, SCRATCH, quadrants

    shape = torch.broadcast_shapes(h.shape, k.shape, delta.shape)
    h, k = (x.reshape((1,) * (len(shape) - x.ndim) + x.shape) for x in (h, k))
    kinds = [(0 if b != 1 else 1) if a != 1 else 2 for a, b in zip(h.shape, k.shape, strict=True)]
    order = sorted(range(len(shape)), key=lambda axis: kinds[axis])
    counts = [math.prod(n for n, kind in zip(shape, kinds, strict=True) if kind == which) for which in range(3)]
    whole = delta.expand(shape).permute(order)
    left = h.permute(order).reshape(counts[:2]).contiguous()
    wide = [1 if kind == 1 else n for n, kind in zip(shape, kinds, strict=True)]
    right = k.expand(wide).permute(order).reshape(counts[::2]).contiguous()
    tails = [math.pi * torch.erfc(x / math.sqrt(2)) for x in (left, right)]
    series = threshold_series(left), threshold_series(right).transpose(1, 2).contiguous()
    target = torch.empty(counts, dtype=torch.float64)
    arrays = left, right, *tails, *series, whole.reshape(counts).contiguous(), torch.empty(SCRATCH, BLOCK).double()
    quadrants(*(array.detach().numpy() for array in arrays), target.numpy())
    back = sorted(range(len(shape)), key=lambda axis: order[axis])
    return target.reshape(whole.shape).permute(back)


def quadrant_formula(h: Tensor, k: Tensor, delta: Tensor) -> Tensor:
    """P(z1 > h, z2 > k) for any thresholds (Genz 2004), tensors of one shape, about 1e-15 in absolute terms.

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
