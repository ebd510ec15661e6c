"""Memory for a result, and results as the make of array that came in."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from neural_kernels.runtime.boundary.makes import comes_from
from neural_kernels.runtime.boundary.require import require_device
from neural_kernels.runtime.types import Shape


def read_out(out: Any, shape: Shape, dtype: torch.dtype, device: torch.device, contiguous: bool = False) -> Tensor:
    """The user's memory for a result, as a tensor that shares it.

    Parameters
    ----------
    out : ndarray (a memmap, too) or Tensor
    shape, dtype, device
        Of the result.
    contiguous : bool
        Whether rows have to lie one after the other.

    Raises
    ------
    TypeError, ValueError
        What was got, what was expected, what to do.
    """
    if isinstance(out, Tensor):
        target = out
    elif isinstance(out, np.ndarray):
        if not out.flags.writeable:
            raise ValueError("out: the array is read-only")
        if out.dtype not in (np.float32, np.float64):
            raise TypeError(f"out: expected dtype {dtype}, that of the inputs; got {out.dtype}")
        if any(stride < 0 for stride in out.strides):
            raise ValueError("out: negative strides are not supported; pass a plain array")
        target = torch.from_numpy(out)
    else:
        raise TypeError(f"out: expected a NumPy array, memmap or torch tensor; got {type(out).__name__}")
    if tuple(target.shape) != shape:
        raise ValueError(f"out: expected shape {shape}, got {tuple(target.shape)}")
    if target.dtype != dtype:
        raise TypeError(f"out: expected dtype {dtype}, that of the inputs; got {target.dtype}")
    require_device("out", target.device, device, "the inputs are")
    if target.requires_grad:
        raise ValueError("out: results written in place have no gradient; leave out away or detach it")
    if contiguous and not target.is_contiguous():
        raise ValueError(f"out: expected contiguous memory, rows one after the other; got strides {target.stride()}")
    return target


def dress(result: Tensor, origin: Any, index: Any = None, columns: Any = None) -> Any:
    """A result as the make of array that `origin` is: torch, pandas, polars, or else NumPy.

    Parameters
    ----------
    result : Tensor
    origin : array
        What the user passed.
    index, columns : object
        Names of the result's rows and columns, for pandas.

    Returns
    -------
    array
        With the result's memory; a NumPy number for a result of shape (), a NumPy array for one that no frame can hold.
    """
    if isinstance(origin, Tensor):
        return result
    array = result.detach().cpu().numpy()
    if array.ndim == 0:
        return array[()]
    if array.ndim <= 2 and comes_from(origin, "pandas"):
        import pandas as pd

        if array.ndim == 1:
            return pd.Series(array, index=index, copy=False)
        return pd.DataFrame(array, index=index, columns=columns, copy=False)
    if array.ndim <= 2 and comes_from(origin, "polars"):
        import polars as pl

        return pl.Series(array) if array.ndim == 1 else pl.DataFrame(array, orient="row")
    return array
