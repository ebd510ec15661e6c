"""Kernel ridge regression by conjugate gradients: exact up to a tolerance, without the kernel matrix in memory."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from typing_extensions import override

from neural_kernels.checks import require_integer, require_positive
from neural_kernels.runtime.digests import hash_data
from neural_kernels.runtime.lazy import cached_property
from neural_kernels.runtime.types import Array
from neural_kernels.solvers import system
from neural_kernels.solvers.checkpoint import IterateFile
from neural_kernels.solvers.krylov import Iterates, ShiftedSystems
from neural_kernels.solvers.operators import STRIP, GramOperator, MatrixOperator
from neural_kernels.solvers.preconditioner import LowRankInverse, RPCholesky
from neural_kernels.solvers.protocol import IterativeSolver, RidgeSystem

_COLUMNS = 128  # right-hand sides at a time
_VECTORS = 8  # arrays of n x columns at the peak: iterates, their images and copies


@dataclass(frozen=True)
class ConjugateGradient(IterativeSolver):
    r"""Preconditioned conjugate gradients: exact to a tolerance, in memory linear in n.

    An iteration is one product with the kernel matrix, n^2 / 2 kernel entries, which serves all outputs and ridges at
    once. Entries are computed anew at every iteration; those that an estimator's `memory_budget` has room for are kept.

    Parameters
    ----------
    preconditioner : RPCholesky or None
        What keeps iterations few; None: none.
    tol : float
        Relative residual :math:`|S y - (S K S + \lambda I) x| / |S y|` at which a column has converged.
    max_iterations : int
        Of one solve; a warning tells where they did not suffice.
    checkpoint : path-like, optional
        File that the state of a fit is written to. The same fit, after it was killed at any moment, goes on from there.
    checkpoint_every : int
        Iterations between two writings.
    verbose : int
        Above 0: a progress bar with the largest relative residual.

    Examples
    --------
    >>> from neural_kernels.solvers import ConjugateGradient
    >>> ConjugateGradient().system([[2.0, 1.0], [1.0, 2.0]]).solve([1.0, 1.0], ridge=1.0)
    array([0.25, 0.25])
    """

    preconditioner: RPCholesky | None = field(default_factory=RPCholesky)
    tol: float = 1e-6
    max_iterations: int = 500
    checkpoint: str | PathLike[str] | None = None
    checkpoint_every: int = 10
    verbose: int = 0

    def __post_init__(self) -> None:
        require_positive(self, tol=self.tol)
        require_integer(self, max_iterations=self.max_iterations, checkpoint_every=self.checkpoint_every)
        if not isinstance(self.preconditioner, RPCholesky | None):
            raise TypeError(f"preconditioner={self.preconditioner!r}: expected nk.solvers.RPCholesky(rank) or None")

    @override
    def system(self, gram: npt.ArrayLike, sample_weight: npt.ArrayLike | None = None) -> IterativeRidge:
        return self.system_of(MatrixOperator(np.asanyarray(gram)), sample_weight)

    @override
    def system_of(self, operator: GramOperator, sample_weight: npt.ArrayLike | None = None) -> IterativeRidge:
        return IterativeRidge(operator, self, sample_weight)

    @override
    def memory(self, n: int, outputs: int = 1) -> int:
        basis = 0 if self.preconditioner is None else self.preconditioner.memory(n)
        return basis + 3 * min(STRIP, 8 * n * n) + _VECTORS * 8 * n * min(outputs, _COLUMNS)


@dataclass(frozen=True)
class IterativeSolution:
    """What conjugate gradients found.

    Parameters
    ----------
    value : ndarray of shape (r, n) or (r, n, o)
        Coefficients for every ridge.
    residuals : ndarray of shape (r, o)
        True relative residuals, from a product of their own.
    iterations : ndarray of int, shape (r, o)
    converged : bool
        Whether all residuals are within the tolerance.
    """

    value: Array
    residuals: Array
    iterations: np.ndarray
    converged: bool


class IterativeRidge(RidgeSystem):
    r"""Kernel ridge regression by preconditioned conjugate gradients on :math:`S K S + \lambda I`.

    Parameters
    ----------
    operator : GramOperator
        K.
    settings : ConjugateGradient
    sample_weight : array-like of shape (n,), optional
        Non-negative weights; default all 1.

    Attributes
    ----------
    solution_ : IterativeSolution or None
        The last one.

    Warns
    -----
    sklearn.exceptions.ConvergenceWarning
        Where the tolerance was not reached.
    """

    def __init__(
        self, operator: GramOperator, settings: ConjugateGradient, sample_weight: npt.ArrayLike | None = None
    ) -> None:
        weights = system.as_weights(sample_weight, len(operator))
        if not weights.any():
            raise ValueError("sample_weight: all weights are 0")
        self.operator, self.settings, self.root = operator, settings, np.sqrt(weights)
        self.solution_: IterativeSolution | None = None

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in vars(self).items() if name != "_inverse"}

    def settled(self) -> IterativeRidge:
        """The same without a checkpoint: solving for other targets is no part of the fit."""
        self.settings, self.solution_ = replace(self.settings, checkpoint=None), None
        return self

    @override
    def solve(self, targets: npt.ArrayLike, ridge: float, time: float = np.inf) -> Array:
        if system.as_time(time) < np.inf:
            raise NotImplementedError(
                "conjugate gradients solve for the end of training; other times need nk.solvers.Spectral()"
            )
        return self.solve_all(targets, [ridge]).value[0]

    def solve_all(self, targets: npt.ArrayLike, ridges: npt.ArrayLike) -> IterativeSolution:
        """Solve for every ridge at once, about as fast as for the smallest alone.

        Parameters
        ----------
        targets : array-like of shape (n,) or (n, o)
        ridges : array-like of shape (r,)
        """
        y, shape = system.as_targets(targets, len(self.root))
        shifts = np.repeat([system.as_ridge(ridge) for ridge in np.ravel(ridges)], y.shape[1])
        right = np.tile(self.root[:, None] * y, np.size(ridges))
        parts = [slice(k, k + _COLUMNS) for k in range(0, len(shifts), _COLUMNS)]
        found = [self._run(ShiftedSystems(self._product, self._inverse, right[:, k], shifts[k])) for k in parts]
        x, residuals, iterations = (np.concatenate(values, axis=-1) for values in zip(*found, strict=True))
        value = np.moveaxis((self.root[:, None] * x).reshape(len(y), -1, y.shape[1]), 1, 0)
        each = np.size(ridges), y.shape[1]
        done = bool((residuals <= self.settings.tol).all())
        self.solution_ = IterativeSolution(
            value.reshape(each[0], *shape), residuals.reshape(each), iterations.reshape(each), done
        )
        if not done:
            self._warn(residuals, shifts)
        return self.solution_

    @override
    def loo_residuals(
        self, targets: npt.ArrayLike, ridges: float | npt.ArrayLike, rows: np.ndarray | None = None
    ) -> Array:
        system.require_weights(self.root, "loo_residuals")
        y, shape = system.as_targets(targets, len(self.root))
        kept, each = np.arange(len(y)) if rows is None else rows, np.atleast_1d(np.asarray(ridges, dtype=np.float64))
        coefficients = self.solve_all(y, each).value
        found = np.empty((len(each), len(kept), *shape[1:]))
        for k, ridge in enumerate(each):
            inverse = np.concatenate([np.diagonal(c[p]) for p, c in self._inverse_columns(kept, ridge, _COLUMNS)])
            dual = coefficients[k, kept] / self.root[kept, None]
            found[k] = (dual / (self.root[kept] * inverse)[:, None]).reshape(found[k].shape)
        return found if np.ndim(ridges) else found[0]

    @override
    def inverse_blocks(self, ridge: float, size: int) -> Array:
        system.require_weights(self.root, "inverse_blocks")
        rows = np.arange(len(self.root))
        return np.stack([columns[part] for part, columns in self._inverse_columns(rows, system.as_ridge(ridge), size)])

    @override
    def log_determinant(self, ridge: float) -> float:
        raise NotImplementedError(
            "conjugate gradients give no determinant, and no marginal likelihood: take nk.solvers.Cholesky(), or "
            'choose by selection="loo"'
        )

    def _inverse_columns(self, rows: np.ndarray, ridge: float, size: int) -> Iterator[tuple[np.ndarray, Array]]:
        """Columns of (S K S + ridge I)^{-1}, so many at a time, and their positions."""
        for start in range(0, len(rows), size):
            part = rows[start : start + size]
            units = np.zeros((len(self.root), len(part)))
            units[part, np.arange(len(part))] = 1 / self.root[part]
            yield part, self.solve(units, ridge) / self.root[:, None]

    def _product(self, columns: Array) -> Array:
        return self.root[:, None] * self.operator.product(self.root[:, None] * columns)

    @cached_property
    def _inverse(self) -> LowRankInverse | None:
        made = self.settings.preconditioner
        return None if made is None else made.of(self.operator, self.root)

    def _run(self, systems: ShiftedSystems) -> tuple[Array, Array, np.ndarray]:
        """Iterate, from the checkpoint's state if there is one."""
        chosen, stored, run = self.settings, self._checkpoint(), hash_data(np.vstack([systems.right, systems.ridges]))
        before = None if stored is None else stored.load(run)
        state = None if before is None else Iterates.of_arrays(before)
        with _shown(chosen.verbose, chosen.max_iterations, 0 if state is None else state.step) as show:

            def after_step(now: Iterates, residuals: Array) -> None:
                show(residuals)
                if stored is not None and (now.step % chosen.checkpoint_every == 0 or not now.active.any()):
                    stored.save(run, now.arrays())

            return systems.iterate(chosen.tol, chosen.max_iterations, state, after_step)

    def _checkpoint(self) -> IterateFile | None:
        path = self.settings.checkpoint
        if path is None:
            return None
        identity = f"{self.operator.identity()} {self.settings.preconditioner!r} {self.settings.tol!r}"
        return IterateFile(Path(path), identity, self.operator.probe())

    def _warn(self, residuals: Array, ridges: Array) -> None:
        from sklearn.exceptions import ConvergenceWarning

        worst = int(np.argmax(residuals))
        warnings.warn(
            f"conjugate gradients reached a relative residual of {residuals[worst]:.1e} with the ridge "
            f"{ridges[worst]:.3g} in {self.settings.max_iterations} iterations at most; tol is {self.settings.tol:g}. "
            "Take a preconditioner of a higher rank, a larger alpha, X in float64 or more iterations "
            "(nk.solvers.ConjugateGradient(nk.solvers.RPCholesky(rank), max_iterations=...)), or a larger tol.",
            ConvergenceWarning,
            stacklevel=3,
        )


@contextmanager
def _shown(verbose: int, total: int, done: int) -> Iterator[Callable[[Array], None]]:
    """A progress bar, or nothing."""
    if not verbose:
        yield lambda residuals: None
        return
    from tqdm.auto import tqdm

    with tqdm(total=total, initial=done, unit="iteration", desc="conjugate gradients") as bar:

        def show(residuals: Array) -> None:
            bar.set_postfix_str(f"residual {residuals.max():.1e}", refresh=False)
            bar.update()

        yield show
