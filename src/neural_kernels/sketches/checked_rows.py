"""What sketches take: contiguous dense rows, or rows in CSR, checked in one pass over their entries."""

from __future__ import annotations

from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from neural_kernels.runtime import boundary
from neural_kernels.runtime.boundary import CSRRows, index_of

Rows = Tensor | CSRRows


def read(x: Any, name: str, width: int | None = None, device: torch.device | None = None) -> Rows:
    """Check and convert one argument, for a sketch of rows of that width on that device.

    Raises
    ------
    TypeError, ValueError
        What was got, what was expected, what to do.
    """
    rows = boundary.read_rows(x, name)
    rows = rows.contiguous() if isinstance(rows, Tensor) else rows
    if len(rows.shape) != 2 or rows.shape[1] == 0:
        raise ValueError(f"{name}: expected rows of at least one number, shape (n, d); got shape {tuple(rows.shape)}")
    if width is not None:
        boundary.require_examples(name, tuple(rows.shape[1:]), (width,), "the sketch")
    if device is not None:
        boundary.require_device(name, rows.device, device, "the sketch is")
    boundary.require_finite(rows, name)
    return rows


def read_out(out: Any, rows: Rows, columns: int) -> Tensor | None:
    """Check the user's memory for the result, which is written in place, row by row."""
    if out is None:
        return None
    return boundary.read_out(out, (rows.shape[0], columns), rows.dtype, rows.device, contiguous=True)


def dense(rows: Rows) -> Float[Tensor, "n d"]:
    """Rows as a tensor, duplicates of CSR summed."""
    if isinstance(rows, Tensor):
        return rows
    from neural_kernels.sketches.loops import densify

    out = torch.empty(rows.shape, dtype=rows.dtype)
    densify(rows.indptr, rows.indices, rows.data, out.numpy())
    return out


def dress(result: Tensor, origin: Any) -> Any:
    """Sketched rows as the make of array that came in, with the names of its rows."""
    return boundary.dress(result, origin, index_of(origin))


def require_range(products: Tensor) -> Tensor:
    """Return sketched products of rows, all finite."""
    return boundary.require_range(products, "products of entries of x")
