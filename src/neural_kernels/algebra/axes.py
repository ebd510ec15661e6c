"""Linear maps along one axis of the positions: one source for each position, or a matrix."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass

from torch import Tensor
from typing_extensions import override


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


def _take(k: Tensor, dim: int, index: Tensor) -> Tensor:
    """Select entries along an axis, with zeros for the index -1."""
    index = index.to(k.device)
    if bool((index >= 0).all()):
        return k.index_select(dim, index)
    present = (index >= 0).to(k.dtype).reshape(-1, *[1] * (k.ndim - 1 - dim % k.ndim))
    return k.index_select(dim, index.clamp(min=0)) * present
