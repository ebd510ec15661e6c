"""How many targets lie in intervals, and how many should."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.stats import binom, norm
from sklearn.utils.validation import check_consistent_length

from neural_kernels.checks import require_choice
from neural_kernels.displays.display import Display, reference, require_matplotlib
from neural_kernels.displays.inside import reach, target

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_COVERAGES = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95)


class CoverageDisplay(Display):
    """Share of targets inside of intervals against the share that should be, with the band of chance.

    Calibrated intervals lie on the diagonal; below it they are too narrow, above too wide.

    Parameters
    ----------
    coverages, covered : array-like of shape (c,)
        Nominal and actual shares.
    n_samples : int
        Targets that were counted.
    name : str, optional
        What the line is called, where several displays share axes.

    Attributes
    ----------
    band : ndarray of shape (2, c)
        Between which the actual shares lie with a probability of at least 95 %, each by itself, where intervals are
        calibrated and targets independent given them: binomial quantiles.
    line_ : Line2D
    band_ : artist or None
        Drawn, as the diagonal is, by the first display on its axes.
    ax_, figure_

    Examples
    --------
    >>> import matplotlib; matplotlib.use("Agg")
    >>> import numpy as np
    >>> import neural_kernels as nk
    >>> y = np.random.default_rng(0).standard_normal(1000)
    >>> display = nk.displays.CoverageDisplay.from_predictions(y, np.zeros(1000), np.ones(1000), coverages=[0.5, 0.9])
    >>> bool((abs(display.covered - display.coverages) < 0.05).all())
    True
    """

    def __init__(self, coverages: Any, covered: Any, *, n_samples: int, name: str | None = None):
        self.coverages, self.covered = np.asarray(coverages, np.float64), np.asarray(covered, np.float64)
        if self.coverages.ndim != 1 or self.coverages.shape != self.covered.shape:
            shapes = f"{self.coverages.shape} and {self.covered.shape}"
            raise ValueError(f"coverages and covered have shapes {shapes}: expected (c,) each")
        _require_shares(self.coverages)
        self.n_samples, self.name = int(n_samples), name
        tails = np.array([[0.025], [0.975]])
        self.band = binom.ppf(tails, self.n_samples, self.coverages) / self.n_samples
        self.band_ = None

    @classmethod
    def from_estimator(
        cls,
        estimator: Any,
        X: Any,
        y: Any,
        *,
        response_method: str = "predict_interval",
        coverages: Any = _COVERAGES,
        name: str | None = None,
        ax: Axes | None = None,
    ) -> CoverageDisplay:
        """Draw how many targets of a test lie in a fitted regressor's intervals.

        Parameters
        ----------
        estimator : estimator
            With `predict_interval`, or a pipeline that ends with one.
        X, y : array-like of shape (n, ...) and (n,)
            Rows that it was not fitted to.
        response_method : {"predict_interval", "predict"}
            Which intervals: the jackknife's, from leave-one-out residuals, or a normal distribution's with the
            deviations of ``predict(X, return_std=True)``.
        coverages : array-like of shape (c,)
        name : str, optional
            Default: "jackknife" or "normal".
        ax : Axes, optional
            Default: of a new figure. The axes of another display, to compare.

        Raises
        ------
        NotFittedError, TypeError
            For what is not fitted, or has no intervals.
        ValueError
            For several outputs: draw one at a time, by :meth:`from_intervals`.
        """
        require_matplotlib(cls.__name__)
        require_choice(cls.__name__, ("predict_interval", "predict"), response_method=response_method)
        expected = "a fitted regressor of this library, with predict_interval"
        model, rows, _ = reach(estimator, X, "predict_interval", expected=expected)
        if response_method == "predict":
            mean, std = model.predict(rows, return_std=True)
            return cls.from_predictions(y, mean, std, coverages=coverages, name=name or "normal", ax=ax)
        _require_shares(coverages)
        bounds = [model.predict_interval(rows, coverage=float(share)) for share in coverages]
        return cls.from_intervals(y, bounds, coverages=coverages, name=name or "jackknife", ax=ax)

    @classmethod
    def from_predictions(
        cls,
        y_true: Any,
        y_pred: Any,
        y_std: Any,
        *,
        coverages: Any = _COVERAGES,
        name: str | None = None,
        ax: Axes | None = None,
    ) -> CoverageDisplay:
        """Draw how many targets lie in a normal distribution's intervals, of given means and deviations, (n,) each."""
        _require_shares(coverages)
        check_consistent_length(y_true, y_pred, y_std)
        mean, std = target(y_pred), target(y_std)
        widths = norm.ppf((1 + np.asarray(coverages)) / 2)
        bounds = [np.stack([mean - width * std, mean + width * std], axis=1) for width in widths]
        return cls.from_intervals(y_true, bounds, coverages=coverages, name=name, ax=ax)

    @classmethod
    def from_intervals(
        cls, y_true: Any, intervals: Any, *, coverages: Any, name: str | None = None, ax: Axes | None = None
    ) -> CoverageDisplay:
        """Draw how many targets, (n,), lie in given intervals, (c, n, 2), of nominal coverages, (c,)."""
        y, bounds = target(y_true), np.asarray(intervals, dtype=np.float64)
        if y.ndim != 1 or bounds.shape != (len(coverages), len(y), 2):
            raise ValueError(
                f"targets have shape {y.shape}, intervals {bounds.shape}, for {len(coverages)} coverages: expected "
                "(n,) and (c, n, 2); of several outputs one at a time"
            )
        inside = (bounds[..., 0] <= y) & (y <= bounds[..., 1])
        return cls(coverages, inside.mean(axis=1), n_samples=len(y), name=name).plot(ax)

    def plot(self, ax: Axes | None = None) -> CoverageDisplay:
        """Draw on the axes, by default of a new figure."""
        first = ax is None or not ax.has_data()
        ax = self._axes(ax)
        if first:
            diagonal = reference(linestyle=":", label="calibrated")
            ax.plot([0, 1], [0, 1], **diagonal)
            shade = {"color": diagonal["color"], "alpha": 0.18, "linewidth": 0}
            self.band_ = ax.fill_between(self.coverages, *self.band, label="95 % by chance", **shade)
        (self.line_,) = ax.plot(self.coverages, self.covered, marker=".", label=self.name or "intervals")
        ax.set(xlabel="nominal coverage", ylabel="share of targets covered", xlim=(0, 1), ylim=(0, 1), aspect="equal")
        ax.legend(loc="best")
        return self


def _require_shares(coverages: Any) -> None:
    shares = np.asarray(coverages, dtype=np.float64)
    if shares.ndim != 1 or not len(shares) or (shares <= 0).any() or (shares >= 1).any():
        raise ValueError(f"coverages={coverages!r}: expected numbers between 0 and 1")
