"""What makes conjugate gradients converge in few products: a matrix near the kernel's, which is easily inverted."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from neural_kernels.checks import require_integer
from neural_kernels.runtime.types import Array
from neural_kernels.solvers.operators import GramOperator, OperatorFunction
from neural_kernels.solvers.rpcholesky import pivoted_factor


@dataclass(frozen=True)
class RPCholesky:
    r"""Preconditioner of :class:`ConjugateGradient`: F F^T near K by randomly pivoted Cholesky [1]_, plus the ridge.

    Directions of the kernel with eigenvalues above the ridge are what takes iterations; a rank above their number
    leaves few.

    Parameters
    ----------
    rank : int
        Columns of F, at most; n r kernel entries, about 4 n r^2 operations and 3 n r numbers in float64.
    seed : int
        Of the pivots' draw.

    References
    ----------
    .. [1] M. Diaz, E. Epperly, Z. Frangella, J. Tropp, R. Webber, "Robust, randomized preconditioning for kernel ridge
       regression", 2023, arXiv:2304.12465, section 3.
    """

    rank: int = 1000
    seed: int = 0

    def __post_init__(self) -> None:
        require_integer(type(self).__name__, rank=self.rank)

    def memory(self, n: int) -> int:
        """Bytes that it takes at its peak."""
        return 3 * 8 * n * min(n, self.rank)

    def of(self, operator: GramOperator, root: Array) -> LowRankInverse:
        """For the matrix S K S, S the diagonal matrix of `root`."""
        generator, everything = np.random.default_rng(self.seed), np.arange(len(operator))
        count = min(self.rank, len(operator))
        _, factor = pivoted_factor(OperatorFunction(operator), everything, count, generator)
        weighted = factor.to(torch.float64) * torch.from_numpy(root)[:, None]
        orthonormal, triangle = torch.linalg.qr(weighted)
        vectors, values, _ = torch.linalg.svd(triangle)
        return LowRankInverse((orthonormal @ vectors).numpy(), values.square().numpy())


@dataclass(frozen=True)
class LowRankInverse:
    r"""Products with :math:`(U \Lambda U^T + \lambda I)^{-1} = (I - U \Lambda (\Lambda + \lambda)^{-1} U^T) / \lambda`.

    Parameters
    ----------
    vectors : ndarray of shape (n, r)
        U, orthonormal columns.
    values : ndarray of shape (r,)
        The diagonal of Lambda, largest first.
    """

    vectors: Array
    values: Array

    def __call__(self, columns: Array, ridges: Array) -> Array:
        """Of columns (n, c), each with its own ridge, (c,)."""
        shifts = np.maximum(ridges, np.finfo(np.float64).eps * (1 + self.values.sum()))
        shares = self.values[:, None] / (self.values[:, None] + shifts)
        return (columns - self.vectors @ (shares * (self.vectors.T @ columns))) / shifts
