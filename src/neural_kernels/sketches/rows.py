"""The boundary: arrays of any make in, checked rows inside, the same make out."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

_FLOATS = torch.float32, torch.float64


@dataclass(frozen=True)
class SparseRows:
    """Rows of a CSR matrix, not necessarily sorted; a slice of them copies nothing."""

    indptr: np.ndarray
    indices: np.ndarray
    data: np.ndarray
    width: int

    @property
    def shape(self) -> tuple[int, int]:
        """(n, d)."""
        return len(self.indptr) - 1, self.width

    @property
    def dtype(self) -> torch.dtype:
        """Precision of the data."""
        return torch.float32 if self.data.dtype == np.float32 else torch.float64

    @property
    def device(self) -> torch.device:
        """The CPU."""
        return torch.device("cpu")

    @property
    def requires_grad(self) -> bool:
        """False."""
        return False

    def __getitem__(self, rows: slice) -> SparseRows:
        return SparseRows(self.indptr[rows.start : rows.stop + 1], self.indices, self.data, self.width)

    def dense(self) -> Tensor:
        """The rows as a tensor."""
        from neural_kernels.sketches.loops import densify

        out = torch.empty(self.shape, dtype=self.dtype)
        densify(self.indptr, self.indices, self.data, out.numpy())
        return out


Rows = Tensor | SparseRows


def read(x: Any, name: str, width: int | None = None, device: torch.device | None = None) -> Rows:
    """Check and convert one argument; integers, booleans and half precision become float32.

    Raises
    ------
    TypeError, ValueError
        What was got, what was expected, what to do.
    """
    rows = _convert(x, name)
    if len(rows.shape) != 2 or rows.shape[1] == 0:
        raise ValueError(f"{name}: expected rows of at least one number, shape (n, d); got shape {tuple(rows.shape)}")
    if width is not None and rows.shape[1] != width:
        raise ValueError(f"{name}: built for d={width}, got d={rows.shape[1]} (shape {tuple(rows.shape)})")
    if device is not None and rows.device != device:
        raise ValueError(f"{name} is on {rows.device}, the sketch on {device}; move one of them (CSR needs the CPU)")
    _require_finite(torch.from_numpy(rows.data) if isinstance(rows, SparseRows) else rows.detach(), name)
    return rows


def read_out(out: Any, rows: Rows, columns: int) -> Tensor | None:
    """Check the user's memory for the result, which is written in place."""
    if out is None:
        return None
    target = torch.from_numpy(out) if isinstance(out, np.ndarray) else out
    expected = (rows.shape[0], columns)
    if not isinstance(target, Tensor) or target.requires_grad:
        raise TypeError(f"out: expected an ndarray or a tensor without gradients; got {type(out).__name__}")
    if tuple(target.shape) != expected or target.dtype != rows.dtype or not target.is_contiguous():
        raise ValueError(
            f"out: expected contiguous memory of shape {expected} and {rows.dtype}; got {tuple(target.shape)} and "
            f"{target.dtype}, strides {target.stride()}"
        )
    if target.device != rows.device:
        raise ValueError(f"out is on {target.device}, the input on {rows.device}; move one of them")
    return target


def dress(result: Tensor, origin: Any) -> Any:
    """A result as the kind of array that came in: torch or NumPy."""
    return result if isinstance(origin, Tensor) else result.detach().numpy()


def _convert(x: Any, name: str) -> Rows:
    if isinstance(x, Tensor):
        if x.dtype.is_complex:
            raise TypeError(f"{name}: expected real numbers; got dtype {x.dtype}")
        if x.layout == torch.sparse_csr:
            return _from_torch_csr(x, name)
        if x.layout != torch.strided:
            raise TypeError(f"{name}: expected a dense or CSR tensor; got layout {x.layout}. Call .to_sparse_csr().")
        return (x if x.dtype in _FLOATS else x.to(torch.float32)).contiguous()
    if type(x).__module__.partition(".")[0] == "scipy":
        return _from_scipy(x, name)
    array = np.asarray(x)
    array = np.ascontiguousarray(array, _precision(array.dtype, name)) if array.ndim else array
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # torch warns of read-only arrays; nothing here writes to them
        return torch.from_numpy(array)


def _from_scipy(x: Any, name: str) -> SparseRows:
    matrix = x.tocsr()
    indices, data = matrix.indices[: matrix.nnz], matrix.data[: matrix.nnz]
    if len(indices) and not 0 <= indices.min() <= indices.max() < matrix.shape[1]:
        raise ValueError(
            f"{name}: the CSR matrix has column indices {indices.min()} to {indices.max()}, expected 0 to "
            f"{matrix.shape[1] - 1}; build it anew"
        )
    return SparseRows(matrix.indptr, indices, np.ascontiguousarray(data, _precision(data.dtype, name)), matrix.shape[1])


def _from_torch_csr(x: Tensor, name: str) -> SparseRows:
    if x.requires_grad:
        raise TypeError(f"{name}: a sparse tensor that requires gradients; pass it dense, or detach it")
    if x.device.type != "cpu" or x.ndim != 2:
        raise TypeError(f"{name}: expected a CSR matrix on the CPU; got shape {tuple(x.shape)} on {x.device}")
    values = x.values() if x.dtype in _FLOATS else x.values().to(torch.float32)
    return SparseRows(x.crow_indices().numpy(), x.col_indices().numpy(), values.numpy(), x.shape[1])


def _precision(dtype: np.dtype, name: str) -> type[np.floating]:
    if dtype.kind not in "biuf":
        raise TypeError(f"{name}: expected real numbers; got dtype {dtype}")
    return np.float64 if dtype.kind == "f" and dtype.itemsize > 4 else np.float32


def _require_finite(values: Tensor, name: str) -> None:
    """Raise for NaN or infinity; the sum is finite in the common case, and costs one pass without temporaries."""
    if values.sum().isfinite():
        return
    bad = int((~values.isfinite()).sum())
    if bad:
        raise ValueError(
            f"{name}: {bad} of {values.numel()} entries are NaN or infinite. Remove those rows or impute the values "
            "(sklearn.impute)."
        )
