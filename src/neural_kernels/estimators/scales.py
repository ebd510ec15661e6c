"""What fitting says of columns and rows on scales so different that the kernel sees few of them, and of odd axes."""

from __future__ import annotations

import sys
import warnings
from typing import Any

import numpy as np
from scipy import sparse

from neural_kernels.errors import ScaleWarning
from neural_kernels.exact.kernel import Kernel
from neural_kernels.exact.network import NetworkKernel
from neural_kernels.exact.stationary import GammaExponential
from neural_kernels.runtime.types import Array

FAIR = 10  # rows: of fewer, nothing is said
_SAMPLE = 4096  # rows by which columns are judged
_NUMBERS = 2**20  # in a block of rows or columns
_APART = 50  # times, between scales that are called wildly different


def warn_of_columns(X: Any, kernel: Kernel) -> None:
    """Warn if a quarter of the columns or more hardly vary beside the largest numbers, for kernels of products x.y.

    A column hardly varies if its standard deviation is below a fiftieth of the largest root mean square, and its range
    below a fiftieth of the largest number. Asking for both spares rare indicators and the margins of images, which
    seldom vary but then as far as others. Columns that are mostly 0 are left out, for counts differ by nature, and so
    do principal components, known by their order. Rows far outside the others are left out, of which `warn_of_rows`
    speaks. O(n d) time, of at most 4,096 rows, in blocks that take little memory beside them.
    """
    if not isinstance(kernel, (NetworkKernel, GammaExponential)) or sparse.issparse(X) or X.ndim != 2 or len(X) < FAIR:
        return
    rows = _typical(X, np.linspace(0, len(X) - 1, min(len(X), _SAMPLE)).astype(np.intp))
    step = max(1, _NUMBERS // len(rows))
    parts = [_ranges(X[rows, start : start + step].astype(np.float64)) for start in range(0, X.shape[1], step)]
    ranges = np.concatenate(parts, axis=1)
    columns = np.flatnonzero(ranges[1] > 0)
    if not len(columns):
        return
    largest, spread, std, size = ranges[:, columns]
    small = np.flatnonzero((_APART * std < size.max()) & (_APART * spread < largest.max()))
    if 4 * len(small) < len(columns) or not len(small) or _descending(std):
        return
    high, low = largest.argmax(), small[spread[small].argmin()]
    warn(
        f"{len(small)} of {len(columns)} columns of X hardly vary beside the largest number, {largest[high]:.3g} in "
        f"column {columns[high]} (column {columns[low]} varies by {spread[low]:.3g}), and the kernel hardly sees them: "
        "scale X, by StandardScaler, or by RobustScaler where single values lie far out"
    )


def warn_of_channels(X: Any) -> None:
    """Warn of images that look as if their channels came last, or were missing: they would be read as other shapes."""
    meant, rest = f"X has shape {X.shape}, which means {X.shape[1]} channels", X.shape[2:]
    if X.ndim == 4 and X.shape[3] in (1, 3, 4) and min(X.shape[1:3]) > 4:
        warn(
            f"{meant} and {rest[0]} x {rest[1]} positions here. If its channels come last, pass np.moveaxis(X, -1, 1)",
            UserWarning,
        )
    elif X.ndim == 3 and X.shape[1] == X.shape[2] > 4:
        warn(f"{meant} and {rest[0]} positions here. If it holds grey images, pass X[:, None]", UserWarning)


def diagonal(X: Any, kernel: Kernel) -> Array:
    """k(x, x) of the rows of X, vectors, in blocks that take little memory beside them; O(n d)."""
    step = max(1, _NUMBERS // X.shape[1])
    parts = [np.asarray(kernel.diag(X[start : start + step])) for start in range(0, X.shape[0], step)]
    return np.concatenate(parts).astype(np.float64)


def warn_of_rows(diagonal: Array, support: np.ndarray) -> None:
    """Warn of rows in which k(x, x) is 2,500 times, as of lengths 50 times, what nine tenths of the rows stay below.

    Heavy tails seldom reach that; mistaken units and codes for missing values do.

    Parameters
    ----------
    diagonal : ndarray of shape (m,)
        k(x, x).
    support : ndarray of shape (m,)
        The number of each row in the user's data.
    """
    positive = diagonal[diagonal > 0]
    if len(positive) < FAIR:
        return
    usual = np.quantile(positive, 0.9, method="lower")
    far = np.flatnonzero(diagonal > _APART**2 * usual)
    if not len(far):
        return
    worst = far[diagonal[far].argmax()]
    warn(
        f"{len(far)} of {len(diagonal)} training rows lie far outside the others (in row {support[worst]} k(x, x) is "
        f"{diagonal[worst] / usual:.3g} times what 90 % of the rows stay below): look for mistakes there, clip, or "
        "scale by RobustScaler, PowerTransformer or Normalizer"
    )


def warn(message: str, category: type[Warning] = ScaleWarning) -> None:
    """Warn, at the user's line that led here: none of this package, nor of a pipeline's."""
    frame, level = sys._getframe(), 1
    while frame.f_back and frame.f_globals.get("__name__", "").startswith(("neural_kernels.", "sklearn.")):
        frame, level = frame.f_back, level + 1
    warnings.warn(message, category, stacklevel=level)


def _typical(X: Array, rows: np.ndarray) -> np.ndarray:
    """Those of some rows, given by their numbers, that are not far longer than most."""
    step = max(1, _NUMBERS // X.shape[1])
    with np.errstate(over="ignore"):  # numbers whose squares overflow are refused elsewhere
        parts = [
            np.linalg.norm(X[rows[start : start + step]].astype(np.float64), axis=1)
            for start in range(0, len(rows), step)
        ]
    lengths = np.concatenate(parts)
    return rows[lengths <= _APART * np.quantile(lengths, 0.9, method="lower")]


def _ranges(sample: Array) -> Array:
    """Of every column the largest number, the range, standard deviation and root mean square, shape (4, columns).

    The range of columns that are mostly 0 is given as 0.
    """
    dense = 2 * np.count_nonzero(sample, axis=0) >= len(sample)
    with np.errstate(over="ignore", invalid="ignore"):
        size = np.sqrt(np.square(sample).mean(axis=0))
        return np.stack([np.abs(sample).max(axis=0), dense * np.ptp(sample, axis=0), sample.std(axis=0), size])


def _descending(spread: Array) -> bool:
    """Whether columns come in the order of their spread, but for some neighbours: of a few, that would be chance."""
    if len(spread) < 6:
        return False
    ranks = spread.argsort().argsort()
    return bool(np.corrcoef(ranks, np.arange(len(ranks)))[0, 1] < -0.95)
