"""Chebyshev polynomials on [-1, 1]: nodes, the way from values there to coefficients, and the polynomials; float64."""

from __future__ import annotations

import math

import torch
from torch import Tensor


def nodes(count: int, device: torch.device | None = None) -> Tensor:
    """Return so many nodes, from the last to the first."""
    return torch.cos(_angles(count, device))


def transform(count: int, device: torch.device | None = None) -> Tensor:
    """Return the matrix from values at so many nodes to coefficients."""
    k = torch.arange(count, dtype=torch.float64, device=device)
    return torch.cos(k[:, None] * _angles(count, device)) * torch.where(k == 0, 1, 2)[:, None] / count


def polynomials(x: Tensor, count: int) -> Tensor:
    """Return the first so many polynomials at x, shape (*x.shape, count); beyond the interval as at its ends."""
    k = torch.arange(count, dtype=torch.float64, device=x.device)
    return torch.cos(torch.acos(x.clamp(-1, 1))[..., None] * k)


def _angles(count: int, device: torch.device | None) -> Tensor:
    return (torch.arange(count, dtype=torch.float64, device=device) + 0.5) * math.pi / count
