"""Errors of feature maps of several widths."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from sklearn.base import clone
from sklearn.pipeline import Pipeline

from neural_kernels.displays.display import Display, require_matplotlib

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_WIDTHS = (64, 128, 256, 512, 1024)


class KernelErrorDisplay(Display):
    """Relative error of the kernel that features have, against their number.

    Parameters
    ----------
    n_components : array-like of int, shape (w,)
    errors, centred_errors : array-like of shape (w,)
        `kernel_error_` and `centred_kernel_error_` of the maps.
    name : str, optional
        What the lines are called, where several displays share axes.

    Attributes
    ----------
    lines_ : list of Line2D
        Of the errors and of the centred errors.
    ax_, figure_
    """

    def __init__(self, n_components: Any, errors: Any, centred_errors: Any, *, name: str | None = None):
        self.n_components = np.asarray(n_components)
        self.errors, self.centred_errors = np.asarray(errors, np.float64), np.asarray(centred_errors, np.float64)
        shapes = [self.n_components.shape, self.errors.shape, self.centred_errors.shape]
        if len(shapes[0]) != 1 or len(set(shapes)) != 1:
            raise ValueError(f"n_components, errors and centred_errors have shapes {shapes}: expected (w,) each")
        self.name = name

    @classmethod
    def from_estimator(
        cls,
        estimator: Any,
        X: Any,
        y: Any = None,
        *,
        n_components: Sequence[int] = _WIDTHS,
        name: str | None = None,
        ax: Axes | None = None,
    ) -> KernelErrorDisplay:
        """Fit copies of several widths and draw the errors of their maps; the estimator itself is left as it is.

        Parameters
        ----------
        estimator : estimator
            :class:`NeuralFeatures`, or a model on features, fitted or not; or a pipeline that ends with one, whose
            other steps are fitted once.
        X, y : array-like of shape (n, d) and (n,)
            To fit; transformers need no y.
        n_components : sequence of int
        name : str, optional
            Default: the class of the method in use.
        ax : Axes, optional
            Default: of a new figure. The axes of another display, to compare.

        Raises
        ------
        TypeError
            For an estimator without a width.
        """
        require_matplotlib(cls.__name__)
        model = estimator
        while isinstance(model, Pipeline):
            before, model = model[:-1], model[-1]
            X = _copy(before).fit_transform(X, y) if len(before) else X
        if not hasattr(model, "get_params") or "n_components" not in model.get_params() or not hasattr(model, "method"):
            raise TypeError(f"got {estimator!r}; expected NeuralFeatures or a model on features of this library")
        maps = [_copy(model).set_params(n_components=int(width)).fit(X, y).map_ for width in n_components]
        errors = [(fitted.kernel_error_, fitted.centred_kernel_error_) for fitted in maps]
        if not errors:
            raise ValueError("n_components: expected at least one number of columns")
        name = type(maps[0].method_).__name__ if name is None else name
        return cls(list(n_components), *zip(*errors, strict=True), name=name).plot(ax)

    def plot(self, ax: Axes | None = None) -> KernelErrorDisplay:
        """Draw on the axes, by default of a new figure."""
        ax = self._axes(ax)
        from matplotlib.ticker import ScalarFormatter

        before = "" if self.name is None else f"{self.name}: "
        (line,) = ax.plot(self.n_components, self.errors, marker=".", label=f"{before}kernel")
        dashed = {"linestyle": "--", "marker": ".", "color": line.get_color()}
        (centred,) = ax.plot(self.n_components, self.centred_errors, label=f"{before}centred kernel", **dashed)
        self.lines_ = [line, centred]
        ax.set_xscale("log", base=2)
        ax.xaxis.set_major_formatter(ScalarFormatter())
        ax.set(yscale="log", xlabel="columns", ylabel="relative error of the kernel")
        ax.legend(
            loc="lower center", bbox_to_anchor=(0.5, 1), ncols=2, fontsize="small", frameon=False
        )  # off the lines
        return self


def _copy(estimator: Any) -> Any:
    """As it was before it was fitted."""
    return clone(estimator)
