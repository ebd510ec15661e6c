"""Cells of norms, in each of which a dual is a polynomial of few degrees."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from neural_kernels.activations.cell_table import NODES
from neural_kernels.activations.expectations import chebyshev

_LEAST = 1e-9


@dataclass(frozen=True)
class NormCells:
    """The cells that all norms are cut into, by number, from 0.

    Parameters
    ----------
    edges : tuple of float
        In asinh of the norm, from 0.
    width : float
        Of the cells that follow.
    """

    edges: tuple[float, ...]
    width: float

    def of(self, std: Tensor) -> Tensor:
        """Return the cell of every standard deviation."""
        tau = torch.asinh(std)
        narrow = torch.bucketize(tau, torch.tensor(self.edges[1:], dtype=tau.dtype, device=tau.device), right=True)
        wide = torch.floor((tau - self.edges[-1]) / self.width).long() + len(self.edges) - 1
        return torch.where(tau < self.edges[-1], narrow, wide)

    def bounds(self, cell: int) -> tuple[float, float]:
        """Return the ends of a cell, in asinh of the norm."""
        if cell < len(self.edges) - 1:
            return self.edges[cell], self.edges[cell + 1]
        low = self.edges[-1] + self.width * (cell - len(self.edges) + 1)
        return low, low + self.width

    def ends(self, cell: int) -> tuple[float, float]:
        """Return the norms between which a cell lies; instead of 0 a small one."""
        low, high = self.bounds(cell)
        return math.sinh(max(low, _LEAST)), math.sinh(high)

    def middle(self, cell: int) -> float:
        """Return the norm in the middle of a cell."""
        return math.sinh(sum(self.bounds(cell)) / 2)

    def nodes(self, cell: int, count: int) -> tuple[Tensor, Tensor]:
        """Return Chebyshev nodes of a cell, and the norms there."""
        low, high = self.bounds(cell)
        tau = (low + high) / 2 + (high - low) / 2 * chebyshev.nodes(count)
        return tau, torch.sinh(tau)

    def polynomials(self, std: Tensor) -> tuple[Tensor, Tensor]:
        """Return asinh of the norms, shape (n,), and the Chebyshev polynomials in it of their cells, (NODES, n)."""
        tau = torch.asinh(std)
        present, where = self.of(std).unique(return_inverse=True)
        low, high = tau.new_tensor([self.bounds(int(c)) for c in present]).reshape(-1, 2)[where].T
        x = (2 * tau - low - high) / (high - low)
        rows = [torch.ones_like(x), x]
        while len(rows) < NODES:
            rows.append(2 * x * rows[-1] - rows[-2])
        return tau, torch.stack(rows)


USUAL = NormCells((0.0, 0.2, 0.4, 0.65, 1.0, 1.4), 0.7)
_FINEST = 0.0, 0.03, 0.04, 0.055, 0.075, 0.1, 0.14, 0.19, 0.25, 0.32, 0.4
FINE = NormCells((*_FINEST, 0.525, 0.65, 0.825, 1.0, 1.2, 1.4), 0.35)
"""For kinks off the origin, whose tails change much within a factor of 2 of a norm."""
