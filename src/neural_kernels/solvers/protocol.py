"""What every solver answers: which system it makes of a Gram matrix, what that costs, and what the system solves.

A `Solver` is settings: a small frozen object that users pass to estimators. It makes a `RidgeSystem` of a Gram matrix,
which holds what was computed. `Moments` is no such system: it never sees a Gram matrix, and its targets are summed up
with the features, so that others cannot be asked for later; only its `path` over ridges is alike.
"""

from __future__ import annotations

from abc import ABC, abstractmethod

import numpy as np
import numpy.typing as npt

from neural_kernels.runtime.types import Array
from neural_kernels.solvers.evidence import Evidence
from neural_kernels.solvers.operators import GramOperator

AS_ASKED = "as asked for"


class RidgeSystem(ABC):
    r"""Kernel ridge regression on the examples of one Gram matrix, for whatever targets, ridge and training time.

    .. math:: a = S\, g(S K S + \lambda I)\, S y, \qquad g(l) = \frac{1 - e^{-t l}}{l} \xrightarrow{t \to \infty} \frac
       1 l, \qquad S = \mathrm{diag}(\sqrt{w}),

    the minimiser of :math:`\sum_i w_i (y_i - f(x_i))^2 + \lambda |f|_K^2` over :math:`f = \sum_j a_j k(\cdot, x_j)` for
    :math:`t = \infty`, otherwise gradient flow from f = 0 under :math:`K + \lambda I` at time t.

    Attributes
    ----------
    root : ndarray of shape (n,)
        Square roots of the weights, the diagonal of S.
    """

    root: Array

    @abstractmethod
    def solve(self, targets: npt.ArrayLike, ridge: float, time: float = np.inf) -> Array:
        r"""Return the coefficients a, in the shape of the targets: predictions are ``cross_gram @ a``.

        Parameters
        ----------
        targets : array-like of shape (n,) or (n, o)
            For gradient flow from another start: what is left to learn, ``y - f_0``.
        ridge : float
            :math:`\lambda`, at least 0.
        time : float
            Of the flow ``df/dt = -K (f - y)``; for the mean over n examples and o outputs divide by n o first.

        Raises
        ------
        ValueError
            For other shapes, a negative ridge or time.
        numpy.linalg.LinAlgError
            If the time is infinite and the matrix with its ridge is not positive definite in float64.
        """

    @abstractmethod
    def loo_residuals(
        self, targets: npt.ArrayLike, ridges: float | npt.ArrayLike, rows: np.ndarray | None = None
    ) -> Array:
        r"""Exact leave-one-out residuals :math:`y_i - f_{-i}(x_i)`; every ridge stays as it is.

        .. math:: y_i - f_{-i}(x_i) = \frac{b_i}{C_{ii} s_i}, \qquad C = (S K S + \lambda I)^{-1}, \quad b = C S y.

        Parameters
        ----------
        targets : array-like of shape (n,) or (n, o)
        ridges : float or array-like of shape (r,)
        rows : ndarray of int, ascending, optional
            Of the examples whose residuals are wanted; default all. Each is predicted by all others, in any case.

        Returns
        -------
        ndarray of shape (len(rows),) or (len(rows), o), for a vector of ridges with a first axis of length r

        Raises
        ------
        ValueError
            If a weight is 0: without its weight the matrix does not say what the example would be.
        NotImplementedError
            From a solver that cannot give them; says why.
        numpy.linalg.LinAlgError
            As for `solve`.
        """

    @abstractmethod
    def inverse_blocks(self, ridge: float, size: int) -> Array:
        r"""Diagonal blocks of :math:`(S K S + \lambda I)^{-1}`: of so many rows each, shape (n / size, size, size).

        They are what leaving out several rows at a time takes. Errors as for `loo_residuals`.
        """

    @abstractmethod
    def log_determinant(self, ridge: float) -> float:
        r"""Return :math:`\log |S K S + \lambda I|`. Errors as for `loo_residuals`."""

    def evidence(
        self, targets: npt.ArrayLike, ridges: float | npt.ArrayLike, scatter: float | npt.ArrayLike = 0.0
    ) -> Evidence:
        r"""Marginal likelihood of the targets as a Gaussian process with noise, its amplitude profiled out.

        .. math:: y \sim N(0, a (K + \lambda W^{-1})), \qquad
           a = \frac{1}{\sum_i w_i} \Bigl( y^T S (S K S + \lambda I)^{-1} S y + \frac s \lambda \Bigr).

        A weight counts copies: an example of weight w is worth w rows whose targets have the mean y and, summed over
        all examples, the scatter s about those means.

        Parameters
        ----------
        targets : array-like of shape (n,) or (n, o)
            Centred, as the process has the mean 0.
        ridges : float or array-like of shape (r,)
        scatter : float or array-like of shape (o,)
            Weighted sum of squares of the copies' targets about their means.

        Returns
        -------
        Evidence
            Of amplitudes of shape () or (o,), for a vector of ridges with a first axis of length r.

        Raises
        ------
        ValueError, numpy.linalg.LinAlgError
            As from `loo_residuals`.

        Notes
        -----
        Per ridge one `solve` and the determinant of the same factorisation: no inverse, so that for a Cholesky
        factorisation it costs a quarter of leave-one-out residuals.
        """
        y, rows = np.asarray(targets, dtype=np.float64), float(np.square(self.root).sum())
        found = []
        for ridge in np.atleast_1d(np.asarray(ridges, dtype=np.float64)):
            determinant = self.log_determinant(ridge)
            misfit = np.einsum("i...,i...->...", y, self.solve(y, ridge))
            if np.any(scatter):
                misfit = misfit + (np.asarray(scatter) / ridge if ridge else np.inf)
            found.append(Evidence.profiled(misfit, determinant, float(ridge), rows, len(self.root)))
        if np.ndim(ridges) == 0:
            return found[0]
        return Evidence(np.stack([e.amplitude for e in found]), np.stack([e.log_likelihood for e in found]))


class Solver(ABC):
    """Settings of a solver, as estimators take them: a frozen dataclass, to be compared, copied and searched over."""

    def select(self, n: int, outputs: int = 1, ridges: int = 1, room: float = np.inf) -> tuple[Solver, str]:
        """Say which solver will be taken, and why: itself, if it was asked for by name.

        Parameters
        ----------
        n, outputs : int
            Examples, and columns of targets.
        ridges : int
            How many there are to select from.
        room : float
            Bytes that solving may take.

        Returns
        -------
        solver : Solver
        reason : str
        """
        return self, AS_ASKED

    @abstractmethod
    def system(self, gram: npt.ArrayLike, sample_weight: npt.ArrayLike | None = None) -> RidgeSystem:
        """Make the system of one Gram matrix.

        Parameters
        ----------
        gram : array-like of shape (n, n)
            The kernel matrix of the training examples, symmetric; only its lower triangle is read.
        sample_weight : array-like of shape (n,), optional
            Non-negative weights w; default all 1. A weight of 0 equals leaving the example out.

        Raises
        ------
        ValueError
            For a matrix that is not square or not finite, negative weights.
        """

    @abstractmethod
    def memory(self, n: int, outputs: int = 1) -> int:
        """Bytes that the system of n examples takes at its peak, beside the Gram matrix that it is made of.

        Solving for one time, infinity, and leave-one-out residuals are counted in; the coefficients of so many outputs
        as well.
        """


class IterativeSolver(Solver):
    """Settings of a solver that needs products with the Gram matrix, and no Gram matrix in memory."""

    @abstractmethod
    def system_of(self, operator: GramOperator, sample_weight: npt.ArrayLike | None = None) -> RidgeSystem:
        """Make the system of a matrix that is multiplied; weights and errors as for `system`."""


def vectors_memory(n: int, outputs: int) -> int:
    """Bytes of targets, scaled targets and coefficients, in float64."""
    return 3 * 8 * n * outputs
