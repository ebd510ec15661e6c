"""The precision in which numbers are used, by the precision in which they came."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor

# What a number becomes, by whether it is a floating-point number and by its bytes.
Precision = Callable[[bool, int], torch.dtype]


def float_precision(floating: bool, size: int) -> torch.dtype:
    """float32 for float32 and the half precisions, float64 for all else, so that integers up to 2^53 stay distinct.

    The policy of kernels, feature maps, sketches and estimators, which stands here alone.
    """
    return torch.float32 if floating and size <= 4 else torch.float64


def precision_of(x: Any) -> np.dtype:
    """What the policy makes of an array of any make, float32 or float64; of what is no array, float64.

    Columns of a frame have their common type in NumPy, for those of pandas' own types that of objects: float64.
    """
    if isinstance(x, Tensor):
        return numpy_dtype(float_precision(x.is_floating_point(), x.itemsize))
    dtype = getattr(x, "dtype", None)
    if not isinstance(dtype, np.dtype):
        try:
            dtype = np.asarray(_few_rows(x)).dtype
        except ValueError:
            return np.dtype(np.float64)
    return numpy_dtype(float_precision(dtype.kind == "f", dtype.itemsize))


def numpy_dtype(dtype: torch.dtype) -> np.dtype:
    """NumPy's name of torch's precision."""
    return torch.empty(0, dtype=dtype).numpy().dtype


def _few_rows(x: Any) -> Any:
    """Of a frame its first row, which tells the common type of all; anything else as it is."""
    return x.head(1) if hasattr(x, "head") else x
