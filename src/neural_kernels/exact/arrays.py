"""What kernels take: vectors, images or graphs of any make, one batch or two, as rows for the engine."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from neural_kernels.algebra import Graph, InputMap, PerExample
from neural_kernels.engine.inputs import DenseRows, Rows, SparseRows
from neural_kernels.exact.graphs import Graphs
from neural_kernels.runtime import boundary
from neural_kernels.runtime.boundary import CSRRows
from neural_kernels.runtime.types import Shape


@dataclass(frozen=True)
class Batch:
    """Checked examples and what they came as.

    Parameters
    ----------
    rows : DenseRows or SparseRows
    origin : object
        What the user passed.
    single : bool
        Whether it was one vector, shape (d,).
    data : Tensor or SciPy CSR matrix
        The numbers: a tensor of the user's axes, with one in front for a single vector, or canonical CSR.
    """

    rows: Rows
    origin: Any
    single: bool
    data: Any

    @property
    def array(self) -> Any:
        """The user's array, of graphs that of their nodes' features."""
        return self.origin.x if isinstance(self.origin, Graphs) else self.origin

    @property
    def index(self) -> Any:
        """The names of the examples where they came in a frame of pandas, else None."""
        return None if self.single else boundary.index_of(self.array)

    def dress(self, result: Tensor) -> Any:
        """A result of one number, or row, for every example as the make of array that came in."""
        return boundary.dress(result, self.array, self.index)

    def seen(self, through: InputMap | None) -> Batch:
        """The same examples, mapped."""
        if through is None:
            return self
        if isinstance(self.rows, SparseRows):
            data = through.sparse(self.data)
            if isinstance(data, np.ndarray):
                return replace(self, rows=DenseRows.of(torch.from_numpy(data)), data=torch.from_numpy(data))
            return replace(self, rows=SparseRows.of(data), data=data)
        if isinstance(self.origin, Graphs):
            data = through(self.data.movedim(-1, 1)).movedim(1, -1)
            return replace(self, rows=DenseRows.of(data), data=data)
        data = through(self.data)
        return replace(self, rows=DenseRows.of(data.movedim(1, -1)), data=data)


def read(x: Any, name: str, dtype: torch.dtype | None = None) -> Batch:
    """Check and convert one argument, to the precision `dtype` or, by default, to that of the boundary's policy.

    A batch that was read is taken as it is.

    Raises
    ------
    TypeError, ValueError
        What was got, what was expected, what to do.
    """
    if isinstance(x, Batch):
        return x if dtype in (None, x.rows.dtype) else read(x.origin, name, dtype)
    given = boundary.read_rows(x.x if isinstance(x, Graphs) else x, name, canonical=True)
    if isinstance(given, CSRRows):
        return _read_sparse(given, x, name, dtype)
    single = given.ndim == 1
    data = (given[None] if single else given).to(dtype or given.dtype)
    if data.ndim < 2:
        raise ValueError(
            f"{name}: expected vectors, shape (n, d), or images and sequences, shape (n, channels, *positions); got "
            f"shape {tuple(data.shape)}"
        )
    _require_entries(tuple(data.shape), name)
    rows = DenseRows.of(data if isinstance(x, Graphs) else data.movedim(1, -1))
    if not rows.std.isfinite().all():  # of norms, which are at hand: no pass over the data
        boundary.refuse_infinite(data, name)
    return Batch(rows, x, single, data)


def _read_sparse(given: CSRRows, x: Any, name: str, dtype: torch.dtype | None) -> Batch:
    _require_entries(given.shape, name)
    boundary.require_finite(given, name)
    matrix = given.to_scipy()
    if dtype not in (None, given.dtype):
        matrix = matrix.astype(torch.empty(0, dtype=dtype).numpy().dtype)
    return Batch(SparseRows.of(matrix), x, False, matrix)


def _require_entries(shape: Shape, name: str) -> None:
    if 0 in shape[1:]:
        raise ValueError(f"{name}: expected at least one feature and position; got shape {shape}")


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
    if isinstance(first.origin, Graphs) != isinstance(second.origin, Graphs):
        raise TypeError("one of x1 and x2 is nk.Graphs, the other is not; both must be")
    boundary.require_device("x1", first.rows.std.device, second.rows.std.device, "x2 is")
    if first.rows.dtype == torch.float32 and second.rows.dtype == torch.float64:
        first = read(x1, "x1", torch.float64)
    elif first.rows.dtype == torch.float64 and second.rows.dtype == torch.float32:
        second = read(x2, "x2", torch.float64)
    if isinstance(first.rows, SparseRows) != isinstance(second.rows, SparseRows):
        first, second = _as_sparse(first), _as_sparse(second)
    return first, second


def graph(batches: Sequence[Batch]) -> Graph | None:
    """The adjacency of batches of graphs and their nodes that exist, None for other data."""
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
    if batch.data.requires_grad:
        raise TypeError("a tensor that requires gradients beside a sparse matrix: pass both dense, or detach it")
    matrix = sparse.csr_matrix(batch.data.numpy())
    return Batch(SparseRows.of(matrix), batch.origin, batch.single, matrix)


def require_vectors(batch: Batch, kernel: object) -> Batch:
    """Refuse examples with positions, for kernels of inner products or distances.

    Raises
    ------
    ValueError
    """
    if batch.rows.std.ndim > 1:
        raise ValueError(
            f"{type(kernel).__name__} takes vectors, shape (n, d); got examples with positions, such as images. "
            "Flatten them: x.reshape(len(x), -1)."
        )
    return batch


def dress(result: Tensor, first: Batch, second: Batch) -> Any:
    """A result for every pair of examples as the make of array that came in; a number for two single vectors."""
    if first.single and second.single:
        return boundary.dress(result[0, 0], first.array)
    return boundary.dress(result, first.array, first.index, second.index)
