"""Moments as plain arrays, to be stored or sent, and such arrays read and checked."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from neural_kernels.solvers import triangle

NAMES = "weight", "itemsize", "mean", "target_mean", "scatter", "cross", "target_scatter"
_DTYPES = {4: np.dtype(np.float32), 8: np.dtype(np.float64)}


def read_state(state: Mapping[str, npt.ArrayLike]) -> dict[str, Any]:
    """The attributes of `Moments`.

    Parameters
    ----------
    state : mapping
        As `Moments.state` gives it.

    Raises
    ------
    ValueError
        Names or shapes are others; numbers are not finite; a weight, or a diagonal, is negative.
    """
    if set(state) != set(NAMES):
        raise ValueError(f"state of moments: expected {', '.join(NAMES)}; got {', '.join(map(str, state))}")
    arrays = {name: np.array(state[name], dtype=np.float64) for name in NAMES}
    m, o = arrays["mean"].size, arrays["target_mean"].size
    shapes = (), (), (m,), (o,), (m * (m + 1) // 2,), (m, o), (o,)
    for (name, array), shape in zip(arrays.items(), shapes, strict=True):
        if array.shape != shape or not np.isfinite(array).all():
            raise ValueError(f"state of moments: {name} of shape {array.shape}: expected finite numbers, shape {shape}")
    weight, itemsize = arrays.pop("weight").item(), arrays.pop("itemsize").item()
    arrays["scatter"] = triangle.unpacked(arrays["scatter"], m)
    if weight < 0 or itemsize not in _DTYPES or min(arrays["target_scatter"].min(initial=0), _least(arrays)) < 0:
        raise ValueError("state of moments: expected sums of squares and a weight of at least 0, itemsize 4 or 8")
    return {"weight": weight, "dtype": _DTYPES[int(itemsize)], **arrays}


def _least(arrays: dict[str, Any]) -> float:
    return float(arrays["scatter"].diagonal().min(initial=0))
