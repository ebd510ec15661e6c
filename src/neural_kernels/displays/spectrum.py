"""Eigenvalues of a kernel matrix, and where among its eigenvectors the targets lie."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from neural_kernels.analysis import alignment
from neural_kernels.analysis.matrices import as_array, read_kernel
from neural_kernels.displays.display import Display, require_matplotlib
from neural_kernels.displays.inside import reach, target

if TYPE_CHECKING:
    from matplotlib.axes import Axes


class SpectrumDisplay(Display):
    r"""Eigenvalues of a kernel, and the share of the targets' norm in the eigenvectors up to each.

    .. math:: K v_i = \lambda_i v_i, \qquad s_k = \sum_{i \le k} \|Y^T v_i\|^2 / \|Y\|^2.

    Directions of large eigenvalues are learnt first and from few examples: a kernel suits the targets if the share is
    near 1 after a few.

    Parameters
    ----------
    eigenvalues : array-like of shape (n,)
        Largest first.
    shares : array-like of shape (n,), optional
        Cumulated.
    alignment : float, optional
        Cosine between K and Y Y^T, see :func:`analysis.alignment`.

    Attributes
    ----------
    eigenvalue_line_, share_line_ : Line2D or None
    ax_ : Axes
        Of the eigenvalues.
    share_ax_ : Axes or None
        Of the shares: the same axes with a scale at the right.
    figure_
    """

    def __init__(self, eigenvalues: Any, shares: Any = None, *, alignment: float | None = None):
        self.eigenvalues = np.asarray(eigenvalues, dtype=np.float64)
        self.shares = None if shares is None else np.asarray(shares, dtype=np.float64)
        if self.eigenvalues.ndim != 1 or (self.shares is not None and self.shares.shape != self.eigenvalues.shape):
            shapes = [np.shape(values) for values in (eigenvalues, shares) if values is not None]
            raise ValueError(f"eigenvalues and shares have shapes {shapes}: expected (n,) each")
        self.alignment = alignment
        self.share_ax_ = self.eigenvalue_line_ = self.share_line_ = None

    @classmethod
    def from_estimator(
        cls, estimator: Any, X: Any, y: Any = None, *, centred: bool = True, ax: Axes | None = None
    ) -> SpectrumDisplay:
        """Draw the kernel of a fitted model between rows X, which go through the steps of a pipeline before it.

        Parameters
        ----------
        estimator : estimator
            With a `kernel_`, such as :class:`NeuralKernelRegressor`, or a pipeline that ends with one.
        X : array-like of shape (n, ...)
        y, centred, ax
            As for :meth:`from_matrix`.

        Raises
        ------
        NotFittedError, TypeError
            For what is not fitted, or has no kernel.
        """
        require_matplotlib(cls.__name__)
        expected = 'a fitted model with a kernel (kernel_), not "precomputed"'
        model, rows, _ = reach(estimator, X, "kernel_", expected=expected)
        return cls.from_matrix(model.kernel_(rows), y, centred=centred, ax=ax)

    @classmethod
    def from_matrix(
        cls, kernel: Any, y: Any = None, *, centred: bool = True, ax: Axes | None = None
    ) -> SpectrumDisplay:
        """Draw a kernel matrix.

        Parameters
        ----------
        kernel : array-like or Tensor of shape (n, n)
            Symmetric.
        y : array-like of shape (n,) or (n, n_outputs), optional
            Targets; or labels, of any other dtype than floating point, as one-hot rows.
        centred : bool
            Whether to centre the kernel and the targets, so that neither's mean counts: what a model with an intercept
            sees.
        ax : Axes, optional
            Default: of a new figure.

        Notes
        -----
        An eigendecomposition, some 9 n^3 operations.
        """
        require_matplotlib(cls.__name__)
        gram = as_array(read_kernel(kernel, "kernel"))
        if gram.ndim != 2:
            raise ValueError(f"kernel has shape {gram.shape}: expected (n, n), such as the trace over outputs")
        if centred:
            gram = gram - gram.mean(axis=0) - gram.mean(axis=1)[:, None] + gram.mean()
        values, vectors = np.linalg.eigh((gram + gram.T) / 2)
        if y is None:
            return cls(values[::-1]).plot(ax)
        codes = _codes(target(y), len(gram))
        codes = codes - codes.mean(axis=0) if centred else codes
        parts = np.square(vectors.T @ codes).sum(axis=1)[::-1]
        if not parts.any():
            raise ValueError("y: all targets are equal; there is nothing to learn")
        cosine = float(alignment(gram, codes @ codes.T, centred=False))
        return cls(values[::-1], parts.cumsum() / parts.sum(), alignment=cosine).plot(ax)

    def plot(self, ax: Axes | None = None) -> SpectrumDisplay:
        """Draw on the axes, by default of a new figure; eigenvalues that may be rounding alone are left out."""
        ax = self._axes(ax)
        ranks = np.arange(1, len(self.eigenvalues) + 1)
        rounding = len(ranks) * np.finfo(np.float64).eps * np.abs(self.eigenvalues).max()
        drawn = np.where(self.eigenvalues > rounding, self.eigenvalues, np.nan)
        (self.eigenvalue_line_,) = ax.plot(ranks, drawn, color="C0")
        ax.set(xscale="log", yscale="log", xlabel="rank of the eigenvalue", ylabel="eigenvalue")
        if self.shares is None:
            return self
        self.share_ax_ = ax.twinx()
        (self.share_line_,) = self.share_ax_.plot(ranks, self.shares, color="C1")
        self.share_ax_.set(ylim=(0, 1.02), ylabel="share of the targets up to here")
        for axes, line in ((ax, self.eigenvalue_line_), (self.share_ax_, self.share_line_)):
            axes.yaxis.label.set_color(line.get_color())
            axes.tick_params(axis="y", labelcolor=line.get_color())
        if self.alignment is not None:
            ax.set_title(f"alignment {self.alignment:.2f}")
        return self


def _codes(y: np.ndarray, n: int) -> np.ndarray:
    """Targets as columns, labels as one-hot rows."""
    if y.ndim not in (1, 2) or len(y) != n:
        raise ValueError(f"y has shape {y.shape}: expected {n} targets, labels or rows of targets")
    if y.ndim == 1 and y.dtype.kind != "f":
        return (y[:, None] == np.unique(y)).astype(np.float64)
    return y.reshape(n, -1).astype(np.float64)
