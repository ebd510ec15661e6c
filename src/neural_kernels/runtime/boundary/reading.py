"""An array of any make as a tensor, or as rows in CSR."""

from __future__ import annotations

import warnings
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor

from neural_kernels.runtime.boundary.makes import comes_from
from neural_kernels.runtime.boundary.precision import Precision, float_precision, numpy_dtype


@dataclass(frozen=True)
class CSRRows:
    """Rows of a matrix that holds its non-zeros row by row; a slice of them copies nothing.

    Parameters
    ----------
    indptr : ndarray, shape (n + 1,)
        Where each row starts in `indices` and `data`, and where the last ends.
    indices, data : ndarray
        Columns and values, floats; sorted and distinct in every row only where that was asked for.
    width : int
        Number of columns.
    matrix : SciPy CSR matrix, optional
        The one that these arrays are of.
    """

    indptr: np.ndarray
    indices: np.ndarray
    data: np.ndarray
    width: int
    matrix: Any = field(default=None, repr=False, compare=False)

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns, (n, d)."""
        return len(self.indptr) - 1, self.width

    @property
    def dtype(self) -> torch.dtype:
        """Precision of the values."""
        return torch.float32 if self.data.dtype == np.float32 else torch.float64

    @property
    def device(self) -> torch.device:
        """Always the CPU."""
        return torch.device("cpu")

    @property
    def requires_grad(self) -> bool:
        """Always False: gradients with respect to the non-zeros alone are not offered."""
        return False

    def __getitem__(self, rows: slice) -> CSRRows:
        return CSRRows(self.indptr[rows.start : rows.stop + 1], self.indices, self.data, self.width)

    def to_scipy(self) -> Any:
        """The SciPy matrix that these arrays are of, or a new one that shares them."""
        if self.matrix is not None:
            return self.matrix
        from scipy import sparse

        return sparse.csr_matrix((self.data, self.indices, self.indptr), self.shape, copy=False)


def read_rows(x: Any, name: str, canonical: bool = False) -> Tensor | CSRRows:
    """Numbers as a strided tensor, or rows in CSR where the array is sparse; of any shape, finite or not.

    Parameters
    ----------
    x : array
        Of any make.
    name : str
        What messages call it.
    canonical : bool
        Whether columns have to be sorted and distinct in every row of CSR; where they are not, that takes a copy.

    Raises
    ------
    TypeError, ValueError
        What was got, what was expected, what to do.
    """
    if isinstance(x, Tensor) and x.layout != torch.strided:
        return _from_sparse_tensor(x, name, canonical)
    return _from_scipy(x, name, canonical) if hasattr(x, "tocsr") else read_dense(x, name)


def read_dense(x: Any, name: str, precision: Precision = float_precision) -> Tensor:
    """Numbers as a strided tensor of any shape, finite or not, which shares the array's memory where torch can.

    Parameters
    ----------
    x : array
        Of any make but sparse ones.
    name : str
        What messages call it.
    precision : callable
        What numbers become.

    Raises
    ------
    TypeError, ValueError
        What was got, what was expected, what to do.
    """
    if isinstance(x, Tensor):
        if x.layout != torch.strided:
            raise TypeError(f"{name}: expected a dense array; got a tensor of layout {x.layout}. Pass its .to_dense()")
        _require_real(x.dtype, "c" if x.dtype.is_complex else "f", name)
        return x.to(precision(x.is_floating_point(), x.itemsize))
    if hasattr(x, "tocsr"):
        raise TypeError(f"{name}: expected a dense array; got a sparse {type(x).__name__}. Pass its .toarray()")
    array = as_array(x, name)
    dtype = numpy_dtype(precision(array.dtype.kind == "f", array.dtype.itemsize))
    # What torch cannot share: another precision or byte order, negative strides, memory that is not aligned.
    if array.dtype != dtype or not array.flags.aligned or any(s < 0 or s % dtype.itemsize for s in array.strides):
        array = np.array(array, dtype, order="C")
    return share(array)


def share(array: np.ndarray) -> Tensor:
    """A tensor on the same memory, which nothing here writes to: read-only memory will do."""
    if array.flags.writeable:
        return torch.from_numpy(array)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # torch warns of read-only memory
        return torch.from_numpy(array)


def as_array(x: Any, name: str) -> np.ndarray:
    """Real numbers of any precision in NumPy, of any layout, as they are; objects that are numbers become float64.

    For what is neither a tensor nor sparse.
    """
    if not isinstance(x, np.ndarray):
        refuse_lazy(x, name)
    try:
        array = np.asarray(x)
    except ValueError as error:
        raise ValueError(f"{name}: expected one array of numbers, all rows of one shape; {error}") from error
    if array.dtype.kind == "O":
        array = _from_objects(x, array)
    _require_real(array.dtype, array.dtype.kind, name)
    return array


def _from_objects(x: Any, array: np.ndarray) -> np.ndarray:
    """Numbers of NumPy's object arrays, or of pandas' own types of columns, in float64; what is no numbers stays."""
    try:
        if comes_from(x, "pandas"):  # whose missing values NumPy does not take for NaN
            return x.to_numpy(np.float64, na_value=np.nan)
        return array.astype(np.float64)
    except (TypeError, ValueError):
        return array


def is_of_dask(x: Any) -> bool:
    """Whether x is a lazy collection of Dask: an array, a data frame, a delayed object."""
    graph = getattr(x, "__dask_graph__", None)
    return graph is not None and graph() is not None


def refuse_lazy(x: Any, name: str) -> None:
    """Raise for what is not computed yet: to do so unasked could take hours, or all memory."""
    if is_of_dask(x):
        raise TypeError(
            f"{name}: got a lazy Dask array; nothing is computed unasked. Apply this to its blocks, "
            f"{name}.map_blocks(function), or pass {name}.compute()"
        )
    if hasattr(x, "collect") and not hasattr(x, "__array__"):
        raise TypeError(f"{name}: got a lazy {type(x).__name__}; nothing is computed unasked. Pass {name}.collect()")


def _require_real(dtype: object, kind: str, name: str) -> None:
    if kind in "biuf":
        return
    advice = "Pass its .real, or real and imaginary parts as columns" if kind == "c" else "Encode it as numbers first"
    plain = str(dtype).removeprefix("torch.")
    raise TypeError(f"{name}: expected real numbers; got an array of dtype {plain}. {advice}")


def _from_scipy(x: Any, name: str, canonical: bool) -> CSRRows:
    if len(x.shape) != 2:
        raise ValueError(f"{name}: expected a sparse matrix of shape (n, d); got shape {tuple(x.shape)}")
    _require_real(x.dtype, x.dtype.kind, name)
    matrix = x.tocsr()
    _require_columns(matrix.indices[: matrix.nnz], matrix.shape[1], name)
    if canonical and not matrix.has_canonical_format:
        matrix = matrix.copy() if matrix is x else matrix
        matrix.sum_duplicates()
    indices, data = matrix.indices[: matrix.nnz], matrix.data[: matrix.nnz]
    dtype = numpy_dtype(float_precision(data.dtype.kind == "f", data.dtype.itemsize))
    as_it_is = data.dtype == dtype and len(matrix.data) == matrix.nnz
    data = np.ascontiguousarray(data, dtype)
    return CSRRows(matrix.indptr, indices, data, matrix.shape[1], matrix if as_it_is else None)


def _from_sparse_tensor(x: Tensor, name: str, canonical: bool) -> CSRRows:
    if x.layout != torch.sparse_csr:
        raise TypeError(f"{name}: expected a dense or CSR tensor; got layout {x.layout}. Call .to_sparse_csr()")
    if x.requires_grad:
        raise TypeError(f"{name}: a sparse tensor that requires gradients; pass it dense, or detach it")
    if x.device.type != "cpu" or x.ndim != 2:
        raise TypeError(f"{name}: expected a CSR matrix on the CPU; got shape {tuple(x.shape)} on {x.device}")
    values = read_dense(x.values(), name)
    rows = CSRRows(x.crow_indices().numpy(), x.col_indices().numpy(), values.numpy(), x.shape[1])
    _require_columns(rows.indices, rows.width, name)
    return _from_scipy(rows.to_scipy(), name, True) if canonical else rows


def _require_columns(indices: np.ndarray, width: int, name: str) -> None:
    """Raise for entries outside the matrix, which compiled loops would take from, or write to, foreign memory."""
    if len(indices) and not 0 <= indices.min() <= indices.max() < width:
        raise ValueError(
            f"{name}: the CSR matrix has column indices {indices.min()} to {indices.max()}, expected 0 to {width - 1}; "
            "build it anew"
        )
