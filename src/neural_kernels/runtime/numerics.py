"""Functions with an edge, in one place: their values and gradients there."""

from __future__ import annotations

import torch
from torch import Tensor


def safe_sqrt(x: Tensor) -> Tensor:
    """Square root of max(x, 0) whose gradient at and below 0 is 0 instead of infinite or NaN."""
    positive = x > 0
    return torch.where(positive, torch.where(positive, x, 1).sqrt(), 0)


def safe_divide(a: Tensor, b: Tensor) -> Tensor:
    """Divide a by b; 0 (with zero gradient) where b is 0."""
    nonzero = b != 0
    return torch.where(nonzero, a / torch.where(nonzero, b, 1), 0)
