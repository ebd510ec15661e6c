"""How a metric was learnt: leave-one-out scores of all models that were fitted on the way."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from neural_kernels.displays.display import Display, require_matplotlib
from neural_kernels.displays.inside import find

if TYPE_CHECKING:
    from matplotlib.axes import Axes


class MetricPathDisplay(Display):
    """Leave-one-out scores against iterations of :class:`FeatureLearning`, a line for each power.

    Parameters
    ----------
    history : list of dict
        With the keys "iteration", "power" and "score", as in `history_`.
    best_index : int
        The position of the model in use.

    Attributes
    ----------
    paths : dict
        By power, iterations and scores: two arrays of shape (t,). The model without a learnt metric begins each.
    lines_ : list of Line2D
        One for each power.
    best_line_ : Line2D
        The mark of the model in use.
    ax_, figure_

    Notes
    -----
    Leave-one-out scores know nothing of how the metric was learnt from the same targets: of a full metric they are far
    too good.
    """

    def __init__(self, history: Sequence[dict[str, Any]], best_index: int):
        if not history or np.isnan([stage["score"] for stage in history]).all():
            raise ValueError(
                "history: no scores to draw; the estimator inside FeatureLearning has leave-one-out scores with "
                "alpha=None or several alphas"
            )
        if not 0 <= best_index < len(history):
            raise ValueError(f"best_index={best_index}: expected a position in a history of {len(history)} models")
        self.history, self.best_index = list(history), best_index
        start = [stage for stage in history if stage["iteration"] == 0]
        learnt = [stage for stage in history if stage["iteration"] > 0]
        powers = sorted({stage["power"] for stage in learnt or start})
        stages = {power: start + [one for one in learnt if one["power"] == power] for power in powers}
        self.paths = {power: (_column(path, "iteration"), _column(path, "score")) for power, path in stages.items()}

    @classmethod
    def from_estimator(cls, estimator: Any, *, ax: Axes | None = None) -> MetricPathDisplay:
        """Draw the history of a fitted :class:`FeatureLearning`, which may be inside a pipeline or a search.

        Raises
        ------
        NotFittedError, TypeError
            For what is not fitted, or has no history.
        ValueError
            Where no model had leave-one-out scores.
        """
        require_matplotlib(cls.__name__)
        model = find(estimator, "history_", expected="a FeatureLearning, which has a history of scores")
        return cls(model.history_, model.best_index_).plot(ax)

    def plot(self, ax: Axes | None = None) -> MetricPathDisplay:
        """Draw on the axes, by default of a new figure."""
        ax = self._axes(ax)
        from matplotlib import rcParams
        from matplotlib.ticker import MaxNLocator

        self.lines_ = [
            ax.plot(iterations, scores, marker=".", label=f"power {power:g}")[0]
            for power, (iterations, scores) in self.paths.items()
        ]
        best = self.history[self.best_index]
        mark = {"marker": "o", "markersize": 10, "markerfacecolor": "none", "linestyle": "none"}
        mark |= {"color": rcParams["text.color"], "label": "in use"}
        (self.best_line_,) = ax.plot(best["iteration"], best["score"], **mark)
        ax.xaxis.set_major_locator(MaxNLocator(integer=True))
        ax.set(xlabel="iteration of the metric", ylabel="leave-one-out score")
        ax.legend(loc="best")
        return self


def _column(path: list[dict[str, Any]], name: str) -> np.ndarray:
    return np.array([stage[name] for stage in path])
