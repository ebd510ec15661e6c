"""The boundary: arrays of any make in, checked rows inside, the same make out."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from functools import singledispatch
from typing import Any, NoReturn

import numpy as np
import torch
from torch import Tensor

from neural_kernels.algebra import Graph, PerExample
from neural_kernels.engine.inputs import DenseRows, SparseRows
from neural_kernels.exact.graphs import Graphs

Rows = DenseRows | SparseRows


@dataclass(frozen=True)
class Batch:
    """Checked examples and what they came as.

    Parameters
    ----------
    rows : DenseRows or SparseRows
    origin : object
        The user's array, by which results are dressed.
    single : bool
        Whether it was one vector, shape (d,).
    data : Tensor or CSR matrix
        The numbers as they were given, converted.
    """

    rows: Rows
    origin: Any
    single: bool
    data: Any


def read(x: Any, name: str, dtype: torch.dtype | None = None) -> Batch:
    """Check and convert one argument; integers, booleans and half precision become float32 unless `dtype` says more.

    Raises
    ------
    TypeError, ValueError
        What was got, what was expected, what to do.
    """
    data = _convert(x.x if isinstance(x, Graphs) else x, name)
    single = data.ndim == 1
    if single:
        data = data[None]
    if data.ndim < 2:
        raise ValueError(
            f"{name}: expected vectors, shape (n, d), or images and sequences, shape (n, channels, *positions); got "
            f"shape {tuple(data.shape)}"
        )
    if 0 in data.shape[1:]:
        raise ValueError(f"{name}: expected at least one feature and position; got shape {tuple(data.shape)}")
    if isinstance(data, Tensor):
        if dtype is not None:
            data = data.to(dtype)
        rows = DenseRows.of(data if isinstance(x, Graphs) else data.movedim(1, -1))
        if not rows.std.isfinite().all():
            _refuse(data, name)
        return Batch(rows, x, single, data)
    if dtype is not None:
        data = data.astype(torch.empty(0, dtype=dtype).numpy().dtype)
    if not np.isfinite(data.data).all():
        raise ValueError(f"{name}: the sparse matrix holds NaN or infinity. Remove or impute those entries.")
    return Batch(SparseRows.of(data), x, single, data)


@singledispatch
def _convert(x: Any, name: str) -> Any:
    """To a strided floating-point tensor, or to canonical CSR of floats."""
    if type(x).__module__.partition(".")[0] == "scipy":
        return _from_scipy(x, name)
    try:
        array = np.asarray(x)
    except ValueError as error:
        raise ValueError(f"{name}: expected one array of numbers, all rows of one shape; {error}") from error
    if array.dtype == object:
        raise TypeError(
            f"{name}: expected numbers; got {type(x).__name__} whose array has dtype object. Encode it first."
        )
    return _convert(array, name)


@_convert.register
def _(x: np.ndarray, name: str) -> Tensor:
    if x.dtype.kind not in "biuf":
        raise TypeError(f"{name}: expected real numbers; got dtype {x.dtype}")
    if any(stride < 0 for stride in x.strides) or not x.dtype.isnative:
        x = x.astype(x.dtype.newbyteorder("="), order="C", copy=True)
    if x.dtype not in (np.float32, np.float64):
        x = x.astype(np.float64 if x.dtype.itemsize > 8 else np.float32)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # torch warns of read-only arrays; nothing here writes to them
        return _convert(torch.from_numpy(x), name)


@_convert.register
def _(x: Tensor, name: str) -> Tensor:
    if x.layout != torch.strided:
        raise TypeError(
            f"{name}: expected a dense tensor; got layout {x.layout}. Pass a SciPy CSR matrix for sparse rows."
        )
    if x.dtype.is_complex:
        raise TypeError(f"{name}: expected real numbers; got dtype {x.dtype}")
    return x if x.dtype in (torch.float32, torch.float64) else x.to(torch.float32)


def _from_scipy(x: Any, name: str) -> Any:
    from scipy import sparse

    if not sparse.issparse(x):
        return _convert(np.asarray(x), name)
    if x.dtype.kind not in "biuf":
        raise TypeError(f"{name}: expected real numbers; got dtype {x.dtype}")
    matrix = x.tocsr()
    if not matrix.has_canonical_format:
        matrix = matrix.copy() if matrix is x else matrix
        matrix.sum_duplicates()
    return matrix if matrix.dtype in (np.float32, np.float64) else matrix.astype(np.float32)


def _refuse(data: Tensor, name: str) -> NoReturn:
    bad = torch.nonzero(~torch.isfinite(data.detach()))
    row, *place = bad[0].tolist()
    where = f"column {place[0]}" if len(place) == 1 else f"place {tuple(place)}"
    raise ValueError(
        f"{name}: {len(bad)} of {data.numel()} entries are NaN or infinite, the first at row {row}, {where}. "
        "Remove those rows or impute the values (sklearn.impute)."
    )


def read_pair(x1: Any, x2: Any) -> tuple[Batch, Batch]:
    """Both arguments, of one precision and one kind; the same object twice if `x2` is None or `x1` itself."""
    first = read(x1, "x1")
    if x2 is None or x2 is x1:
        return first, first
    second = read(x2, "x2")
    if first.rows.std.ndim != second.rows.std.ndim:
        shapes = [(batch.rows.features, *batch.rows.std.shape[1:]) for batch in (first, second)]
        raise ValueError(f"examples of x1 have shape {shapes[0]}, those of x2 {shapes[1]}; they must agree")
    if first.rows.features != second.rows.features:
        what = "channels" if first.rows.std.ndim > 1 else "features"
        raise ValueError(f"x1 has {first.rows.features} {what}, x2 has {second.rows.features}; they must agree")
    if first.rows.std.shape[1:] != second.rows.std.shape[1:]:
        shapes = [tuple(batch.rows.std.shape[1:]) for batch in (first, second)]
        raise ValueError(f"x1 has positions {shapes[0]}, x2 has {shapes[1]}; they must agree (resize or pad one)")
    if isinstance(x1, Graphs) != isinstance(x2, Graphs):
        raise TypeError("one of x1 and x2 is nk.Graphs, the other is not; both must be")
    if first.rows.std.device != second.rows.std.device:
        raise ValueError(f"x1 is on {first.rows.std.device}, x2 on {second.rows.std.device}; move one of them")
    if first.rows.dtype != second.rows.dtype:
        wide = torch.promote_types(first.rows.dtype, second.rows.dtype)
        first, second = read(x1, "x1", wide), read(x2, "x2", wide)
    if isinstance(first.rows, SparseRows) != isinstance(second.rows, SparseRows):
        first, second = _as_sparse(first), _as_sparse(second)
    return first, second


def graph(batches: Sequence[Batch]) -> Graph | None:
    """The adjacency of graphs, None for other data."""
    graphs = [batch.origin for batch in batches if isinstance(batch.origin, Graphs)]
    if not graphs:
        return None
    device = batches[0].rows.std.device
    adjacency, present = zip(*(g.tensors(device) for g in graphs), strict=True)
    return Graph(PerExample(adjacency), PerExample(present))


def _as_sparse(batch: Batch) -> Batch:
    """Dense rows beside sparse ones: as CSR, which costs their non-zeros."""
    from scipy import sparse

    if isinstance(batch.rows, SparseRows):
        return batch
    dense = _convert(batch.origin, "x").to(batch.rows.dtype)
    if dense.requires_grad:
        raise TypeError("a tensor that requires gradients beside a sparse matrix: pass both dense, or detach it")
    matrix = sparse.csr_matrix(dense.numpy())
    return Batch(SparseRows.of(matrix), batch.origin, batch.single, matrix)


def dress(result: Tensor, first: Batch, second: Batch | None) -> Any:
    """A result as the kind of array that came in: torch, pandas or NumPy; a number for two single vectors."""
    if second is not None and first.single and second.single:
        result = result[0, 0]
    if isinstance(first.origin, Tensor):
        return result
    array = result.detach().numpy()
    if array.ndim and type(first.origin).__module__.partition(".")[0] == "pandas" and hasattr(first.origin, "index"):
        import pandas as pd

        if second is None:
            return pd.Series(array, index=first.origin.index)
        columns = (
            second.origin.index if hasattr(second.origin, "index") and not isinstance(second.origin, list) else None
        )
        return pd.DataFrame(array, index=first.origin.index, columns=columns)
    return array if array.ndim else array[()]
