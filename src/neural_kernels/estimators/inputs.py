"""Examples as estimators read them, in the precision that kernels take, and what is said where they do not fit."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from sklearn.utils.validation import _check_sample_weight, validate_data
from torch import Tensor

from neural_kernels.errors import PositionsError
from neural_kernels.runtime.boundary import is_of_dask, precision_of, refuse_lazy
from neural_kernels.runtime.types import Array, Shape

_NUMBERS = 2**21  # of X in a block, 16 MB as float64,
_SHARE = 1 / 128  # of a budget in bytes at most: blocks are copied, and hashed, and have features

NO_SCALE = (
    "all inputs are 0 (with a bias_var > 0 their kernel is positive), or the network ignores them, or it has no "
    'weights, so that its NTK is 0 (add nk.Dense(), or take kernel="nngp")'
)


def validate(estimator: Any, X: Any, lazy: str = "pass the result of its compute()", **options: Any) -> Any:
    """Validate as scikit-learn does, options (y, reset, ...) included, in the precision that kernels take X in.

    Collections of Dask and lazy frames are refused, with advice: to compute them could take hours, or all memory.
    """
    for name, given in (("X", X), ("y", options.get("y"))):
        if is_of_dask(given[0] if isinstance(given, list) and given else given):
            raise TypeError(f"{name} is a lazy collection of Dask, {type(estimator).__name__} takes arrays: {lazy}")
        refuse_lazy(given, name)
    if not options.get("multi_output"):
        refuse_several(estimator, options.get("y"))
    if isinstance(X, Tensor) and X.dtype == torch.bfloat16:  # which NumPy does not have
        X = X.float()
    if isinstance(X, Tensor) and X.requires_grad:
        raise TypeError(
            "X requires gradients, which predict of regressors and decision_function of classifiers pass on, and "
            "nothing else: give X.detach()"
        )
    given: Any = X
    try:
        return validate_data(estimator, given, dtype=precision_of(X), **options)
    except (TypeError, ValueError) as error:
        if _is_raw_table(X):
            error.add_note(
                "Tables with text, dates or missing cells go as they are into nk.TableRegressor, nk.TableClassifier "
                "and nk.table_pipeline(estimator)."
            )
        raise


def refuse_several(estimator: Any, y: Any) -> None:
    """Refuse several targets a row, with what takes them; one column passes, of which scikit-learn warns."""
    shape = tuple(y.shape if hasattr(y, "shape") else np.asarray(y).shape)
    if len(shape) == 2 and shape[1] > 1:
        raise ValueError(
            f"y has shape {shape}: {type(estimator).__name__} takes one label for each row. For several, wrap it: "
            "sklearn.multiclass.OneVsRestClassifier takes matrices of 0 and 1 (a column a label, any number of them a "
            "row), sklearn.multioutput.MultiOutputClassifier a column of labels for each question. One-hot rows of "
            "exclusive classes: y.argmax(axis=1)"
        )


def _is_raw_table(X: Any) -> bool:
    """Whether X is a frame or an array with cells that are no numbers, or that are missing."""
    if hasattr(X, "indptr") or len(getattr(X, "shape", ())) != 2:
        return False
    try:
        return bool(np.isnan(np.asarray(X, dtype=np.float64)).any())
    except (TypeError, ValueError):
        return True


def block_numbers(budget: float) -> int:
    """How many numbers of X a block may hold, where blocks are cut here, for a budget in bytes."""
    return max(1, int(min(_NUMBERS, _SHARE * budget)))


def read_weights(sample_weight: Any, X: Any) -> Array:
    """Require a non-negative weight for every example, not all 0; None means 1 for each."""
    weights = _check_sample_weight(sample_weight, X, dtype=np.float64)
    if (weights < 0).any() or not weights.any():
        raise ValueError("sample_weight: expected non-negative numbers, not all 0")
    return weights


def read_weights_of_part(sample_weight: Any, X: Any) -> Array:
    """As `read_weights`, for a part of the data, in which all may be 0."""
    given = np.ones(X.shape[0]) if sample_weight is None else np.asarray(sample_weight, dtype=np.float64)
    return read_weights(given, X) if given.shape != X.shape[:1] or given.any() else given


def require_squares(X: Any) -> None:
    """Require numbers whose products, and sums of many of them, are finite in their precision."""
    values = X.data if hasattr(X, "indptr") else X
    largest = float(np.abs(values).max(initial=0))
    if largest > 1e-3 * np.sqrt(np.finfo(values.dtype).max):
        raise OverflowError(
            f"X holds {largest:.3g}, whose square is too large for {values.dtype}: scale it (StandardScaler)"
        )


def refuse_graphs(estimator: object, X: Any) -> None:
    """Graphs are no array that could be split, copied and compared row by row; their kernels are."""
    from neural_kernels.exact.graphs import Graphs

    if isinstance(X, Graphs):
        name = type(estimator).__name__
        raise TypeError(
            f"{name} takes arrays, got nk.Graphs. Compute the kernel, for example kernel = nk.NTK(network), fit "
            f'{name}(kernel="precomputed") to kernel(graphs) and predict from kernel(new_graphs, graphs).'
        )


def check_outputs(kernel: Any, X: Any) -> None:
    """Require one output an example, not one a position: such kernels are large."""
    if X.ndim > 2 and np.ndim(kernel.diag(X[:1])) > 1:
        raise ValueError(
            f"the network has an output at every position of X, shape {X.shape}; one an example is needed. End it with "
            "nk.GlobalAvgPool() or nk.Flatten() and nk.Dense(), take nk.cnn(3), or pass vectors: X.reshape(len(X), -1)."
        )


def check_shape(estimator: object, X: Any, fitted: Shape) -> None:
    """Require examples of the shape fitted to; where both are vectors, scikit-learn does."""
    shape = tuple(X.shape if hasattr(X, "shape") else np.asarray(X).shape)
    if not shape or shape[1:] == fitted or (len(fitted) == 1 and len(shape) <= 2):
        return
    raise ValueError(
        f"X has shape {shape}, but {type(estimator).__name__} was fitted to X of shape {_with_n(fitted)}. "
        + _advice(shape, fitted)
    )


def _advice(shape: Shape, fitted: Shape) -> str:
    if shape == fitted:
        return "One example is a batch of one: pass X[None]."
    if shape[1:] == (*fitted[1:], fitted[0]):
        return "Channels come first: pass np.moveaxis(X, -1, 1)."
    if math.prod(shape[1:]) == math.prod(fitted):
        return f"Reshape it: X.reshape{(-1, *fitted)}."
    return "Bring its examples to that shape."


def _with_n(example: Shape) -> str:
    return f"(n, {', '.join(map(str, example))})"


@contextmanager
def advice_on_images(X: Any) -> Iterator[None]:
    """Where a network refuses vectors, add how to make images of them."""
    try:
        yield
    except PositionsError as error:
        if X.ndim != 2:
            raise
        raise PositionsError(
            f"{error} X has shape {X.shape}; if its rows are flat images, reshape it to (n, channels, height, width): "
            f"X.reshape{_images(X.shape[1])}."
        ) from error


def _images(features: int) -> str:
    """The arguments that make square images, grey or of three colours, of vectors."""
    for channels in (1, 3):
        side = math.isqrt(features // channels)
        if side > 1 and channels * side**2 == features:
            return str((-1, channels, side, side))
    return "(-1, channels, height, width)"
