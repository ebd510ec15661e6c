"""Kernel matrices of any make in, checked float64 tensors inside, the same make out."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from neural_kernels.runtime import boundary
from neural_kernels.runtime.types import Array

_ADVICE = "Check the inputs and the network, or compute the kernel in float64."
ASYMMETRY = 1e-4  # of the largest entry: what kernels computed in float32, tile by tile, keep far below


def read(x: Any, name: str) -> Tensor:
    """Finite numbers as a float64 tensor, on the device they are on; integers and booleans as int64."""
    values = boundary.read_dense(x, name, _widest)
    if values.is_floating_point():
        boundary.require_finite(values, name, _ADVICE)
    return values


def _widest(floating: bool, size: int) -> torch.dtype:
    """float64 for all but integers and booleans, which may be labels of classes."""
    return torch.float64 if floating else torch.int64


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
    """Return a number that will be divided by; raise where it is 0 or negative."""
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
    """Values as the solvers take them: in NumPy, float64, without gradients."""
    return values.detach().cpu().double().numpy()


def dress(result: Tensor, origin: Any, index: Any = None, columns: Any = None) -> Any:
    """A result as the make of array that `origin` is, in its precision; one number as a float."""
    result = result.to(torch.float32 if _is_single(origin) else torch.float64)
    if isinstance(origin, Tensor):
        return result.to(origin.device)
    return boundary.dress(result, origin, index, columns) if result.ndim else float(result.detach())


def _is_single(origin: Any) -> bool:
    """Whether an array, or all columns of a frame, are of float32."""
    dtypes = [origin.dtype] if hasattr(origin, "dtype") else getattr(origin, "dtypes", [])
    return {str(dtype).rpartition(".")[2].lower() for dtype in dtypes} == {"float32"}
