"""Gradients of a group of parameters for some examples, in a form whose inner products are cheap."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

_SCRATCH = 1 << 21  # numbers in a temporary that should stay in cache


class Factor(ABC):
    """Gradients g[n, k] of probed outputs k at examples n."""

    @abstractmethod
    def __getitem__(self, rows: slice) -> Factor:
        """Some of the examples, without a copy."""

    @abstractmethod
    def add_gram(self, other: Factor, into: Tensor) -> None:
        """Add <g[n, k], g'[m, l]> to a matrix of shape (n k, m l)."""

    @abstractmethod
    def add_diag(self, into: Tensor) -> None:
        """Add <g[n, k], g[n, l]> to blocks of shape (n, k, l)."""

    @abstractmethod
    def tensors(self) -> list[Tensor]:
        """What is held."""

    @abstractmethod
    def materialise(self) -> Tensor:
        """The gradients themselves, shape (n, k, P)."""


@dataclass(frozen=True)
class Materialised(Factor):
    """The gradients themselves, shape (n, k, P)."""

    values: Tensor

    def __getitem__(self, rows: slice) -> Materialised:
        return Materialised(self.values[rows])

    def add_gram(self, other: Factor, into: Tensor) -> None:
        """One matrix product."""
        assert isinstance(other, Materialised)
        into.addmm_(self.values.flatten(0, 1), other.values.flatten(0, 1).T)

    def add_diag(self, into: Tensor) -> None:
        """One product an example."""
        into.baddbmm_(self.values, self.values.mT)

    def tensors(self) -> list[Tensor]:
        """The gradients."""
        return [self.values]

    def materialise(self) -> Tensor:
        """As they are."""
        return self.values


class Left(ABC):
    """What a layer read at each position."""

    @abstractmethod
    def __getitem__(self, rows: slice) -> Left:
        """Some of the examples."""

    @abstractmethod
    def gram(self, other: Left) -> Tensor:
        """C[n, t, m, s], inner products of all positions of all examples."""

    @abstractmethod
    def own(self) -> Tensor:
        """C[n, t, n, s] for every example, shape (n, t, t)."""

    @abstractmethod
    def times(self, right: Tensor) -> Tensor:
        """Sums over t of right[n, t, j] times what was read, shape (n, P)."""


@dataclass(frozen=True)
class Rows(Left):
    """Vectors a[n, t, i]; the gradient of the weight [j, i] is the sum over t of right[n, t, j] a[n, t, i]."""

    values: Tensor

    def __getitem__(self, rows: slice) -> Rows:
        return Rows(self.values[rows])

    def gram(self, other: Left) -> Tensor:
        """One matrix product."""
        assert isinstance(other, Rows)
        product = self.values.flatten(0, 1) @ other.values.flatten(0, 1).T
        return product.view(*self.values.shape[:2], *other.values.shape[:2])

    def own(self) -> Tensor:
        """One product an example."""
        return self.values @ self.values.mT

    def times(self, right: Tensor) -> Tensor:
        """One product an example."""
        return (right.mT @ self.values).flatten(1)


@dataclass(frozen=True)
class Ids(Left):
    """Rows of a table, read by number; -1 reads nothing. The gradient of the table [i, j] adds right[t] to its row."""

    values: Tensor
    size: int

    def __getitem__(self, rows: slice) -> Ids:
        return Ids(self.values[rows], self.size)

    def gram(self, other: Left) -> Tensor:
        """Equal numbers are equal rows."""
        assert isinstance(other, Ids)
        mine, its = self.values[:, :, None, None], other.values
        return ((mine == its) & (mine >= 0)).to(torch.get_default_dtype())

    def own(self) -> Tensor:
        """Equal numbers."""
        mine = self.values[:, :, None]
        return (mine == self.values[:, None]) & (mine >= 0)

    def times(self, right: Tensor) -> Tensor:
        """Added to the rows read."""
        n, _, width = right.shape
        table = right.new_zeros(n, self.size + 1, width)  # the last row takes what reads nothing
        places = self.values.where(self.values >= 0, self.size)
        table.scatter_add_(1, places[:, :, None].expand(-1, -1, width), right)
        return table[:, :-1].flatten(1)


@dataclass(frozen=True)
class Outer(Factor):
    """Sums over positions of outer products: g[n, k] = sum_t right[n, t, k] (x) left[n, t]."""

    left: Left
    right: Tensor  # (n, t, k, j)

    def __getitem__(self, rows: slice) -> Outer:
        return Outer(self.left[rows], self.right[rows])

    def add_gram(self, other: Factor, into: Tensor) -> None:
        """By both sides' products over positions, in the cheaper order."""
        assert isinstance(other, Outer)
        n, t, k, _ = self.right.shape
        m, s, ell, _ = other.right.shape
        matrix = into.unflatten(1, (m, ell)).unflatten(0, (n, k))
        contract = _contract_pairs if s * k <= s + k else _contract_halves
        step = max(1, _SCRATCH // max(1, t * m * s * max(1, k * ell if contract is _contract_pairs else 1)))
        for start in range(0, n, step):
            rows = slice(start, start + step)
            contract(self.left[rows].gram(other.left), self.right[rows], other.right, matrix[rows])

    def add_diag(self, into: Tensor) -> None:
        """Likewise, example by example."""
        n, t, k, j = self.right.shape
        step = max(1, _SCRATCH // (t * t + t * k * j))
        for start in range(0, n, step):
            rows = slice(start, start + step)
            right = self.right[rows]
            half = self.left[rows].own().to(right.dtype) @ right.flatten(2)
            mine, its = (x.transpose(1, 2).flatten(2) for x in (right, half.unflatten(2, (k, j))))
            into[rows].baddbmm_(mine, its.mT)

    def tensors(self) -> list[Tensor]:
        """Both sides."""
        return [self.left.values, self.right]  # pyright: ignore[reportAttributeAccessIssue]

    def materialise(self) -> Tensor:
        """The sums over positions."""
        n, _, k, _ = self.right.shape
        if isinstance(self.left, Rows):
            return self.left.times(self.right.flatten(2)).view(n, k, -1)
        return torch.stack([self.left.times(self.right[:, :, c]) for c in range(k)], 1)


def _contract_pairs(products: Tensor, right: Tensor, other: Tensor, into: Tensor) -> None:
    """Both Gram matrices over positions, then their entrywise product: cheapest for one position or one output."""
    inner = right.flatten(0, 2) @ other.flatten(0, 2).T
    inner = inner.view(*right.shape[:3], *other.shape[:3])
    products = products.to(inner.dtype)[:, :, None, :, :, None]
    if right.shape[1] == other.shape[1] == 1:
        into.addcmul_(products[:, 0, :, :, 0], inner[:, 0, :, :, 0])
    else:
        into += inner.mul_(products).sum((1, 4))


def _contract_halves(products: Tensor, right: Tensor, other: Tensor, into: Tensor) -> None:
    """The products of what was read, applied to one side's gradients, then to the other's."""
    n, t, k, j = right.shape
    products = products.to(right.dtype)
    mine = right.flatten(0, 1)
    for m, its in enumerate(other):
        half = products[:, :, m].flatten(0, 1) @ its.flatten(1)
        entries = mine @ half.view(n * t, -1, j).mT
        into[:, :, m] += entries.view(n, t, k, -1).sum(1)


def join(factors: Sequence[Factor]) -> Factor:
    """One group's gradients from all uses of its parameters: their sum."""
    if len(factors) == 1:
        return factors[0]
    lefts = [factor.left for factor in factors if isinstance(factor, Outer)]
    rights = [factor.right for factor in factors if isinstance(factor, Outer)]
    if len(lefts) == len(factors) and len({type(left) for left in lefts}) == 1:
        return Outer(_join_left(lefts), torch.cat(rights, 1))
    return Materialised(torch.stack([factor.materialise() for factor in factors]).sum(0))


def stack(parts: Sequence[Factor]) -> Factor:
    """The same group's gradients at more examples."""
    first = parts[0]
    if len(parts) == 1:
        return first
    if isinstance(first, Materialised):
        return Materialised(torch.cat([part.tensors()[0] for part in parts]))
    assert isinstance(first, Outer)
    left, right = (torch.cat(tensors) for tensors in zip(*(part.tensors() for part in parts), strict=True))
    return Outer(Ids(left, first.left.size) if isinstance(first.left, Ids) else Rows(left), right)


def _join_left(lefts: Sequence[Left]) -> Left:
    values = torch.cat([left.values for left in lefts if isinstance(left, Rows | Ids)], 1)
    return Ids(values, lefts[0].size) if isinstance(lefts[0], Ids) else Rows(values)
