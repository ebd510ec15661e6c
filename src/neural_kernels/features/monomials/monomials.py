"""Columns that are products of a few coordinates of a row."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from neural_kernels.engine.inputs import DenseRows, Rows
from neural_kernels.features.monomials.loops import cap_dense, cap_sparse, products_of_dense, products_of_sparse
from neural_kernels.runtime.plain_state import StoredModule

Unit = Any  # rows of norm 1: a tensor, or indptr, indices and data of a CSR matrix


def unit_rows(rows: Rows) -> Unit:
    """Rows at norm 1; those of zeros stay."""
    if isinstance(rows, DenseRows):
        return rows.x * rows.inverse[:, None]
    unit = rows.unit(slice(None))
    return unit.indptr, unit.indices, unit.data


class Monomials(StoredModule):
    r"""Some monomials :math:`s_j \prod_t x_{i_{jt}}`, sorted by their first factor.

    Parameters
    ----------
    features : int
        Columns of the rows, d.
    factors : ndarray of shape (m, q), int
        The coordinates that are multiplied; d where a monomial has fewer than q.
    scales : ndarray of shape (m,)
    usual : ndarray of shape (d,)
        How often coordinates are not 0. The rarest is a monomial's first factor, so that a row's zeros save work.
    dtype : torch.dtype

    Attributes
    ----------
    degrees : Tensor, shape (m,)
    """

    factors: Tensor
    degrees: Tensor
    scales: Tensor
    starts: Tensor

    def __init__(
        self, features: int, factors: np.ndarray, scales: np.ndarray, usual: np.ndarray, dtype: torch.dtype
    ) -> None:
        super().__init__()
        rarity = np.append(usual, np.inf)[factors]
        factors = np.take_along_axis(factors, np.lexsort((factors, rarity), axis=1), 1)
        order = np.lexsort(factors.T[::-1]) if factors.shape[1] else np.arange(len(factors))
        factors = np.concatenate([factors[order], np.full((len(factors), 1), features)], 1)
        self.register_buffer("factors", torch.from_numpy(factors.astype(np.int32)))
        self.register_buffer("degrees", torch.from_numpy((factors < features).sum(1)))
        self.register_buffer("scales", torch.from_numpy(scales[order]).to(dtype))
        starts = np.searchsorted(factors[:, 0], np.arange(features + 2))
        self.register_buffer("starts", torch.from_numpy(starts))

    def forward(self, unit: Tensor) -> Tensor:
        """Compute all monomials of rows, shape (n, m), by operations of torch: differentiable, on any device."""
        rows = torch.cat([unit, unit.new_ones(len(unit), 1)], 1)
        result = self.scales.to(rows)
        for column in self.factors.T.long():
            result = result * rows[:, column]
        return result

    def capped(self, unit: Tensor, weights: Tensor) -> Tensor:
        """Bring those of each degree to a norm of at most 1 a row, and multiply by weights, shape (n, q + 1)."""
        result = self(unit)
        squares = weights.new_zeros(weights.shape).index_add(1, self.degrees, result.to(weights).square())
        factor = weights / squares.clamp(min=1).sqrt()
        return result * factor[:, self.degrees].to(result)

    def fill(self, unit: Unit, out: np.ndarray) -> None:
        """Write all monomials of rows to memory, compiled."""
        table = self.starts.numpy(), self.factors.numpy(), self.degrees.numpy(), self.scales.numpy().astype(out.dtype)
        memory = np.zeros(len(self.starts) - 1, dtype=out.dtype)
        memory[-1] = 1
        if isinstance(unit, Tensor):
            products_of_dense(unit.numpy(), *table, memory, out)
        else:
            indptr, indices, data = unit
            products_of_sparse(indptr, indices, data.astype(out.dtype, copy=False), *table, memory, out)

    def fill_capped(self, unit: Unit, weights: Tensor, out: np.ndarray) -> None:
        """`capped`, compiled."""
        self.fill(unit, out)
        table = self.degrees.numpy(), weights.numpy(), np.empty(weights.shape[1])
        if isinstance(unit, Tensor):
            cap_dense(out, *table)
        else:
            cap_sparse(*unit[:2], self.starts.numpy(), out, *table)
