"""Checks of what was read: finite numbers, and the shape and the device that something was built for."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from neural_kernels.runtime.boundary.reading import CSRRows, share
from neural_kernels.runtime.types import Shape

_IMPUTE = "Remove those rows or impute the values (sklearn.impute)."


def require_finite(
    values: Tensor | CSRRows, name: str, advice: str = _IMPUTE, columns: Sequence[str] | None = None
) -> None:
    """Raise where a number is NaN or infinite: how many are, and where the first is, by the name of its column, too.

    One pass without temporaries where all are finite: then their sum is, but for an overflow, which is looked into.
    """
    numbers = share(values.data) if isinstance(values, CSRRows) else values.detach()
    if not numbers.sum().isfinite():
        refuse_infinite(values, name, advice, columns)


def refuse_infinite(
    values: Tensor | CSRRows, name: str, advice: str = _IMPUTE, columns: Sequence[str] | None = None
) -> None:
    """Raise, as `require_finite` does, where something else has told that a number may be NaN or infinite."""
    numbers = share(values.data) if isinstance(values, CSRRows) else values.detach()
    bad = torch.nonzero(~numbers.isfinite())
    if len(bad):
        first = bad[0].tolist()
        if isinstance(values, CSRRows):
            row = int(np.searchsorted(values.indptr, first[0], side="right")) - 1
            first = [row, int(values.indices[first[0]])]
        raise ValueError(
            f"{name}: {len(bad)} of {numbers.numel()} entries are NaN or infinite, the first at "
            f"{_place(first)}{_called(first, columns)}. {advice}"
        )


def _place(index: list[int]) -> str:
    match index:
        case [row]:
            return f"row {row}"
        case [row, column]:
            return f"row {row}, column {column}"
        case [row, *rest]:
            return f"row {row}, place {tuple(rest)}"
    return "its only entry"


def _called(index: list[int], columns: Sequence[str] | None) -> str:
    return f" ({columns[index[1]]!r})" if columns is not None and len(index) == 2 else ""


def require_examples(name: str, got: Shape, expected: Shape, owner: str) -> None:
    """Raise unless examples have the shape that something was built for; of a vector that is its width alone."""
    if got != expected:
        raise ValueError(
            f"{name}: expected examples of shape {expected}, for which {owner} was built; got {got}. Build another."
        )


def require_device(name: str, got: torch.device, expected: torch.device, owner: str) -> None:
    """Raise unless an array is on the device that something else is on, which `owner` names with its verb."""
    if got != expected:
        raise ValueError(f"{name} is on {got}, {owner} on {expected}; move one of them (sparse rows need the CPU)")


def require_range(result: Tensor, what: str) -> Tensor:
    """Return a result of finite numbers; raise where it left the range of its precision."""
    numbers = result.detach()
    if not numbers.sum().isfinite() and not numbers.isfinite().all():
        precision = str(numbers.dtype).removeprefix("torch.")
        raise OverflowError(f"{what} are not finite in {precision}: x is too large. Scale it down, x / abs(x).max()")
    return result


def require_whole_rows(X: Any, name: str = "X") -> None:
    """Require that a Dask array has all columns of a row in one chunk."""
    split = [axis for axis, blocks in enumerate(X.numblocks) if axis and blocks > 1]
    if split:
        chunks = ", ".join(f"{axis}: -1" for axis in split)
        raise ValueError(
            f"{name} has its columns in chunks, {tuple(X.numblocks)} of them by axis; a row must lie in one: "
            f"{name}.rechunk({{{chunks}}})"
        )
