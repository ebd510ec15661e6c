"""What layers read, one item at each position: vectors, patches of images, or numbers of rows of a table.

With the gradients by what the layer wrote, these are the factors of its parameters' gradients; what is asked of them
is their inner products, and their products with those gradients.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, replace
from typing import Self

import torch
from torch import Tensor
from typing_extensions import override


@dataclass(frozen=True)
class LayerInput(ABC):
    """What a layer read at each position t of each example n.

    Parameters
    ----------
    values : Tensor, shape (n, t, ...)
        The items read, of a kind that the subclass tells.
    """

    values: Tensor

    @property
    @abstractmethod
    def width(self) -> int:
        """Multiplications in the inner product of the items at two positions, for counting costs."""

    @property
    @abstractmethod
    def columns(self) -> int:
        """Columns of a parameter's gradient as a matrix, which has a row for every channel that was written."""

    def __getitem__(self, rows: slice) -> Self:
        return self.with_values(self.values[rows])

    def with_values(self, values: Tensor) -> Self:
        """Other items of the same kind."""
        return replace(self, values=values)

    @abstractmethod
    def gram(self, other: LayerInput) -> Tensor:
        """Inner products C[n, t, m, s] of the items at all positions of all examples."""

    @abstractmethod
    def gram_per_example(self) -> Tensor:
        """Inner products C[n, t, n, s] of the items of every example among themselves, shape (n, t, t)."""

    @abstractmethod
    def products(self, gradients: Tensor, into: Tensor, add: bool) -> None:
        """Write to `into`, (n, k, P), or add the sums over t of gradients[n, t, k, j] times the item at (n, t)."""


@dataclass(frozen=True)
class VectorInput(LayerInput):
    """Vectors a[n, t, i]: the gradient of the weight [j, i] is the sum over t of gradients[n, t, j] a[n, t, i]."""

    @property
    @override
    def width(self) -> int:
        return self.values.shape[2]

    @property
    @override
    def columns(self) -> int:
        return self.values.shape[2]

    @override
    def gram(self, other: LayerInput) -> Tensor:
        assert isinstance(other, VectorInput)
        product = self.values.flatten(0, 1) @ other.values.flatten(0, 1).T
        return product.view(*self.values.shape[:2], *other.values.shape[:2])

    @override
    def gram_per_example(self) -> Tensor:
        return self.values @ self.values.mT

    @override
    def products(self, gradients: Tensor, into: Tensor, add: bool) -> None:
        table = into.view(len(into), -1, self.values.shape[2])
        torch.baddbmm(table, gradients.flatten(2).mT, self.ordered(), beta=float(add), out=table)

    @abstractmethod
    def ordered(self) -> Tensor:
        """The vectors (n, t, i) with their entries in the order of the gradient's columns."""


@dataclass(frozen=True)
class RowInput(VectorInput):
    """Vectors whose entries lie in the order of the weight's columns."""

    @override
    def ordered(self) -> Tensor:
        return self.values


@dataclass(frozen=True)
class PatchInput(VectorInput):
    """Patches of images as vectors, channels last, for a weight that has its channels first.

    So the channels of a pixel stay together while patches are cut out, and are copied by the row: ten times as fast as
    one by one. A constant for the bias may follow the patch.

    Parameters
    ----------
    channels : int
        Channels of a pixel.
    """

    channels: int

    @override
    def ordered(self) -> Tensor:
        size = self.values.shape[2] // self.channels * self.channels
        patches, rest = self.values.split([size, self.values.shape[2] - size], 2)
        first = patches.unflatten(2, (-1, self.channels)).mT.flatten(2)
        return torch.cat([first, rest], 2) if rest.shape[2] else first


@dataclass(frozen=True)
class IndexInput(LayerInput):
    """Rows of a table, read by their numbers (n, t); -1 reads nothing. A row sums the gradients from where it is read.

    Parameters
    ----------
    size : int
        Rows of the table.
    """

    size: int

    @property
    @override
    def width(self) -> int:
        return 1

    @property
    @override
    def columns(self) -> int:
        return self.size

    @override
    def gram(self, other: LayerInput) -> Tensor:
        assert isinstance(other, IndexInput)
        mine, its = self.values[:, :, None, None], other.values
        return ((mine == its) & (mine >= 0)).to(torch.get_default_dtype())

    @override
    def gram_per_example(self) -> Tensor:
        mine = self.values[:, :, None]
        return (mine == self.values[:, None]) & (mine >= 0)

    @override
    def products(self, gradients: Tensor, into: Tensor, add: bool) -> None:
        n, _, k, width = gradients.shape
        table = gradients.new_zeros(n, self.size + 1, k, width)  # the last row takes what reads nothing
        places = self.values.where(self.values >= 0, self.size)
        table.scatter_add_(1, places[:, :, None, None].expand_as(gradients), gradients)
        entries = table[:, :-1].transpose(1, 2).flatten(2)
        into.copy_(into + entries if add else entries)
