"""Functions of one number by a table."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from neural_kernels.runtime.jit import compiled


def as_cells(values: Tensor) -> Tensor:
    """Values at evenly spaced points as pairs (value, difference to the next), which one look fetches."""
    return torch.stack([values[:-1], values.diff()], 1).contiguous()


def lookup(u: Tensor, cells: Tensor, reach: float, factor: Tensor, out: Tensor) -> Tensor:
    """``factor[i] * f(u[i, j])``, f linear between evenly spaced points of [-reach, reach], constant outside.

    Parameters
    ----------
    u : Tensor, shape (n, m)
    cells : Tensor, shape (cells, 2)
        By `as_cells`.
    reach : float
    factor : Tensor, shape (n,)
    out : Tensor, shape (n, m)
        For the result. Ignored where a gradient is wanted, which is that of the interpolation.
    """
    count = len(cells)
    if u.device.type == "cpu" and not u.requires_grad and not factor.requires_grad:
        real = u.numpy().dtype.type
        _fill(u.numpy(), cells.numpy(), real(reach), real(count / (2 * reach)), factor.numpy(), out.numpy())
        return out
    place = ((u + reach) * (count / (2 * reach))).clamp(0, count)
    cell = place.detach().floor().clamp(max=count - 1).long()
    low, rise = cells[cell].unbind(-1)
    return factor[:, None] * (low + (place - cell) * rise)


@compiled
def _fill(u, cells, reach, density, factor, out):
    real = cells.dtype.type
    zero, top = real(0), real(cells.shape[0]) * (real(1) - real(1e-6))
    for i in range(u.shape[0]):
        scale, row, target = factor[i], u[i], out[i]
        for j in range(row.size):
            place = (row[j] + reach) * density
            place = place if place > zero else zero
            place = place if place < top else top
            cell = np.uint32(np.int32(place))
            target[j] = scale * (cells[cell, 0] + (place - real(np.int32(cell))) * cells[cell, 1])
