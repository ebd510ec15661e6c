r"""Linear maps of positions: :math:`K \to \sum_a S_a K S_a^T`, which is what every layer on positions does to a kernel.

A finite layer multiplies its input's positions by independent matrices S_a, one for each of its independent weights: a
convolution by a shift for each place in its window, a pool by one matrix of means. Where every S_a has at most one
entry in a row (`mixing` is false), equal positions stay among themselves: the diagonal of K needs no more than itself.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor
from typing_extensions import override

from neural_kernels.algebra.axes import Matrix, Taps
from neural_kernels.runtime.lazy import cached_property
from neural_kernels.runtime.types import Shape

# Numbers per example for each side of a kernel, (n1, ...) and (n2, ...), to what broadcasts with numbers per pair.
PerExampleRule = Callable[[tuple[Tensor, ...]], tuple[Tensor, Tensor]]


class PositionMap(ABC):
    """A family of matrices S_a that act on positions, the same for all examples or one family for each."""

    @property
    @abstractmethod
    def mixing(self) -> bool:
        """Whether any S_a has rows with more than one entry."""

    @property
    @abstractmethod
    def after(self) -> Shape:
        """The shape of the positions that come out."""

    @abstractmethod
    def spread(self, s: Tensor, side: int) -> Iterator[Tensor]:
        """Yield S_a s for all a: numbers (n, *positions) of one side's examples to (n, *after).

        Where the maps are the same for all examples, there may be more axes before the positions'.
        """

    @abstractmethod
    def all_pairs(self, k: Tensor, per_example: PerExampleRule) -> Tensor:
        """Return ``sum_a S_a k S_a^T`` for every pair of positions.

        Parameters
        ----------
        k : Tensor, shape (..., *positions, *positions)
        per_example : callable
            Brings tensors of numbers per example, one for each side, into shapes that broadcast with ``k``.

        Returns
        -------
        Tensor, shape (..., *after, *after)
        """

    @abstractmethod
    def diagonal(self, k: Tensor) -> Tensor:
        """Return the entries at equal positions, from those alone: (..., *positions) to (..., *after).

        Raises
        ------
        TypeError
            Where positions mix: every entry then depends on all pairs of positions.
        """


@dataclass(frozen=True, eq=False)
class Separable(PositionMap):
    """The products of one family for each axis of the positions.

    Parameters
    ----------
    axes : tuple of Taps or Matrix
    collapse : bool
        Every axis ends with one position, and vanishes.
    """

    axes: tuple[Taps | Matrix, ...]
    collapse: bool = False

    @property
    def count(self) -> int:
        """How many S_a there are: the product of the axes' numbers."""
        return math.prod(axis.count for axis in self.axes)

    @property
    def taps(self) -> tuple[Taps, ...]:
        """The axes, where none of them mixes positions.

        Raises
        ------
        TypeError
            Where one does.
        """
        taps = tuple(axis for axis in self.axes if isinstance(axis, Taps))
        if len(taps) < len(self.axes):
            raise TypeError("positions that mix have more than one source")
        return taps

    @property
    def weight(self) -> float:
        """What every entry of the S_a is, where they do not mix positions."""
        return math.prod(axis.weight for axis in self.taps)

    @cached_property
    @torch.inference_mode(False)  # what is kept serves calls that want gradients, too
    def sources(self) -> Tensor:
        """Which position every S_a takes to each, shape (count, prod(after)), int64; their number stands for none.

        For maps that do not mix positions, which are counted as if they had one axis.
        """
        total, absent = torch.zeros(1, 1, dtype=torch.long), torch.zeros(1, 1, dtype=torch.bool)
        for axis in self.taps:
            table = axis.index.cpu()
            total = total[:, None, :, None] * axis.size + table.clamp(min=0)[None, :, None, :]
            absent = absent[:, None, :, None] | (table < 0)[None, :, None, :]
            total, absent = (part.flatten(0, 1).flatten(1) for part in (total, absent))
        return torch.where(absent, math.prod(axis.size for axis in self.axes), total)

    @property
    @override
    def mixing(self) -> bool:
        return any(axis.mixing for axis in self.axes)

    @property
    @override
    def after(self) -> Shape:
        return () if self.collapse else tuple(axis.after for axis in self.axes)

    @override
    def spread(self, s: Tensor, side: int) -> Iterator[Tensor]:
        parts = [s]
        for dim, axis in enumerate(self.axes, start=s.ndim - len(self.axes)):
            parts = [after for before in parts for after in axis.spread(before, dim)]
        return (part.reshape(*part.shape[: s.ndim - len(self.axes)], *self.after) for part in parts)

    @override
    def all_pairs(self, k: Tensor, per_example: PerExampleRule) -> Tensor:
        count = len(self.axes)
        lead = k.ndim - 2 * count
        for dim, axis in enumerate(self.axes, start=lead):
            k = axis.all_pairs(k, dim, dim + count)
        return k.reshape(*k.shape[:lead], *self.after, *self.after)

    @override
    def diagonal(self, k: Tensor) -> Tensor:
        lead = k.ndim - len(self.axes)
        for dim, axis in enumerate(self.axes, start=lead):
            k = axis.diagonal(k, dim)
        return k.reshape(*k.shape[:lead], *self.after)


@dataclass(frozen=True, eq=False)
class PerExampleMatrix(PositionMap):
    """One matrix for each example, on positions as one axis.

    Parameters
    ----------
    matrices : tuple of Tensor
        Shapes (n1, P', P) and (n2, P', P); once where both sides are the same examples.
    shape : tuple of int
        Of the P' positions.
    """

    matrices: tuple[Tensor, ...]
    shape: Shape

    @property
    @override
    def mixing(self) -> bool:
        return True

    @property
    @override
    def after(self) -> Shape:
        return self.shape

    @override
    def spread(self, s: Tensor, side: int) -> Iterator[Tensor]:
        matrix = self.matrices[min(side, len(self.matrices) - 1)]
        yield (matrix @ s.reshape(len(s), -1, 1)).reshape(len(s), *self.after)

    @override
    def all_pairs(self, k: Tensor, per_example: PerExampleRule) -> Tensor:
        """Multiply by either example's matrix, a batched product from the left and one from the right."""
        a, b = (matrix.to(k.dtype) for matrix in per_example(self.matrices))
        lead = a.ndim - 2
        flat = k.reshape(*k.shape[:lead], a.shape[-1], b.shape[-1])
        result = a @ flat @ b.mT
        return result.reshape(*result.shape[:lead], *self.after, *self.after)

    @override
    def diagonal(self, k: Tensor) -> Tensor:
        raise TypeError("positions that mix need all pairs of positions")
