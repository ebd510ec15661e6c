"""Kernels of the distance alone, which neural kernels are compared with."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from typing_extensions import override

from neural_kernels.checks import require_number
from neural_kernels.engine.inputs import DenseRows, Rows, SparseRows, delta_tile, sparse_delta_tile
from neural_kernels.exact.arrays import dress, read, read_pair, require_vectors
from neural_kernels.exact.kernel import Kernel
from neural_kernels.exact.lazy import diagonal_by_blocks, gram_by_blocks
from neural_kernels.runtime.boundary import is_of_dask
from neural_kernels.runtime.numerics import safe_sqrt
from neural_kernels.runtime.tiles import Grid, Tile, run_tiles


@dataclass(frozen=True)
class GammaExponential(Kernel):
    r"""The gamma-exponential kernel.

    .. math:: k(x, y) = \exp(-\gamma\, |x - y|^{e}), \qquad 0 < e \le 2

    Parameters
    ----------
    gamma : float
        Inverse length scale to the power `exponent`, positive.
    exponent : float
        1 is the Laplace kernel, 2 the Gaussian.

    Notes
    -----
    On the sphere the NTK of a dense ReLU network has the eigenfunctions of the Laplace kernel and eigenvalues that
    decay alike (Geifman et al. 2020, arXiv 2007.01580). O(n1 n2 d) time, and of CSR matrices
    that of their product; gradients are finite at coincident points.

    Examples
    --------
    >>> import numpy as np
    >>> import neural_kernels as nk
    >>> nk.GammaExponential(1.0, 2.0)(np.eye(2)).round(4)
    array([[1.    , 0.1353],
           [0.1353, 1.    ]])
    """

    gamma: float = 1.0
    exponent: float = 1.0

    def __post_init__(self) -> None:
        require_number(self, gamma=self.gamma)
        require_number(self, exponent=self.exponent)
        if not 0 < self.exponent <= 2:
            raise ValueError(f"exponent={self.exponent!r}: positive definite only for 0 < exponent <= 2")

    @property
    @override
    def takes_sparse(self) -> bool:
        """Whether examples are known to be taken as sparse matrices."""
        return True

    @gram_by_blocks
    def __call__(self, x1: Any, x2: Any = None) -> Any:
        """The Gram matrix, shape (n1, n2), of the kind, device and precision of `x1`.

        Parameters
        ----------
        x1, x2 : array, shape (n1, d) and (n2, d)
            NumPy, torch, SciPy sparse, pandas, polars or lists; None for `x2` means `x1`.
        """
        first, second = read_pair(x1, x2)
        left, right = (require_vectors(batch, self).rows for batch in (first, second))
        if left.std.requires_grad or right.std.requires_grad:
            everything = slice(None), slice(None)
            return dress(self._entries(left, right, *everything), first, second)
        result = torch.empty((len(left), len(right)), dtype=left.dtype, device=left.std.device)

        def work(tile: Tile, memory: dict[str, Any]) -> None:
            result[tile] = self._entries(left, right, *tile)

        run_tiles(Grid((len(left), len(right)), (256, 2048), symmetric=False), work, progress=False)
        return dress(result, first, second)

    @override
    def bind(self, x2: Any) -> Callable[[Any], Any]:
        batch = require_vectors(read(x2, "x2"), self)
        return lambda x1: self(x1, x2 if is_of_dask(x1) else batch)

    def powers(self, left: Rows, right: Rows, rows: slice, columns: slice) -> Tensor:
        """Distances to the power `exponent`, of a tile."""
        squared = squared_distances(left, right, rows, columns)
        return squared if self.exponent == 2 else safe_sqrt(squared) ** self.exponent

    def _entries(self, left: Rows, right: Rows, rows: slice, columns: slice) -> Tensor:
        return torch.exp(-self.gamma * self.powers(left, right, rows, columns))

    @diagonal_by_blocks
    def diag(self, x: Any) -> Any:
        """Ones, shape (n,)."""
        batch = require_vectors(read(x, "x"), self)
        return batch.dress(torch.ones_like(batch.rows.inverse))


def squared_distances(left: Rows, right: Rows, rows: slice, columns: slice) -> Tensor:
    """By the law of cosines, (s - t)^2 + 2 s t delta, in which nothing cancels."""
    d = left.features
    s, t = (left.std[rows, None] * d**0.5).to(left.dtype), (right.std[None, columns] * d**0.5).to(left.dtype)
    return (s - t).square() + 2 * s * t * _deltas(left, right, rows, columns)


def _deltas(left: Rows, right: Rows, rows: slice, columns: slice) -> Tensor:
    """One minus the cosines of a tile, of two batches of one kind."""
    if isinstance(left, SparseRows) and isinstance(right, SparseRows):
        return sparse_delta_tile(left, right, rows, columns)
    assert isinstance(left, DenseRows)
    assert isinstance(right, DenseRows)
    return delta_tile(left, right, rows, columns)


def Laplace(gamma: float = 1.0) -> GammaExponential:  # noqa: N802 (named like the kernel it is)
    """The Laplace kernel exp(-gamma |x - y|).

    Examples
    --------
    >>> import neural_kernels as nk
    >>> nk.Laplace(0.5)
    GammaExponential(gamma=0.5, exponent=1.0)
    """
    return GammaExponential(gamma, 1.0)
