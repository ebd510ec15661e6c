"""Errors along training, which is gradient flow of any length."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any

import numpy as np
from sklearn.base import is_classifier

from neural_kernels.displays.display import Display, reference, require_matplotlib
from neural_kernels.displays.inside import reach, target

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_TIMES = 41
_LEAST_RIDGE = 1e-6  # as a share of the kernel's diagonal: what is slower is not waited for


class TrainingTimeDisplay(Display):
    """Training and test error along training, and the time of the least test error.

    Parameters
    ----------
    times, train_errors : array-like of shape (t,)
    test_errors : array-like of shape (t,), optional
    error_name : str

    Attributes
    ----------
    best_time : float or None
        The first time of the least test error.
    train_line_, test_line_, best_line_ : Line2D or None
        The last is vertical.
    ax_, figure_
    """

    def __init__(self, times: Any, train_errors: Any, test_errors: Any = None, *, error_name: str = "error"):
        self.times, self.train_errors = np.asarray(times, np.float64), np.asarray(train_errors, np.float64)
        self.test_errors = None if test_errors is None else np.asarray(test_errors, np.float64)
        shapes = {errors.shape for errors in (self.train_errors, self.test_errors) if errors is not None}
        if self.times.ndim != 1 or not len(self.times) or shapes != {self.times.shape}:
            raise ValueError(f"times have shape {self.times.shape}, errors {sorted(shapes)}: expected (t,) each")
        self.best_time = None if self.test_errors is None else float(self.times[np.argmin(self.test_errors)])
        self.error_name = error_name
        self.train_line_ = self.test_line_ = self.best_line_ = None

    @classmethod
    def from_estimator(
        cls,
        estimator: Any,
        X: Any,
        y: Any,
        X_test: Any = None,
        y_test: Any = None,
        *,
        times: Any = None,
        ax: Axes | None = None,
    ) -> TrainingTimeDisplay:
        """Draw the errors of ``estimator.predict(..., time=t)``: mean squares, or the share of wrong labels.

        Parameters
        ----------
        estimator : estimator
            A fitted exact model of this library, or a pipeline, a search or another estimator that holds one.
        X, y : array-like of shape (n, ...) and (n,) or (n, n_outputs)
            The rows that it was fitted to.
        X_test, y_test : array-like, optional
            Others.
        times : array-like of shape (t,), optional
            Default: 41, equally spaced in their logarithm, from before anything is learnt to the end of training.
        ax : Axes, optional
            Default: of a new figure.

        Raises
        ------
        NotFittedError, TypeError
            For what is not fitted, or has no training time.
        ValueError
            For times that are negative or decrease, rows without targets, and a model with alpha=0 without `times`.

        Notes
        -----
        One prediction for each time and set. ``solver=nk.solvers.Spectral()`` makes them cheap from the first on.
        """
        require_matplotlib(cls.__name__)
        if (X_test is None) != (y_test is None):
            raise ValueError("X_test and y_test: give both, or neither")
        expected = "a fitted exact model, such as NeuralKernelRegressor, whose predict takes a time"
        model, X, _ = reach(estimator, X, "dual_coef_", expected=expected)
        if "time" not in inspect.signature(model.predict).parameters:
            raise TypeError(f"got {model!r}; expected {expected}")
        times = _times(model, len(target(y))) if times is None else np.asarray(times, dtype=np.float64)
        if times.ndim != 1 or not len(times) or times[0] < 0 or (np.diff(times) < 0).any():
            raise ValueError(f"times={times!r}: expected increasing numbers, at least 0")
        sets = [(X, y)]
        if X_test is not None:
            sets.append((reach(estimator, X_test, "dual_coef_", expected=expected)[1], y_test))
        errors = [[_error(model, rows, target(truth), time) for time in times] for rows, truth in sets]
        name = "share of wrong labels" if is_classifier(model) else "mean squared error"
        return cls(times, *errors, error_name=name).plot(ax)

    def plot(self, ax: Axes | None = None) -> TrainingTimeDisplay:
        """Draw on the axes, by default of a new figure."""
        ax = self._axes(ax)
        (self.train_line_,) = ax.plot(self.times, self.train_errors, label="training rows")
        if self.test_errors is not None and self.best_time is not None:
            (self.test_line_,) = ax.plot(self.times, self.test_errors, label="test rows")
            label = f"best: {self.best_time:.3g}"
            self.best_line_ = ax.axvline(self.best_time, **reference(linestyle="--", label=label))
        ax.set_xscale("log" if self.times[0] > 0 else "symlog")
        ax.set(xlabel="training time", ylabel=self.error_name)
        ax.legend(loc="best")
        return self


def _times(model: Any, n: int) -> np.ndarray:
    """From a tenth of the time constant that no direction is faster than, to ten of the slowest one's."""
    if not model.alpha_ > 0:
        raise ValueError("a model with alpha=0 does not tell how long training takes: give times")
    outputs, scale = (
        np.asarray(model.dual_coef_).reshape(len(model.dual_coef_), -1).shape[1],
        model.ridge_ / model.alpha_,
    )
    return np.geomspace(0.1 * outputs / scale, 10 * n * outputs / max(model.ridge_, _LEAST_RIDGE * scale), _TIMES)


def _error(model: Any, X: Any, y: np.ndarray, time: float) -> float:
    predicted = model.predict(X, time=float(time))
    if is_classifier(model):
        return float(np.mean(predicted != y))
    return float(np.mean(np.square(predicted - y)))
