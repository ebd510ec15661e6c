"""Kernel ridge regression on matrix-valued kernels: a block of the Gram matrix for every two examples."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from typing_extensions import override

from neural_kernels.runtime.types import Array
from neural_kernels.solvers.evidence import Evidence
from neural_kernels.solvers.protocol import RidgeSystem, Solver


class BlockRidge(RidgeSystem):
    r"""Kernel ridge regression where an entry of the kernel is a matrix over the o outputs.

    One system of n o unknowns; leaving an example out takes all of its outputs:

    .. math:: y_i - f_{-i}(x_i) = (C_{ii})^{-1} (C y)_i, \qquad C = (K + \lambda I)^{-1}, \quad C_{ii} \in R^{o \times
       o}.

    Targets have the shape (n, o), one axis more than with a kernel of numbers, which stands for :math:`k \otimes I`.

    Parameters
    ----------
    gram : ndarray of shape (n, n, o, o)
        Of the full empirical NTK, for example.
    solver : Solver
        Of the system of n o unknowns.
    sample_weight : array-like of shape (n,), optional
        Non-negative weights; default all 1.

    Raises
    ------
    ValueError
        For another shape, entries that are not finite, negative weights.

    Examples
    --------
    >>> import numpy as np
    >>> from neural_kernels.solvers import BlockRidge, Cholesky
    >>> gram = np.array([[2.0, 1.0], [1.0, 2.0]])[..., None, None] * np.eye(2)
    >>> BlockRidge(gram, Cholesky()).solve([[1.0, 0.0], [1.0, 0.0]], ridge=1.0)
    array([[0.25, 0.  ],
           [0.25, 0.  ]])
    """

    def __init__(self, gram: np.ndarray, solver: Solver, sample_weight: npt.ArrayLike | None = None):
        given = np.asarray(gram)
        if given.ndim != 4 or given.shape[0] != given.shape[1] or given.shape[2] != given.shape[3]:
            raise ValueError(f"gram has shape {given.shape}: expected (n, n, o, o), a block for every two examples")
        self._examples, self._outputs = given.shape[1:3]
        weights = np.ones(self._examples) if sample_weight is None else np.asarray(sample_weight, dtype=np.float64)
        self._weights = weights
        matrix = given.transpose(0, 2, 1, 3).reshape(self._examples * self._outputs, -1)
        self._flat = solver.system(matrix, None if sample_weight is None else np.repeat(weights, self._outputs))
        self.root = self._flat.root

    @override
    def solve(self, targets: npt.ArrayLike, ridge: float, time: float = np.inf) -> Array:
        y = self._as_targets(targets)
        return self._flat.solve(y.ravel(), ridge, time).reshape(y.shape)

    @override
    def loo_residuals(
        self, targets: npt.ArrayLike, ridges: float | npt.ArrayLike, rows: np.ndarray | None = None
    ) -> Array:
        y, kept = self._as_targets(targets), slice(None) if rows is None else rows
        if (self._weights == 0).any():
            raise ValueError("loo_residuals: some sample weights are 0; leave those examples out")
        residuals = []
        for ridge in np.atleast_1d(np.asarray(ridges, dtype=np.float64)):
            dual = self.solve(y, ridge)[:, :, None]
            solved = np.linalg.solve(self._flat.inverse_blocks(ridge, self._outputs), dual)[:, :, 0]
            residuals.append((solved / self._weights[:, None])[kept])
        return np.stack(residuals) if np.ndim(ridges) else residuals[0]

    @override
    def inverse_blocks(self, ridge: float, size: int) -> Array:
        """Those of `size` examples each, shape (n / size, size * o, size * o)."""
        return self._flat.inverse_blocks(ridge, size * self._outputs)

    @override
    def log_determinant(self, ridge: float) -> float:
        return self._flat.log_determinant(ridge)

    @override
    def evidence(
        self, targets: npt.ArrayLike, ridges: float | npt.ArrayLike, scatter: float | npt.ArrayLike = 0.0
    ) -> Evidence:
        """Of one amplitude for all outputs, which such a kernel binds together."""
        return self._flat.evidence(self._as_targets(targets).ravel(), ridges, np.sum(scatter))

    def _as_targets(self, targets: npt.ArrayLike) -> Array:
        y, expected = np.asarray(targets, dtype=np.float64), (self._examples, self._outputs)
        if y.shape != expected:
            raise ValueError(f"targets have shape {y.shape}: expected {expected}, a number for every output")
        return y
