"""Minimisation of smooth convex functions whose values take a pass over the data: L-BFGS that is told them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from neural_kernels.runtime.types import Array

Inverse = Callable[[Array], Array]  # an inverse Hessian, roughly, times a vector

HISTORY = 20  # steps that are remembered
_DESCENT = 1e-4  # share of the decrease along the slope that a step has to make (Armijo)
_TRIES = 20  # shorter and shorter steps, before nothing better is thought to be found


class QuasiNewton:
    """L-BFGS with a metric of its own, in the form of a dialogue: `point` asks, `tell` answers.

    Several of them thus share the passes over the data in which their functions are evaluated.

    Parameters
    ----------
    start : ndarray of shape (p,)
    tol : float
        It has converged where the norm of the gradient, in the metric of the first answer, is so much of the first.
    noise : float
        Relative rounding error of values.

    Attributes
    ----------
    point : ndarray of shape (p,)
        Where the function has to be evaluated next.
    best : ndarray of shape (p,)
        The last point whose value was accepted.
    residual : float
        Norm of the gradient there in units of the first.
    answers : int
        How often the function was evaluated.
    steps : int
        Accepted, the start not counted.
    stalled : bool
        No smaller value was found in the direction of descent: rounding is all there is.

    Notes
    -----
    Time and memory: 40 vectors of length p.

    References
    ----------
    .. [1] J. Nocedal, S. Wright, "Numerical Optimization", 2006, algorithms 7.4 and 7.5.
    """

    def __init__(self, start: Array, tol: float, noise: float) -> None:
        self.point, self.best, self._gradient, self._direction = start, start, start * 0, start * 0
        self._steps, self._changes = np.empty((0, len(start))), np.empty((0, len(start)))
        self.residual, self.stalled, self.steps, self.answers = np.inf, False, -1, 0
        self._tol, self._noise, self._tries = tol, noise, 0
        self._value, self._length, self._first = np.inf, 1.0, 0.0

    @property
    def converged(self) -> bool:
        """Whether the gradient is as small as it was to become."""
        return self.residual <= self._tol

    @property
    def done(self) -> bool:
        """Whether nothing more is asked."""
        return self.converged or self.stalled

    def tell(self, value: float, gradient: Array, inverse: Inverse, fixed: Inverse) -> bool:
        """Take in the value and the gradient at `point`, and ask for another; say whether the point was accepted.

        Parameters
        ----------
        value : float
        gradient : ndarray of shape (p,)
        inverse : callable
            The metric, the better the fewer steps; it may be another with each answer.
        fixed : callable
            The one in which the gradient's norm is taken.
        """
        self.answers += 1
        slope = float(self._gradient @ self._direction)
        if self.steps >= 0 and not self._descends(value, slope):
            self._shorten(value, slope)
            return False
        if self.steps >= 0:
            self._remember(self.point - self.best, gradient - self._gradient)
        self.best, self._value, self._gradient, self._length, self._tries = self.point, value, gradient, 1.0, 0
        self.steps += 1
        norm = float(np.sqrt(max(gradient @ fixed(gradient), 0)))
        self._first = self._first or norm
        self.residual = norm / self._first if norm else 0.0
        self._direction = -self._newton_step(gradient, inverse)
        if gradient @ self._direction >= 0:  # rounding spoilt what is remembered
            self._steps, self._changes = self._steps[:0], self._changes[:0]
            self._direction = -inverse(gradient)
        self.point = self.best + self._direction
        return True

    def _descends(self, value: float, slope: float) -> bool:
        allowed = self._value + _DESCENT * self._length * slope + self._noise * abs(self._value)
        return bool(np.isfinite(value) and value <= allowed)

    def _shorten(self, value: float, slope: float) -> None:
        """To the minimum of the parabola through what is known, within bounds."""
        self._tries += 1
        self.stalled = self._tries >= _TRIES or slope >= 0
        excess = value - self._value - self._length * slope
        factor = -self._length * slope / (2 * excess) if np.isfinite(excess) and excess > 0 else 0.0
        self._length *= min(max(factor, 0.1), 0.5)
        self.point = self.best + self._length * self._direction

    def _remember(self, step: Array, change: Array) -> None:
        if step @ change > 0:
            self._steps = np.vstack([self._steps, step])[-HISTORY:]
            self._changes = np.vstack([self._changes, change])[-HISTORY:]

    def _newton_step(self, gradient: Array, inverse: Inverse) -> Array:
        """The inverse Hessian that the remembered steps say, times the gradient, by two loops over them."""
        vector, shares = gradient.copy(), np.empty(len(self._steps))
        scales = np.einsum("ij,ij->i", self._steps, self._changes)
        for k in reversed(range(len(scales))):
            shares[k] = self._steps[k] @ vector / scales[k]
            vector -= shares[k] * self._changes[k]
        result = inverse(vector)
        if len(scales):
            last = self._changes[-1]
            result *= scales[-1] / (last @ inverse(last))
        for k in range(len(scales)):
            result += (shares[k] - self._changes[k] @ result / scales[k]) * self._steps[k]
        return result

    def state(self) -> dict[str, np.ndarray]:
        """All there is to know, as arrays."""
        return {name: np.asarray(value) for name, value in vars(self).items()}

    @classmethod
    def from_state(cls, state: Mapping[str, np.ndarray]) -> QuasiNewton:
        """Go on from what `state` gave."""
        made: Any = cls(state["point"], 1.0, 0.0)
        for name, value in vars(made).items():
            setattr(made, name, state[name] if isinstance(value, np.ndarray) else type(value)(state[name]))
        return made
