"""What a learnt metric is of: the columns of rows, or the numbers of an image's windows."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from math import prod
from typing import Any

import numpy as np
import torch
from sklearn.base import clone

from neural_kernels.algebra import ChannelMap, InputMap, Metric
from neural_kernels.finite.geometry import Windows
from neural_kernels.layers import Conv, Sequential
from neural_kernels.runtime.boundary import read_dense
from neural_kernels.runtime.types import Array, Shape

_NUMBERS = 2**23  # of gradients at a time
_ROWS, _IMAGES = 20_000, 500  # of which gradients are averaged, at most; an image has many windows


class MeasuredInputs:
    """Inputs of one kind, and the model that sees them multiplied by the root of a metric.

    Parameters
    ----------
    size : int
        Numbers that a metric is of.
    seen : callable
        Makes the map of the inputs for a metric.
    model : estimator
        Takes what is mapped; not fitted.
    """

    def __init__(self, size: int, seen: Callable[[Metric], InputMap], model: Any) -> None:
        self.size, self.seen, self.model = size, seen, model

    @classmethod
    def of(cls, estimator: Any, X: Array) -> MeasuredInputs:
        """For an estimator that would be fitted to X itself.

        Raises
        ------
        ValueError
            X holds images, and the estimator has no network that begins with a plain convolution.
        """
        if X.ndim == 2:
            return cls(X.shape[1], ChannelMap, clone(estimator))
        network = estimator.get_params(deep=False).get("network")
        first = network.layers[0] if isinstance(network, Sequential) else None
        if not isinstance(first, Conv) or first.metric is not None:
            raise ValueError(
                f"X has shape {X.shape}: of images a metric is learnt on the windows of the first layer. Give the "
                f"estimator network=nk.cnn(2), or another that begins with nk.Conv without a metric; got {network!r}"
            )
        windows = Windows.of(X.shape[2:], first.kernel_size, first.stride, first.dilation, first.padding)
        size = X.shape[1] * prod(windows.size)
        plain, _ = replace(first, metric=np.ones(size)).split()
        model: Any = clone(estimator)
        model.set_params(network=Sequential(plain, *network.layers[1:]))
        return cls(size, partial(_windows, first), model)


def _windows(first: Conv, metric: Metric) -> InputMap:
    _, seen = replace(first, metric=metric).split()
    assert seen is not None
    return seen


def mapped(X: Array, seen: InputMap) -> Array:
    """Rows or images, multiplied, in their own precision."""
    return seen(read_dense(X, "X")).numpy()


def pulled_back(gradients: Array, seen: InputMap, shape: Shape) -> Array:
    """Gradients (n, o, ...) by mapped inputs as those by the inputs themselves, (n, o, *shape)."""
    n, outputs = gradients.shape[:2]
    x = torch.zeros((n * outputs, *shape), dtype=torch.float64, requires_grad=True)
    slopes = torch.from_numpy(gradients.reshape(n * outputs, *gradients.shape[2:]))
    with torch.enable_grad():
        (back,) = torch.autograd.grad(seen(x), x, slopes)
    return back.reshape(n, outputs, *shape).numpy()


def outer_product(model: Any, X: Array, weights: Array, seen: InputMap) -> Array:
    """The average gradient outer product by what the metric is of, or its diagonal; over windows it is a sum.

    Of images with several outputs one sum of them is differentiated for each image, with signs drawn by lot, always the
    same: the expectation over signs is the product over all outputs, at the cost of one.

    Parameters
    ----------
    model : estimator
        Fitted to mapped inputs.
    X, weights : ndarray of shape (r, ...) and (r,)
        Inputs to average over.
    seen : InputMap
    """
    root, rows, shares = seen.metric.root, mapped(X, seen), weights / weights.sum()
    product, diag = np.zeros(root.shape), root.ndim == 1
    outputs = model.gradient(rows[:1]).shape[1]
    signs = np.random.default_rng(0).choice([-1.0, 1.0], (len(rows), outputs)) if X.ndim > 2 and outputs > 1 else None
    step = max(1, _NUMBERS // (rows[0].size * (outputs if signs is None else 1)))
    for part in (slice(start, start + step) for start in range(0, len(rows), step)):
        found = model.gradient(rows[part]) if signs is None else model._input_gradients(rows[part], signs[part])
        slopes = np.moveaxis(found, 2, -1)  # (b, o, *positions, size)
        slopes *= np.sqrt(shares[part]).reshape(-1, *[1] * (slopes.ndim - 1))
        slopes = slopes.reshape(-1, len(root))
        product += np.square(slopes).sum(axis=0) if diag else slopes.T @ slopes
    return root * product * root if diag else root @ product @ root


def some_inputs(X: Array, weights: Array) -> tuple[Array, Array]:
    """Inputs to average over, with their weights: all, or 20,000 rows, 500 images drawn by lot, always the same."""
    most = _ROWS if X.ndim == 2 else _IMAGES
    if len(X) <= most:
        return X, weights
    drawn = np.sort(np.random.default_rng(0).choice(len(X), most, replace=False))
    return X[drawn], weights[drawn]


def variances(rows: Array, weights: Array) -> Array:
    """Of every column; of arrays (n, channels, ...), of every channel."""
    columns = np.moveaxis(rows, 1, -1).reshape(-1, rows.shape[1])
    weights = np.repeat(weights, len(columns) // len(rows))
    return np.average(np.square(columns - np.average(columns, axis=0, weights=weights)), axis=0, weights=weights)
