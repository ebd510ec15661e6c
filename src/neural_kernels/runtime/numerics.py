"""Functions with an edge, in one place: their values and gradients there."""

from __future__ import annotations

import torch
from torch import Tensor


def safe_sqrt(x: Tensor, noise: float = 0.0) -> Tensor:
    """Square root of max(x, 0) whose gradient is 0, instead of large, infinite or NaN, where x is at most `noise`."""
    positive = x > noise
    root = torch.where(positive, torch.where(positive, x, 1).sqrt(), 0)
    return torch.where(positive, root, x.detach().clamp(min=0).sqrt()) if noise else root


def times_power_of_two(x: Tensor, exponent: Tensor) -> Tensor:
    """Return x 2^exponent, exact and differentiable: the gradient of `torch.ldexp` is 0 for negative exponents.

    In two factors, each of which is a number of its precision wherever the product is one.
    """
    half = exponent // 2
    one = torch.ones_like(exponent, dtype=x.dtype)
    return x * torch.ldexp(one, half) * torch.ldexp(one, exponent - half)


def safe_divide(a: Tensor, b: Tensor) -> Tensor:
    """Divide a by b; 0 (with zero gradient) where b is 0."""
    if not (torch.is_grad_enabled() and (a.requires_grad or b.requires_grad)):
        return (a / b).masked_fill_(b == 0, 0)  # half the time for a few numbers
    nonzero = b != 0
    return torch.where(nonzero, a / torch.where(nonzero, b, 1), 0)
