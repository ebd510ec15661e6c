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

from torch import Tensor
from typing_extensions import override

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


class AxisMap(ABC):
    """A family of matrices S_a along one axis of the positions."""

    size: int
    """Positions before."""

    @property
    @abstractmethod
    def mixing(self) -> bool:
        """Whether any S_a has rows with more than one entry."""

    @property
    @abstractmethod
    def count(self) -> int:
        """How many S_a there are."""

    @property
    @abstractmethod
    def after(self) -> int:
        """How many positions come out."""

    @abstractmethod
    def spread(self, k: Tensor, dim: int) -> Iterator[Tensor]:
        """Yield S_a k for all a, S_a acting along the axis ``dim``."""

    @abstractmethod
    def all_pairs(self, k: Tensor, first: int, second: int) -> Tensor:
        """Return ``sum_a S_a k S_a^T``, where ``first`` and ``second`` are the axes of one position and the other."""

    @abstractmethod
    def diagonal(self, k: Tensor, dim: int) -> Tensor:
        """Return the same at equal positions from equal positions alone; raise `TypeError` where positions mix."""


@dataclass(frozen=True, eq=False)
class Taps(AxisMap):
    """Along one axis: S_a takes the position ``index[a, p]`` to p, with one weight; nothing where the index is -1.

    Parameters
    ----------
    index : int64 Tensor, shape (taps, after)
    weight : float
    size : int
        Positions before.
    """

    index: Tensor
    weight: float
    size: int

    @property
    @override
    def mixing(self) -> bool:
        return False

    @property
    @override
    def count(self) -> int:
        return len(self.index)

    @property
    @override
    def after(self) -> int:
        return self.index.shape[1]

    @override
    def spread(self, k: Tensor, dim: int) -> Iterator[Tensor]:
        return (self.weight * _take(k, dim, index) for index in self.index)

    @override
    def all_pairs(self, k: Tensor, first: int, second: int) -> Tensor:
        total = sum(_take(_take(k, first, index), second, index) for index in self.index)
        return self.weight**2 * total  # pyright: ignore[reportReturnType]

    @override
    def diagonal(self, k: Tensor, dim: int) -> Tensor:
        return self.weight**2 * sum(_take(k, dim, index) for index in self.index)  # pyright: ignore[reportReturnType]


@dataclass(frozen=True, eq=False)
class Matrix(AxisMap):
    """Along one axis: a single matrix, shape (after, before)."""

    matrix: Tensor

    @property
    def size(self) -> int:  # pyright: ignore[reportIncompatibleVariableOverride]
        """Positions before."""
        return self.matrix.shape[1]

    @property
    @override
    def mixing(self) -> bool:
        return True

    @property
    @override
    def count(self) -> int:
        return 1

    @property
    @override
    def after(self) -> int:
        return self.matrix.shape[0]

    @override
    def spread(self, k: Tensor, dim: int) -> Iterator[Tensor]:
        yield (k.movedim(dim, -1) @ self.matrix.to(k).T).movedim(-1, dim)

    @override
    def all_pairs(self, k: Tensor, first: int, second: int) -> Tensor:
        for dim in (first, second):
            (k,) = self.spread(k, dim)
        return k

    @override
    def diagonal(self, k: Tensor, dim: int) -> Tensor:
        raise TypeError("positions that mix need all pairs of positions")


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


def _take(k: Tensor, dim: int, index: Tensor) -> Tensor:
    """Select entries along an axis, with zeros for the index -1."""
    index = index.to(k.device)
    if bool((index >= 0).all()):
        return k.index_select(dim, index)
    present = (index >= 0).to(k.dtype).reshape(-1, *[1] * (k.ndim - 1 - dim % k.ndim))
    return k.index_select(dim, index.clamp(min=0)) * present
