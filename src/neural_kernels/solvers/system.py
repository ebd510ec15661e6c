"""What the solvers share: the weighted system, its checks, and what is said when it is singular."""

from __future__ import annotations

import warnings
from numbers import Real

import numpy as np
import numpy.typing as npt
from scipy.linalg import LinAlgWarning

from neural_kernels.runtime.types import Array

ADVICE = (
    "Use a larger ridge (estimators: alpha), remove examples that the kernel cannot tell apart, or compute the kernel "
    "in float64."
)

# Of squared lengths, in units of their median. Of one normal column, which varies most, a value in 5,000 is larger.
OUTLYING = 30


def weighted_gram(gram: npt.ArrayLike, sample_weight: npt.ArrayLike | None) -> tuple[Array, Array]:
    """Return a new float64 matrix S K S with S = diag(sqrt(weights)), and the diagonal of S."""
    given = np.asarray(gram)
    if given.ndim != 2 or given.shape[0] != given.shape[1] or given.size == 0:
        raise ValueError(f"gram has shape {given.shape}: expected a square matrix, one row and one column per example")
    matrix = np.array(given, dtype=np.float64, order="F")
    if not np.isfinite(matrix).all():
        raise ValueError("gram holds NaN or infinity: check the inputs, or scale them (StandardScaler)")
    if sample_weight is None:
        return matrix, np.ones(len(matrix))
    weights = np.asarray(sample_weight, dtype=np.float64)
    if weights.shape != (len(matrix),) or not np.isfinite(weights).all() or (weights < 0).any():
        raise ValueError(f"sample_weight has shape {weights.shape}: expected {len(matrix)} finite non-negative numbers")
    if not weights.any():
        raise ValueError("sample_weight: all weights are 0")
    root = np.sqrt(weights)
    matrix *= root[:, None]
    matrix *= root
    inert = root == 0  # decoupled by S; their own diagonal only has to be regular
    matrix[inert, inert] = np.diagonal(matrix)[~inert].mean()
    return matrix, root


def as_ridge(ridge: float) -> float:
    """Require a finite number that is not negative, as a float."""
    if not (np.isfinite(ridge) and ridge >= 0):
        raise ValueError(f"ridge={ridge!r}: expected a finite number, at least 0")
    return float(ridge)


def as_time(time: float | int) -> float:
    """Require a non-negative number; infinity is the end of training."""
    if not isinstance(time, Real) or not time >= 0:
        raise ValueError(f"time={time!r}: expected a number, at least 0 (infinity: trained to the end)")
    return float(time)


def as_targets(targets: npt.ArrayLike, n: int) -> tuple[Array, tuple[int, ...]]:
    """Return the targets as a matrix (n, o), and the shape in which they came."""
    given = np.asarray(targets, dtype=np.float64)
    if given.ndim not in (1, 2) or len(given) != n:
        raise ValueError(f"targets have shape {given.shape}: expected ({n},) or ({n}, n_outputs)")
    return given.reshape(n, -1), given.shape


def as_weights(weights: npt.ArrayLike | None, n: int) -> Array:
    """Require a finite non-negative weight for each of n rows; None means 1."""
    w = np.ones(n) if weights is None else np.asarray(weights, dtype=np.float64)
    if w.shape != (n,) or not np.isfinite(w).all() or (w < 0).any():
        raise ValueError(f"weights have shape {w.shape}: expected {n} finite numbers, at least 0")
    return w


def mean_diagonal(gram: np.ndarray, weights: Array | None, cause: str) -> float:
    """Robust mean of k(x, x) over the training examples: the unit of relative ridges (alpha), free of their scale.

    Parameters
    ----------
    gram : ndarray of shape (n, n) or (n, n, o, o)
    weights : ndarray of shape (n,) or None
        Of the examples, so that repeating one is the same as doubling its weight.
    cause : str
        What a mean of 0 comes from, for the error.

    Raises
    ------
    ValueError
        If the mean is not positive.
    """
    return require_scale(robust_mean(diagonal(gram), weights), "mean diagonal of the training kernel", cause)


def diagonal(gram: np.ndarray) -> Array:
    """k(x, x) of each example, (n,) in float64; of matrix-valued kernels (n, n, o, o) the mean over outputs."""
    values = np.diagonal(gram) if gram.ndim == 2 else np.einsum("iiaa->ia", gram)
    return values.astype(np.float64).reshape(len(gram), -1).mean(axis=1)


def robust_mean(values: Array, weights: Array | None = None) -> float:
    """Weighted mean of min(v, `largest_typical`): the mean itself, to the last bit, unless values lie far out.

    An outlying value counts as `OUTLYING` medians at most, so that few of them among many move the mean little.
    """
    return float(np.average(np.minimum(values, largest_typical(values, weights)), weights=weights))


def largest_typical(values: Array, weights: Array | None = None) -> float:
    """`OUTLYING` times the weighted median of the positive values (a vector); 0 if there are none.

    Examples whose k(x, x) is larger are far outside the others: their errors should choose nothing.
    """
    weights = np.ones(len(values)) if weights is None else weights
    counted = (values > 0) & (weights > 0)
    if not counted.any():
        return 0.0
    ordered, w = values[counted], weights[counted]
    order = np.argsort(ordered, kind="stable")
    share = np.cumsum(w[order])
    return float(OUTLYING * ordered[order][np.searchsorted(share, share[-1] / 2)])


def require_scale(scale: float, what: str, cause: str) -> float:
    """Require a positive unit of relative ridges."""
    if not scale > 0:
        raise ValueError(f"the {what} is {scale:.3g}, expected a positive number: {cause}")
    return scale


def singular(smallest: str, ridge: float) -> np.linalg.LinAlgError:
    """Make the error for a matrix that is not positive definite in float64."""
    return np.linalg.LinAlgError(f"gram + ridge is not positive definite ({smallest}; ridge {ridge:.3g}). {ADVICE}")


def warn_if_ill_conditioned(reciprocal: float, ridge: float) -> None:
    """Warn when a reciprocal condition number leaves no correct digits."""
    if reciprocal < np.finfo(np.float64).eps:
        warnings.warn(
            f"gram + ridge is singular to working precision (reciprocal condition number {reciprocal:.1e}, ridge "
            f"{ridge:.3g}): expect inaccurate results. {ADVICE}",
            LinAlgWarning,
            stacklevel=4,
        )


def require_weights(root: Array, what: str) -> None:
    """Raise if a weight is 0: the outputs there cannot be told from S K S."""
    if (root == 0).any():
        raise ValueError(f"{what}: {int((root == 0).sum())} sample weights are 0; leave those examples out")
