"""Rows of data as the engine takes them, and one minus their cosines on a tile.

Rows enter a kernel as a standard deviation each, sqrt(x.x / d), and one minus the cosine of each pair. A matrix product
gives the cosine to rounding, which is not enough near 1: an error e there is an error sqrt(e) of the angle. So nearly
parallel pairs are computed again from differences of the unit rows, which is exact to rounding at any distance. Near -1
it is the same with one plus the cosine, from sums: the cosines of the rows with the opposite ones.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Float64
from torch import Tensor
from typing_extensions import override

from neural_kernels.runtime.numerics import safe_divide, times_power_of_two

# Below this, one minus a cosine from a matrix product is no longer good to 1e-6 (1e-11) of the angle.
NEAR = {torch.float32: 1e-2, torch.float64: 1e-6}
_CHUNK = 1 << 18  # numbers of one temporary
_SHORT = 8  # features; products of so few cost as much as differences
_IN_RANGE = 2.0**-40, 2.0**40  # norms whose squares, and the inverses of them, stay well inside float32


def _norms(x: Float[Tensor, "n ... d"]) -> Float64[Tensor, "n ..."]:
    """Norms over the last axis in float64, where torch by itself would make a float64 copy of all of x."""
    if x.requires_grad:
        return torch.linalg.vector_norm(x, dim=-1, dtype=torch.float64)
    if x.ndim > 2:
        return _norms(x.reshape(-1, x.shape[-1])).reshape(x.shape[:-1])
    norms = x.new_empty(len(x), dtype=torch.float64)
    if x.device.type == "cpu":
        from neural_kernels.engine.row_operations import squares

        squares(x.numpy(), norms.numpy())
        return norms.sqrt_()
    step = max(1, _CHUNK // x.shape[1])
    buffer = x.new_empty((min(step, len(x)), x.shape[1]), dtype=torch.float64)
    for part, norm in zip(x.split(step), norms.split(step), strict=True):
        torch.linalg.vector_norm(buffer[: len(part)].copy_(part), dim=1, out=norm)
    return norms


@dataclass(frozen=True)
class InputRows(ABC):
    """A batch of examples.

    Parameters
    ----------
    std : Tensor, shape (n, *positions), float64
        sqrt(x.x / d).
    inverse : Tensor, shape (n, *positions)
        One over the norm of the row as stored, 0 for a row of zeros; of the data's precision.
    """

    std: Float64[Tensor, "n ..."]
    inverse: Float[Tensor, "n ..."]

    def __len__(self) -> int:
        return len(self.std)

    @property
    def dtype(self) -> torch.dtype:
        """Precision of the data, in which the kernels are computed."""
        return self.inverse.dtype

    @property
    @abstractmethod
    def features(self) -> int:
        """Number of features: columns of a matrix, channels of images."""

    @property
    @abstractmethod
    def opposite(self) -> InputRows:
        """The same rows times -1: one minus their cosines with others is one plus those of these."""


@dataclass(frozen=True)
class DenseRows(InputRows):
    """Rows of a matrix, shape (n, d), or pixels of images, shape (n, *positions, channels).

    Each possibly rescaled by a power of two to keep its squares in range.
    """

    x: Float[Tensor, "n ... d"]

    @property
    @override
    def features(self) -> int:
        return self.x.shape[-1]

    @property
    @override
    def opposite(self) -> DenseRows:
        return replace(self, x=-self.x)

    @classmethod
    def of(cls, x: Float[Tensor, "n ... d"]) -> DenseRows:
        """The rows of a tensor; norms are taken in float64, and are NaN or infinite where an entry is."""
        x = x.contiguous()
        norm, exponent = _norms(x), None
        if ((norm < _IN_RANGE[0]) | (norm > _IN_RANGE[1])).any():
            size = torch.linalg.vector_norm(x.detach(), torch.inf, dim=-1).to(torch.float64)
            exponent = torch.frexp(torch.where(size.isfinite(), size, 0))[1]
            x = times_power_of_two(x, -exponent[..., None])
            norm = _norms(x)
        std = (norm if exponent is None else times_power_of_two(norm, exponent)) / x.shape[-1] ** 0.5
        return cls(std, safe_divide(torch.ones_like(norm), norm).to(x.dtype), x)

    def unit(self, rows: slice, dtype: torch.dtype) -> Float[Tensor, "rows *positions d"]:
        """Some rows at norm 1 (or 0), in the given precision."""
        x = self.x[rows].to(dtype)
        inverse = self.inverse[rows]
        if dtype != self.dtype:
            norm = torch.linalg.vector_norm(x, dim=-1)
            inverse = safe_divide(torch.ones_like(norm), norm)
        return x * inverse[..., None]


@dataclass(frozen=True)
class SparseRows(InputRows):
    """Rows of a SciPy CSR matrix with sorted indices and no duplicates, and the same by column."""

    indptr: np.ndarray
    indices: np.ndarray
    data: np.ndarray
    shape: tuple[int, int]

    @property
    @override
    def features(self) -> int:
        return self.shape[1]

    @property
    @override
    def opposite(self) -> SparseRows:
        return replace(self, data=-self.data)

    @classmethod
    def of(cls, matrix) -> SparseRows:
        """The rows of a canonical CSR matrix; norms are taken in float64."""
        counts = np.diff(matrix.indptr)
        size = np.zeros(matrix.shape[0])
        filled = counts > 0
        starts = matrix.indptr[:-1][filled]
        data = matrix.data
        if len(data):
            size[filled] = np.maximum.reduceat(np.abs(data), starts)
        exponent = np.frexp(size)[1]
        if np.any((size > 0) & (np.abs(exponent) > 40)):
            data = np.ldexp(data, -np.repeat(exponent, counts))
        else:
            exponent = np.zeros_like(exponent)
        square = np.zeros(matrix.shape[0])
        if len(data):
            square[filled] = np.add.reduceat(np.square(data, dtype=np.float64), starts)
        norm = torch.from_numpy(np.sqrt(square))
        std = torch.ldexp(norm, torch.from_numpy(exponent)) / matrix.shape[1] ** 0.5
        inverse = safe_divide(torch.ones_like(norm), norm).to(torch.from_numpy(data[:0]).dtype)
        return cls(std, inverse, matrix.indptr, matrix.indices, data, matrix.shape)

    def unit(self, rows: slice) -> Any:
        """Some rows at norm 1 (or 0), as a SciPy CSR matrix."""
        from scipy import sparse

        start, stop, _ = rows.indices(len(self))
        indptr = self.indptr[start : stop + 1]
        part = slice(indptr[0], indptr[-1])
        data = self.data[part] * np.repeat(self.inverse[start:stop].numpy(), np.diff(indptr))
        return sparse.csr_matrix((data, self.indices[part], indptr - indptr[0]), (stop - start, self.features))

    def by_column(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """The same matrix column by column: indptr, indices (of rows), data."""
        from scipy import sparse

        columns = sparse.csr_matrix((self.data, self.indices, self.indptr), self.shape).tocsc()
        return columns.indptr, columns.indices, columns.data


Rows = DenseRows | SparseRows


def delta_tile(left: DenseRows, right: DenseRows, rows: slice, columns: slice) -> Float[Tensor, "rows columns ..."]:
    """One minus the cosines of all pairs, in torch: differentiable, on any device."""
    a, b = left.unit(rows, left.dtype), right.unit(columns, right.dtype)
    positions = a.shape[1:-1]
    delta = delta_units(a.reshape(-1, a.shape[-1]), b.reshape(-1, b.shape[-1]))
    if not positions:
        return delta
    size = positions.numel()
    return delta.reshape(len(a), size, len(b), size).transpose(1, 2).reshape(len(a), len(b), *positions * 2)


def sparse_delta_tile(
    left: SparseRows, right: SparseRows, rows: slice, columns: slice
) -> Float[Tensor, "rows columns"]:
    """One minus the cosines of all pairs of sparse rows, at the cost of their product."""
    a, b = left.unit(rows), right.unit(columns)
    delta = (1 - (a @ b.T).toarray()).clip(0, 2)
    i, j = np.nonzero(delta < NEAR[left.dtype])
    parts = max(1, len(i) * (a.nnz + b.nnz) // (max(1, a.shape[0] + b.shape[0]) * _CHUNK))
    for p, q in zip(np.array_split(i, parts), np.array_split(j, parts), strict=True):
        delta[p, q] = np.asarray((a[p] - b[q]).power(2).sum(1)).ravel() / 2
    return torch.from_numpy(delta)


def delta_units(
    a: Float[Tensor, "*batches n1 d"], b: Float[Tensor, "*batches n2 d"]
) -> Float[Tensor, "*batches n1 n2"]:
    """One minus the inner products of unit rows; from differences at once where rows are short."""
    if a.shape[-1] <= _SHORT:
        columns = zip(a.unbind(-1), b.unbind(-1), strict=True)
        squares = ((first[..., :, None] - second[..., None, :]).square() for first, second in columns)
        return sum(squares, start=a.new_zeros(())) / 2
    delta = (1 - a @ b.mT).clamp(0, 2)
    places = torch.nonzero(delta.detach() < NEAR[delta.dtype], as_tuple=True)
    if len(places[0]) == 0:
        return delta
    step = max(1, _CHUNK // a.shape[-1])
    parts = zip(*(index.split(step) for index in places), strict=True)
    near = torch.cat([(a[(*batch, p)] - b[(*batch, q)]).square().sum(1) / 2 for *batch, p, q in parts])
    return delta.index_put(places, near)
