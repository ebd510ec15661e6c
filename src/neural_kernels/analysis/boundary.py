"""The boundary: matrices of any make in, checked float64 tensors inside, the same make out."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from neural_kernels.runtime.types import Array

ASYMMETRY = 1e-4  # of the largest entry: what kernels computed in float32, tile by tile, keep far below


def read(x: Any, name: str) -> Tensor:
    """Finite numbers as a float64 tensor, on the device they are on; integers and booleans as int64."""
    values = x if isinstance(x, Tensor) else _from_array(x, name)
    if values.layout != torch.strided or values.is_complex():
        raise TypeError(f"{name}: expected a dense tensor of real numbers; got {values.layout}, {values.dtype}")
    if not values.is_floating_point():
        return values.long()
    if bad := int((~torch.isfinite(values)).sum()):
        raise ValueError(
            f"{name}: {bad} of {values.numel()} entries are NaN or infinite. Check the inputs and the network, or "
            "compute the kernel in float64."
        )
    return values.double()


def _from_array(x: Any, name: str) -> Tensor:
    try:
        array = np.asarray(x)
    except ValueError as error:
        raise ValueError(f"{name}: expected one array of numbers; {error}") from error
    if array.dtype.kind not in "biuf":
        raise TypeError(f"{name}: expected an array of real numbers; got {type(x).__name__} of dtype {array.dtype}")
    # A copy: torch takes neither foreign byte orders nor negative strides, and warns of memory that is read-only.
    return torch.from_numpy(np.array(array, dtype=np.float64 if array.dtype.kind == "f" else np.int64))


def read_kernel(kernel: Any, name: str) -> Tensor:
    """A symmetric kernel matrix, (n, n) or (n, n, o, o)."""
    gram = read(kernel, name).double()
    n, *others = gram.shape or (0,)
    if gram.ndim not in (2, 4) or others[0] != n or gram.shape[2:3] != gram.shape[3:] or gram.numel() == 0:
        raise ValueError(
            f"{name} has shape {tuple(gram.shape)}: expected a kernel matrix (n, n), one row and one column per "
            "example, or a full one (n, n, o, o) for o outputs"
        )
    given = gram.detach()
    transposed = given.transpose(0, 1) if gram.ndim == 2 else given.permute(1, 0, 3, 2)
    asymmetry, largest = float((given - transposed).abs().max()), float(given.abs().max())
    if asymmetry > ASYMMETRY * largest:
        raise ValueError(
            f"{name}: expected a symmetric matrix; entries and their mirror images differ by up to {asymmetry:.3g}, "
            f"the largest entry is {largest:.3g}. Is it the kernel of a set of examples with itself?"
        )
    return gram


def read_kernels(first: Any, second: Any, names: tuple[str, str]) -> tuple[Tensor, Tensor]:
    """Two kernel matrices of the same examples, both on the device of the first."""
    left, right = read_kernel(first, names[0]), read_kernel(second, names[1])
    require_comparable(left, right, names)
    return left, right.to(left.device)


def require_comparable(left: Tensor, right: Tensor, names: tuple[str, str]) -> None:
    """Require the same examples, and the same outputs if both kernels are full."""
    if len(left) != len(right) or (left.ndim == right.ndim and left.shape != right.shape):
        raise ValueError(
            f"{names[0]} has shape {tuple(left.shape)}, {names[1]} {tuple(right.shape)}: expected kernel matrices of "
            "the same examples and, if both are full, of the same outputs"
        )


def require_positive(number: Tensor, what: str) -> Tensor:
    """Refuse to divide by what is 0 or negative."""
    if not number > 0:
        raise ValueError(f"{what} is {number.item():.3g}, expected a positive number")
    return number


def as_matrix(gram: Tensor) -> Tensor:
    """A full kernel with a row and a column per pair (example, output); an (n, n) one as it is."""
    if gram.ndim == 2:
        return gram
    n, _, o, _ = gram.shape
    return gram.transpose(1, 2).reshape(n * o, n * o)


def as_array(values: Tensor) -> Array:
    """In NumPy's memory, float64, for the solvers."""
    return values.detach().cpu().double().numpy()


def dress(result: Tensor, origin: Any) -> Any:
    """A result as the kind of array that `origin` is: torch, or NumPy (one number as a float); float32 if it is."""
    if isinstance(origin, Tensor):
        return result.to(origin.device, torch.float32 if origin.dtype == torch.float32 else torch.float64)
    array = result.detach().cpu().numpy()
    if array.ndim == 0:
        return float(array)
    return array.astype(np.float32) if getattr(origin, "dtype", None) == np.float32 else array
