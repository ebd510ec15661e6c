"""Which columns, or directions, of the inputs count."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from neural_kernels.checks import require_choice, require_integer
from neural_kernels.displays.display import Display, require_matplotlib
from neural_kernels.displays.inside import reach

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_LABELLED = 40  # columns of an image up to which all have their names at its sides


class AgopDisplay(Display):
    """An average gradient outer product, or a learnt metric: its diagonal as bars, or all of it as an image.

    Parameters
    ----------
    product : ndarray of shape (d,) or (d, d)
        Its diagonal or all of it, such as ``model.agop()`` and the `metric_` of :class:`FeatureLearning`.
    feature_names : sequence of str, optional
        Of the d columns; default x0, x1, ...
    label : str, optional
        What the numbers are; default: mean squares, or products, of gradients.

    Attributes
    ----------
    bars_ : BarContainer or None
    image_ : AxesImage or None
    ax_, figure_

    Examples
    --------
    >>> import matplotlib; matplotlib.use("Agg")
    >>> import neural_kernels as nk
    >>> display = nk.displays.AgopDisplay([0.2, 3.0, 0.1], feature_names=["age", "bmi", "sex"]).plot()
    >>> [text.get_text() for text in display.ax_.get_yticklabels()]
    ['bmi', 'age', 'sex']
    """

    def __init__(self, product: Any, *, feature_names: Sequence[str] | None = None, label: str | None = None):
        self.product = np.asarray(product, dtype=np.float64)
        shape = self.product.shape
        if len(shape) not in (1, 2) or len(set(shape)) != 1 or 0 in shape:
            raise ValueError(f"product has shape {shape}: expected a diagonal (d,) or a matrix (d, d)")
        names = [f"x{k}" for k in range(shape[0])] if feature_names is None else [str(name) for name in feature_names]
        if len(names) != shape[0]:
            raise ValueError(f"feature_names: got {len(names)} for {shape[0]} columns")
        self.feature_names, self.label = names, label
        self.bars_ = self.image_ = None

    @classmethod
    def from_estimator(
        cls,
        estimator: Any,
        X: Any = None,
        *,
        feature_names: Sequence[str] | None = None,
        kind: str | None = None,
        max_features: int = 20,
        ax: Axes | None = None,
    ) -> AgopDisplay:
        """Draw the learnt metric of a :class:`FeatureLearning`, or the gradients of another model of this library.

        Parameters
        ----------
        estimator : estimator
            Fitted; may be the last step of a pipeline, whose columns are then those before that step.
        X : array-like of shape (n, d), optional
            Rows over which gradients are averaged: default the training rows, where the model has kept them. A learnt
            metric needs none.
        feature_names : sequence of str, optional
            Default: those of the model or of the steps before it.
        kind, max_features, ax
            As for :meth:`plot`; but of gradients all products are computed for "matrix" alone.

        Raises
        ------
        NotFittedError, TypeError
            For what is not fitted, or has neither a metric nor gradients.
        """
        require_matplotlib(cls.__name__)
        expected = "FeatureLearning, or a model of this library that has gradients (agop)"
        model, X, columns = reach(estimator, X, "metric_", "agop", expected=expected)
        names = columns if feature_names is None else feature_names
        if hasattr(model, "metric_"):
            display = cls(model.metric_, feature_names=names, label="learnt metric")
        else:
            display = cls(model.agop(X, diag=kind != "matrix"), feature_names=names)
        return display.plot(ax, kind=kind, max_features=max_features)

    def plot(self, ax: Axes | None = None, *, kind: str | None = None, max_features: int = 20) -> AgopDisplay:
        """Draw.

        Parameters
        ----------
        ax : Axes, optional
            Default: of a new figure.
        kind : {None, "diagonal", "matrix"}
            Bars of the diagonal, largest first, or the matrix as an image; None: as much as there is.
        max_features : int
            Of how many columns, those of the largest numbers, there are bars.
        """
        require_integer("plot", max_features=max_features)
        kind = kind or ("diagonal" if self.product.ndim == 1 else "matrix")
        require_choice("plot", ("diagonal", "matrix"), kind=kind)
        if kind == "diagonal":
            self._draw_bars(self._axes(ax), max_features)
        elif self.product.ndim == 1:
            raise ValueError('kind="matrix": there is a diagonal alone; give the matrix, such as model.agop()')
        else:
            self._draw_image(self._axes(ax))
        return self

    def _draw_bars(self, ax: Axes, most: int) -> None:
        values = self.product if self.product.ndim == 1 else np.diagonal(self.product)
        first = np.argsort(-values, kind="stable")[:most]
        self.bars_ = ax.barh(range(len(first)), values[first])
        ax.set_yticks(range(len(first)), [self.feature_names[k] for k in first])
        ax.invert_yaxis()
        left_out = len(values) - len(first)
        label = self.label or "mean squared gradient"
        ax.set_xlabel(label + (f"; the largest {len(first)} of {len(values)} columns" if left_out else ""))

    def _draw_image(self, ax: Axes) -> None:
        bound = np.abs(self.product).max() or 1.0
        self.image_ = ax.imshow(self.product, cmap="coolwarm", vmin=-bound, vmax=bound)
        ax.figure.colorbar(self.image_, ax=ax, label=self.label or "mean product of gradients")
        if (d := len(self.product)) <= _LABELLED:
            ax.set_xticks(range(d), self.feature_names, rotation=90)
            ax.set_yticks(range(d), self.feature_names)
        else:
            ax.set(xlabel="column", ylabel="column")
