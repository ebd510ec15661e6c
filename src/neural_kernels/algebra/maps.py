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

from neural_kernels.runtime.types import Shape

# Numbers per example for each side of a kernel to what broadcasts with numbers per pair of examples.
Lay = Callable[[tuple[Tensor, ...]], tuple[Tensor, Tensor]]


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
    def pairs(self, k: Tensor, lay: Lay) -> Tensor:
        """Return ``sum_a S_a k S_a^T``, all pairs: (..., *positions, *positions) to (..., *after, *after)."""

    @abstractmethod
    def equal(self, k: Tensor) -> Tensor:
        """Return the same for equal positions alone, (..., *positions) to (..., *after), where nothing mixes."""


@dataclass(frozen=True, eq=False)
class Taps:
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

    mixing = False

    @property
    def count(self) -> int:
        """Of the S_a."""
        return len(self.index)

    @property
    def after(self) -> int:
        """Positions after."""
        return self.index.shape[1]

    def one(self, k: Tensor, dim: int) -> Iterator[Tensor]:
        """All S_a along one axis."""
        return (self.weight * _take(k, dim, index) for index in self.index)

    def both(self, k: Tensor, first: int, second: int) -> Tensor:
        """Sum of S_a k S_a^T along a pair of axes."""
        total = sum(_take(_take(k, first, index), second, index) for index in self.index)
        return self.weight**2 * total  # pyright: ignore[reportReturnType]

    def same(self, k: Tensor, dim: int) -> Tensor:
        """Its diagonal, from the diagonal."""
        return self.weight**2 * sum(_take(k, dim, index) for index in self.index)  # pyright: ignore[reportReturnType]


@dataclass(frozen=True, eq=False)
class Matrix:
    """Along one axis: a single matrix, shape (after, before)."""

    matrix: Tensor

    mixing = True
    count = 1

    @property
    def size(self) -> int:
        """Positions before."""
        return self.matrix.shape[1]

    @property
    def after(self) -> int:
        """Positions after."""
        return self.matrix.shape[0]

    def one(self, k: Tensor, dim: int) -> Iterator[Tensor]:
        """The only one."""
        yield (k.movedim(dim, -1) @ self.matrix.to(k).T).movedim(-1, dim)

    def both(self, k: Tensor, first: int, second: int) -> Tensor:
        """S k S^T along a pair of axes."""
        for dim in (first, second):
            (k,) = self.one(k, dim)
        return k

    def same(self, k: Tensor, dim: int) -> Tensor:
        """Not determined by the diagonal."""
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
        """Of the S_a."""
        return math.prod(axis.count for axis in self.axes)

    @property
    def mixing(self) -> bool:
        """Whether any axis' family does."""
        return any(axis.mixing for axis in self.axes)

    @property
    def after(self) -> Shape:
        """Sizes of the axes, none after a collapse."""
        return () if self.collapse else tuple(axis.after for axis in self.axes)

    def spread(self, s: Tensor, side: int) -> Iterator[Tensor]:
        """All products of one matrix for each axis."""
        parts = [s]
        for dim, axis in enumerate(self.axes, start=s.ndim - len(self.axes)):
            parts = [after for before in parts for after in axis.one(before, dim)]
        return (part.reshape(*part.shape[: s.ndim - len(self.axes)], *self.after) for part in parts)

    def pairs(self, k: Tensor, lay: Lay) -> Tensor:
        """Axis by axis."""
        count = len(self.axes)
        lead = k.ndim - 2 * count
        for dim, axis in enumerate(self.axes, start=lead):
            k = axis.both(k, dim, dim + count)
        return k.reshape(*k.shape[:lead], *self.after, *self.after)

    def equal(self, k: Tensor) -> Tensor:
        """Axis by axis."""
        lead = k.ndim - len(self.axes)
        for dim, axis in enumerate(self.axes, start=lead):
            k = axis.same(k, dim)
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
    def mixing(self) -> bool:
        """True."""
        return True

    @property
    def after(self) -> Shape:
        """As given."""
        return self.shape

    def spread(self, s: Tensor, side: int) -> Iterator[Tensor]:
        """The only one."""
        matrix = self.matrices[min(side, len(self.matrices) - 1)]
        yield (matrix @ s.reshape(len(s), -1, 1)).reshape(len(s), *self.after)

    def pairs(self, k: Tensor, lay: Lay) -> Tensor:
        """A batched product from either side."""
        a, b = (matrix.to(k.dtype) for matrix in lay(self.matrices))
        lead = a.ndim - 2
        flat = k.reshape(*k.shape[:lead], a.shape[-1], b.shape[-1])
        result = a @ flat @ b.mT
        return result.reshape(*result.shape[:lead], *self.after, *self.after)

    def equal(self, k: Tensor) -> Tensor:
        """Not determined by the diagonal."""
        raise TypeError("positions that mix need all pairs of positions")


def _take(k: Tensor, dim: int, index: Tensor) -> Tensor:
    """Entries along an axis; zeros for the index -1."""
    index = index.to(k.device)
    if bool((index >= 0).all()):
        return k.index_select(dim, index)
    present = (index >= 0).to(k.dtype).reshape(-1, *[1] * (k.ndim - 1 - dim % k.ndim))
    return k.index_select(dim, index.clamp(min=0)) * present
