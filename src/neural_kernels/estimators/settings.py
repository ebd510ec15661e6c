"""Hyperparameters, checked at the boundary."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from neural_kernels.algebra import Layer
from neural_kernels.runtime.types import Array

KERNELS = ("ntk", "nngp", "precomputed")
SOLVERS = ("auto", "cholesky", "eigen")


def choice(name: str, value: object, options: tuple[str, ...]) -> str:
    """Require one of the options."""
    if not isinstance(value, str) or value not in options:
        raise ValueError(f"{name}={value!r}: expected one of {', '.join(map(repr, options))}")
    return value


def alphas(value: npt.ArrayLike) -> Array:
    """Read one or several relative ridges, as a vector."""
    try:
        numbers = np.asarray(value, dtype=np.float64)
    except (TypeError, ValueError):
        raise ValueError(f"alpha={value!r}: expected a number, or a vector of numbers to select from") from None
    if numbers.ndim > 1 or numbers.size == 0 or isinstance(value, bool):
        raise ValueError(f"alpha={value!r}: expected a number, or a non-empty vector of numbers to select from")
    if not np.isfinite(numbers).all() or (numbers < 0).any():
        raise ValueError(f"alpha={value!r}: expected finite numbers, at least 0")
    return np.atleast_1d(numbers)


def solver(value: object, several: bool) -> str:
    """Resolve "auto": Cholesky for one ridge, an eigendecomposition to select from several."""
    name = choice("solver", value, SOLVERS)
    if name == "cholesky" and several:
        raise ValueError('solver="cholesky" serves one alpha; use "eigen" or "auto" to select from several')
    if name == "auto":
        return "eigen" if several else "cholesky"
    return name


def network(value: object) -> Layer:
    """Require a description of a network; None is the default one."""
    if value is None:
        from neural_kernels.layers import mlp

        return mlp(3, bias_var=0.1)
    if not isinstance(value, Layer):
        hint = "; nk.from_torch describes a torch module" if hasattr(value, "state_dict") else ""
        raise ValueError(f"network={value!r}: expected a layer such as nk.mlp(3), or None for the default one{hint}")
    return value


def check_memory(budget: Any, n: int, itemsize: int, copies: int) -> None:
    """Raise before a Gram matrix and `copies` float64 matrices of its size are made."""
    if budget is None:
        return
    if isinstance(budget, bool) or not isinstance(budget, (int, float, np.number)) or not budget > 0:
        raise ValueError(f"memory_budget={budget!r}: expected a positive number of bytes, or None")
    gram, work = itemsize * n * n, 8 * copies * n * n
    if gram + work > budget:
        raise MemoryError(
            f"the Gram matrix of {n:,} examples takes {gram:,} bytes and solving with it {work:,} more; memory_budget "
            f"is {int(budget):,}. Fit fewer examples or raise the budget."
        )
