"""What layers read, as the left sides of their gradients."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, replace
from typing import Self

import torch
from torch import Tensor


@dataclass(frozen=True)
class Left(ABC):
    """What a layer read at each position, in `values` (n, t, ...)."""

    values: Tensor

    @property
    @abstractmethod
    def width(self) -> int:
        """Multiplications in a product of what was read at two positions."""

    @property
    @abstractmethod
    def columns(self) -> int:
        """Of a gradient, as a matrix with a row for every channel that was written."""

    def __getitem__(self, rows: slice) -> Self:
        """Some of the examples."""
        return self.like(self.values[rows])

    def like(self, values: Tensor) -> Self:
        """Of the same kind, with other values."""
        return replace(self, values=values)

    @abstractmethod
    def gram(self, other: Left) -> Tensor:
        """C[n, t, m, s], inner products of all positions of all examples."""

    @abstractmethod
    def own(self) -> Tensor:
        """C[n, t, n, s] for every example, shape (n, t, t)."""

    @abstractmethod
    def products(self, right: Tensor, into: Tensor, add: bool) -> None:
        """Write, or add, sums over t of right[n, t, k, j] times what was read, shape (n, k, P)."""


@dataclass(frozen=True)
class Rows(Left):
    """Vectors a[n, t, i]; the gradient of the weight [j, i] is the sum over t of right[n, t, j] a[n, t, i]."""

    @property
    def width(self) -> int:
        """The length of a vector."""
        return self.values.shape[2]

    @property
    def columns(self) -> int:
        """The length of a vector."""
        return self.values.shape[2]

    def gram(self, other: Left) -> Tensor:
        """One matrix product."""
        assert isinstance(other, Rows)
        product = self.values.flatten(0, 1) @ other.values.flatten(0, 1).T
        return product.view(*self.values.shape[:2], *other.values.shape[:2])

    def own(self) -> Tensor:
        """One product an example."""
        return self.values @ self.values.mT

    def products(self, right: Tensor, into: Tensor, add: bool) -> None:
        """One product an example."""
        table = into.view(len(into), -1, self.values.shape[2])
        torch.baddbmm(table, right.flatten(2).mT, self.ordered(), beta=float(add), out=table)

    def ordered(self) -> Tensor:
        """The vectors, their entries in the order of the gradient's columns."""
        return self.values


@dataclass(frozen=True)
class Patches(Rows):
    """Parts of images as vectors, channels last, for a weight that has them first; a constant for a bias may follow.

    So the channels of a pixel stay together, and are copied by the row: ten times as fast as one by one.
    """

    channels: int

    def ordered(self) -> Tensor:
        """Channels first."""
        size = self.values.shape[2] // self.channels * self.channels
        patches, rest = self.values.split([size, self.values.shape[2] - size], 2)
        first = patches.unflatten(2, (-1, self.channels)).mT.flatten(2)
        return torch.cat([first, rest], 2) if rest.shape[2] else first


@dataclass(frozen=True)
class Ids(Left):
    """Rows of a table, read by number; -1 reads nothing. The gradient of the table [i, j] adds right[t] to its row."""

    size: int

    @property
    def width(self) -> int:
        """One comparison."""
        return 1

    @property
    def columns(self) -> int:
        """Rows of the table."""
        return self.size

    def gram(self, other: Left) -> Tensor:
        """Equal numbers are equal rows."""
        assert isinstance(other, Ids)
        mine, its = self.values[:, :, None, None], other.values
        return ((mine == its) & (mine >= 0)).to(torch.get_default_dtype())

    def own(self) -> Tensor:
        """Equal numbers."""
        mine = self.values[:, :, None]
        return (mine == self.values[:, None]) & (mine >= 0)

    def products(self, right: Tensor, into: Tensor, add: bool) -> None:
        """Added to the rows read."""
        n, _, k, width = right.shape
        table = right.new_zeros(n, self.size + 1, k, width)  # the last row takes what reads nothing
        places = self.values.where(self.values >= 0, self.size)
        table.scatter_add_(1, places[:, :, None, None].expand_as(right), right)
        entries = table[:, :-1].transpose(1, 2).flatten(2)
        into.copy_(into + entries if add else entries)
