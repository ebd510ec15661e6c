"""Ridge regression on the kernel of a module: entries may be numbers, or matrices over outputs."""

from __future__ import annotations

from functools import cached_property

import numpy as np

from neural_kernels.runtime.types import Array
from neural_kernels.solvers import CholeskyRidge, SpectralRidge


class BlockRidge:
    r"""Coefficients :math:`(K + \lambda I)^{-1} y` at any training time, and what they predict without an example.

    A kernel of numbers stands for :math:`k \otimes I`: one n x n system with a right-hand side per output. One of
    matrices is one system of n o unknowns; leaving an example out takes all of its outputs.

    Parameters
    ----------
    gram : ndarray of shape (n, n) or (n, n, o, o)
    alphas : ndarray of shape (r,)
        Ridges in units of the mean diagonal. One: solved by Cholesky; several: by an eigendecomposition.

    Attributes
    ----------
    ridges : ndarray of shape (r,)

    Raises
    ------
    ValueError
        Entries are not finite, or the mean diagonal is not positive.
    """

    def __init__(self, gram: np.ndarray, alphas: Array) -> None:
        n, self._block = len(gram), 1 if gram.ndim == 2 else gram.shape[2]
        matrix = gram if gram.ndim == 2 else gram.transpose(0, 2, 1, 3).reshape(n * self._block, -1)
        self.ridges = alphas * _mean_diagonal(matrix)
        self._solver = CholeskyRidge(matrix, self.ridges[0]) if len(alphas) == 1 else SpectralRidge(matrix)

    @cached_property
    def _spectral(self) -> SpectralRidge:
        return self._solver.spectral if isinstance(self._solver, CholeskyRidge) else self._solver

    def solve(self, targets: Array, ridge: float, time: float = np.inf) -> Array:
        """Coefficients for one of `ridges`, in the shape of the targets, (n, o), at a time in units of the solver."""
        columns = targets.reshape(len(targets) * self._block, -1)
        if isinstance(self._solver, CholeskyRidge) and time == np.inf:
            return self._solver.solve(columns).reshape(targets.shape)
        return self._spectral.solve(columns, ridge, time).reshape(targets.shape)

    def loo_residuals(self, targets: Array, ridges: Array) -> Array:
        r"""Exact residuals :math:`y_i - f_{-i}(x_i)` for some of `ridges`, shape (r, n, o).

        .. math:: y_i - f_{-i}(x_i) = (C_{ii})^{-1} (C y)_i, \qquad C = (K + \lambda I)^{-1}, \quad C_{ii} \in R^{o
           \times o}.
        """
        n = len(targets)
        if n < 2:
            raise ValueError("leave-one-out (several alphas, or labels) needs at least 2 examples; got 1")
        if self._block == 1 and isinstance(self._solver, CholeskyRidge):
            return self._solver.loo_residuals(targets)[None]
        if self._block == 1:
            return self._spectral.loo_residuals(targets, ridges)
        vectors = self._spectral.vectors.reshape(n, self._block, -1)
        residuals = []
        for ridge in ridges:
            dual = self.solve(targets, ridge)[:, :, None]
            own = (vectors / (self._spectral.values + ridge)) @ vectors.swapaxes(1, 2)
            residuals.append(np.linalg.solve(own, dual)[:, :, 0])
        return np.stack(residuals)


def _mean_diagonal(matrix: np.ndarray) -> float:
    mean = float(np.diagonal(matrix).mean(dtype=np.float64))
    if not mean > 0:
        raise ValueError(
            f"the mean diagonal of the training kernel is {mean:.3g}, expected a positive number: the module's outputs "
            "do not depend on the parameters at these examples"
        )
    return mean
