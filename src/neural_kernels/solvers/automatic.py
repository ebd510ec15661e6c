"""The solver for those who name none."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from typing_extensions import override

from neural_kernels.solvers.cholesky import Cholesky
from neural_kernels.solvers.conjugate_gradient import ConjugateGradient
from neural_kernels.solvers.protocol import IterativeSolver, RidgeSystem, Solver
from neural_kernels.solvers.spectral import Spectral

_FEW = 6  # factorisations with their residuals take 2.5 units of time each, an eigendecomposition 17, as measured

_LARGE = 20_000  # examples: two float64 matrices take 6.4 GB, a factorisation minutes


@dataclass(frozen=True)
class Automatic(Solver):
    """What ``solver=None`` means: the cheapest of the exact solvers for what is asked.

    Examples
    --------
    >>> from neural_kernels.solvers import Automatic
    >>> Automatic().select(n=1000, ridges=10)
    (Spectral(), 'one eigendecomposition, about 9 n^3 operations, serves all 10 ridges')
    """

    @override
    def select(self, n: int, outputs: int = 1, ridges: int = 1, room: float = np.inf) -> tuple[Solver, str]:
        if ridges == 1:
            return Cholesky(), "for one ridge a Cholesky factorisation, n^3 / 3 operations, is the cheapest"
        if ridges <= _FEW:
            return Cholesky(), f"{ridges} Cholesky factorisations, n^3 / 3 operations each, cost less than eigenvectors"
        if Cholesky().memory(n, outputs) <= room < Spectral().memory(n, outputs):
            return Cholesky(), "there is no memory for an eigendecomposition: factorised anew for each ridge"
        return Spectral(), f"one eigendecomposition, about 9 n^3 operations, serves all {ridges} ridges"

    @override
    def system(self, gram: npt.ArrayLike, sample_weight: npt.ArrayLike | None = None) -> RidgeSystem:
        """As for one ridge; more of them can still be asked for."""
        return Cholesky().system(gram, sample_weight)

    @override
    def memory(self, n: int, outputs: int = 1) -> int:
        """What the solver for one ridge takes, as `system` makes it."""
        return Cholesky().memory(n, outputs)

    def select_iterative(self, n: int, outputs: int, budget: float, gram: int) -> tuple[IterativeSolver, str] | None:
        """Say which solver works without a Gram matrix in memory, and why, where one should be taken.

        Parameters
        ----------
        n, outputs : int
        budget : float
            Bytes, infinity where none was given.
        gram : int
            Bytes of the Gram matrix.
        """
        chosen, needed = ConjugateGradient(), gram + Cholesky().memory(n, outputs)
        if np.isinf(budget):
            if n <= _LARGE:
                return None
            return chosen, f"a factorisation of {n:,} examples would take {needed / 1e9:.1f} GB and n^3 / 3 operations"
        if needed <= budget or chosen.memory(n, outputs) > budget:
            return None
        return chosen, f"a factorisation of {n:,} examples would take {needed:,} bytes, more than memory_budget"
