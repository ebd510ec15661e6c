"""Coefficients of a dual for the norms of two cells, and those of them that matter."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from neural_kernels.runtime.lazy import cached_property

NODES = 11  # Chebyshev polynomials of one norm
TOLERANCE = 1e-10  # of what is left out of a series
_FINE = 2e-11  # the same by pair of polynomials of the norms, of which there are many
_SINGLE = 2e-8, 4e-9  # both for results in float32


@dataclass(frozen=True)
class CellTable:
    """Coefficients for the norms of one cell on the left and of one on the right.

    Parameters
    ----------
    stretch : float
        The number b.
    weighted : bool
        Whether w is the weight that `tables` describes; else it is 1, as for functions that jump.
    value : Tensor, shape (NODES, NODES, 1 + k)
        Coefficients of A, then of F, by polynomial of the left norm, of the right norm and of x.
    slope : Tensor, shape (NODES, NODES, l)
        Coefficients of 1 - C.
    window : float
        Of the parts of meetings, which the table has not.
    meetings : tuple
        Kinks of the left and of the right variable that meet, by number.
    """

    stretch: float
    weighted: bool
    value: Tensor
    slope: Tensor
    window: float = 0.0
    meetings: tuple[tuple[int, int], ...] = ()

    def packed(self, dtype: torch.dtype) -> PackedTable:
        """The coefficients that matter in a precision, as the engine reads them."""
        return self._single if dtype == torch.float32 else self._double

    @cached_property
    def _double(self) -> PackedTable:
        return PackedTable.of(self, TOLERANCE, _FINE)

    @cached_property
    def _single(self) -> PackedTable:
        return PackedTable.of(self, *_SINGLE)

    @cached_property
    def transposed(self) -> CellTable:
        """The same with left and right exchanged."""
        value, slope = (part.transpose(0, 1).contiguous() for part in (self.value, self.slope))
        return replace(self, value=value, slope=slope, meetings=tuple((j, i) for i, j in self.meetings))


@dataclass(frozen=True)
class PackedTable:
    """The coefficients of a table that matter, in the order of their use.

    Parameters
    ----------
    counts : tuple of int
        How many polynomials of x F and 1 - C have.
    integers : Tensor
        How many polynomials of the right norm the coefficients of F and of 1 - C need, by polynomial of x; then for
        either, by polynomial of the left norm, how many of the right norm follow, and how many coefficients each has.
    numbers : Tensor
        The number b, 1 / asinh(b) and the window; A; the coefficients of F and of 1 - C.
    """

    counts: tuple[int, int]
    integers: Tensor
    numbers: Tensor

    @classmethod
    def of(cls, table: CellTable, tolerance: float, fine: float) -> PackedTable:
        """Leave out of the series what is smaller than the tolerances, in all and by pair of polynomials."""
        widths, integers, numbers = [], [], [table.value[..., 0].flatten()]
        for part in (table.value[..., 1:], table.slope):
            widths.append(_widths(part, tolerance))
            for coefficients, lengths in zip(
                part, _lengths(part, fine).clamp(max=len(widths[-1])).tolist(), strict=True
            ):
                count = max([0, *(j + 1 for j, length in enumerate(lengths) if length)])
                integers += [count, *lengths[:count]]
                numbers += [row[:length] for row, length in zip(coefficients, lengths[:count], strict=False)]
        head = table.value.new_tensor([table.stretch, 1 / math.asinh(table.stretch), table.window])
        counts = len(widths[0]), len(widths[1])
        return cls(counts, torch.tensor([*widths[0], *widths[1], *integers]), torch.cat([head, *numbers]))


def size_of(coefficients: Tensor) -> float:
    """Return the unit of the tolerances: the largest mean over the norms, or 1."""
    return max(1.0, float(coefficients[0, 0].abs().max()))


def needed(coefficients: Tensor, tolerance: float) -> int:
    """Return how many polynomials of x matter, two at least."""
    matters = coefficients.abs().amax((0, 1)) > tolerance * size_of(coefficients)
    return max([2, *(k + 1 for k in torch.nonzero(matters).flatten().tolist())])


def _widths(coefficients: Tensor, tolerance: float) -> list[int]:
    """Return how many polynomials of the right norm matter, for each of x up to the last that matters."""
    matters = coefficients.abs().amax(0) > tolerance * size_of(coefficients)
    widths = (matters * torch.arange(1, len(matters) + 1)[:, None]).amax(0)
    return widths[: needed(coefficients, tolerance)].clamp(min=1).tolist()


def _lengths(coefficients: Tensor, tolerance: float) -> Tensor:
    """Return how many polynomials of x matter, for each pair of polynomials of the norms."""
    matters = coefficients.abs() > tolerance * size_of(coefficients)
    return (matters * torch.arange(1, matters.shape[-1] + 1)).amax(-1)
