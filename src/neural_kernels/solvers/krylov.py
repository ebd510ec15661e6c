"""Conjugate gradients for several right-hand sides and ridges at once: one product with the matrix serves them all."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import Any

import numpy as np

from neural_kernels.runtime.types import Array
from neural_kernels.solvers import system

_RESTARTS = 5  # from the true residual, where the recurrence's has drifted from it
Product = Callable[[Array], Array]
Inverse = Callable[[Array, Array], Array]


@dataclass
class Iterates:
    """Where the iteration stands: all that the next step depends on.

    Parameters
    ----------
    solution, residual, direction : ndarray of shape (n, c)
    decrease : ndarray of shape (c,)
        Inner products of residuals and preconditioned residuals.
    iterations : ndarray of shape (c,)
        Of each column so far.
    active : ndarray of bool, shape (c,)
        Columns that have not converged.
    step, restarts : int
    """

    solution: Array
    residual: Array
    direction: Array
    decrease: Array
    iterations: np.ndarray
    active: np.ndarray
    step: int = 0
    restarts: int = 0

    def arrays(self) -> dict[str, np.ndarray]:
        """By name, to be stored."""
        return {field.name: np.asarray(getattr(self, field.name)) for field in fields(self)}

    @classmethod
    def of_arrays(cls, stored: dict[str, np.ndarray]) -> Iterates:
        """As stored."""
        values: dict[str, Any] = {field.name: np.array(stored[field.name]) for field in fields(cls)}
        values["step"], values["restarts"] = int(values["step"]), int(values["restarts"])
        return cls(**values)


@dataclass(frozen=True)
class ShiftedSystems:
    """(A + ridge_c I) x_c = b_c for every column c, A symmetric and positive semi-definite.

    Parameters
    ----------
    product : callable
        A V for columns V.
    inverse : callable or None
        Preconditioner: approximate solutions for columns (n, c) and their ridges (c,).
    right : ndarray of shape (n, c)
    ridges : ndarray of shape (c,)
    """

    product: Product
    inverse: Inverse | None
    right: Array
    ridges: Array

    def iterate(
        self, tol: float, max_iterations: int, state: Iterates | None, after_step: Callable[[Iterates, Array], object]
    ) -> tuple[Array, Array, np.ndarray]:
        """Solve to relative residuals of `tol`, or until so many iterations are made.

        Parameters
        ----------
        tol : float
        max_iterations : int
        state : Iterates or None
            To go on from; None: from 0.
        after_step : callable
            Called with the iterates and the relative residuals.

        Returns
        -------
        solution : ndarray of shape (n, c)
        residuals : ndarray of shape (c,)
            True relative residuals |b - (A + ridge) x| / |b|, from a product of their own.
        iterations : ndarray of shape (c,)

        Raises
        ------
        numpy.linalg.LinAlgError
            If A with a ridge is not positive definite.
        """
        size = np.linalg.norm(self.right, axis=0)
        size[size == 0] = 1
        now = self._start() if state is None else state
        while True:
            while now.active.any() and now.step < max_iterations:
                self._advance(now)
                relative = np.linalg.norm(now.residual, axis=0) / size
                now.active &= relative > tol
                after_step(now, relative)
            now.residual = self.right - self._apply(now.solution, self.ridges)
            relative = np.linalg.norm(now.residual, axis=0) / size
            now.active = relative > tol
            if not now.active.any() or now.step >= max_iterations or now.restarts >= _RESTARTS:
                return now.solution, relative, now.iterations
            now.restarts += 1
            self._turn(now)

    def _start(self) -> Iterates:
        n, c = self.right.shape
        active = np.any(self.right != 0, axis=0)
        now = Iterates(np.zeros((n, c)), self.right.copy(), np.zeros((n, c)), np.zeros(c), np.zeros(c, int), active)
        self._turn(now)
        return now

    def _turn(self, now: Iterates) -> None:
        """Take the preconditioned residuals for directions."""
        now.direction = self._precondition(now.residual, self.ridges)
        now.decrease = np.einsum("ij,ij->j", now.residual, now.direction)

    def _advance(self, now: Iterates) -> None:
        """One step of every active column."""
        on = np.flatnonzero(now.active)
        direction, ridges = now.direction[:, on], self.ridges[on]
        image = self._apply(direction, ridges)
        curvature = np.einsum("ij,ij->j", direction, image)
        if (bad := ~(curvature > 0)).any():
            k = int(np.argmax(bad))
            raise system.singular(f"a direction has the curvature {curvature[k]:.3g}", float(ridges[k]))
        length = now.decrease[on] / curvature
        now.solution[:, on] += length * direction
        now.residual[:, on] -= length * image
        preconditioned = self._precondition(now.residual[:, on], ridges)
        decrease = np.einsum("ij,ij->j", now.residual[:, on], preconditioned)
        now.direction[:, on] = preconditioned + decrease / now.decrease[on] * direction
        now.decrease[on] = decrease
        now.iterations[on] += 1
        now.step += 1

    def _apply(self, columns: Array, ridges: Array) -> Array:
        return self.product(columns) + ridges * columns

    def _precondition(self, columns: Array, ridges: Array) -> Array:
        return columns.copy() if self.inverse is None else self.inverse(columns, ridges)
