"""How alpha was chosen: leave-one-out scores against alphas."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from neural_kernels.displays.display import Display, reference, require_matplotlib
from neural_kernels.displays.inside import find

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_WORDS = {"r2": "R²", "accuracy": "accuracy", "log_loss": "minus log-loss"}


class AlphaPathDisplay(Display):
    """Leave-one-out scores against the alphas that they were made for, and the alpha in use.

    Parameters
    ----------
    alphas, scores : array-like of shape (r,)
        Scores may be NaN, for alphas that were not tried on all examples: these are not drawn.
    alpha : float
        The one in use.
    score_name : str

    Attributes
    ----------
    line_ : Line2D
        Of the scores.
    alpha_line_ : Line2D
        The vertical line at the alpha in use.
    ax_, figure_

    Examples
    --------
    >>> import matplotlib; matplotlib.use("Agg")
    >>> from sklearn.datasets import load_diabetes
    >>> import neural_kernels as nk
    >>> model = nk.NeuralKernelRegressor(alpha=[0.1, 1.0, 10.0]).fit(*load_diabetes(return_X_y=True))
    >>> display = nk.displays.AlphaPathDisplay.from_estimator(model)
    >>> display.ax_.get_ylabel()
    'leave-one-out R²'
    """

    def __init__(self, alphas: Any, scores: Any, *, alpha: float, score_name: str = "leave-one-out score"):
        self.alphas, self.scores = np.asarray(alphas, dtype=np.float64), np.asarray(scores, dtype=np.float64)
        if self.alphas.ndim != 1 or self.alphas.shape != self.scores.shape:
            raise ValueError(f"alphas have shape {self.alphas.shape}, scores {self.scores.shape}: expected (r,) each")
        if np.isnan(self.scores).all():
            raise ValueError("scores: no alpha has one")
        self.alpha, self.score_name = float(alpha), score_name

    @classmethod
    def from_estimator(cls, estimator: Any, *, ax: Axes | None = None) -> AlphaPathDisplay:
        """Draw the scores by which a fitted model chose alpha; the model may be inside a pipeline or another estimator.

        With more than 300 rows and ``alpha=None`` two alphas have a score; give several alphas for a whole path.

        Raises
        ------
        NotFittedError, TypeError
            For what is not fitted, or has no leave-one-out scores.
        ValueError
            With one alpha, of which there is no score.
        """
        require_matplotlib(cls.__name__)
        expected = "a kernel or feature model of this library, with leave-one-out scores (loo_scores_)"
        model = find(estimator, "loo_scores_", expected=expected)
        if model.loo_scores_ is None:
            raise ValueError(f"{model!r} was given one alpha, which has no scores: fit with alpha=None or several")
        return cls(model.alphas_, model.loo_scores_, alpha=model.alpha_, score_name=_score_name(model)).plot(ax)

    def plot(self, ax: Axes | None = None) -> AlphaPathDisplay:
        """Draw on the axes, by default of a new figure."""
        ax = self._axes(ax)
        drawn = np.flatnonzero(~np.isnan(self.scores))
        drawn = drawn[np.argsort(self.alphas[drawn], kind="stable")]
        (self.line_,) = ax.plot(self.alphas[drawn], self.scores[drawn], marker=".")
        self.alpha_line_ = ax.axvline(self.alpha, **reference(linestyle="--", label=f"in use: {self.alpha:.3g}"))
        if (self.alphas > 0).all():
            ax.set_xscale("log")
        elif (self.alphas > 0).any():  # and some that are 0
            ax.set_xscale("symlog", linthresh=self.alphas[self.alphas > 0].min())
        ax.set(xlabel="alpha", ylabel=self.score_name)
        ax.legend(loc="best")
        return self


def _score_name(model: Any) -> str:
    scoring = getattr(model, "scoring", None)
    if "evidence" in (scoring, getattr(model, "selection", None)):
        return "log marginal likelihood"
    return f"leave-one-out {_WORDS.get(scoring or getattr(model, 'scorings', ('',))[0], 'score')}"
