"""Gradients of a group of parameters for some examples, in a form whose inner products are cheap."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass

from torch import Tensor

from neural_kernels.empirical.contractions import Sides, add_lower, contract, contract_own
from neural_kernels.empirical.lefts import Ids, Left

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
    def add_own(self, into: Tensor) -> None:
        """Add <g[n, k], g[m, l]> below the diagonal and on it; what is above may be anything."""

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

    def add_own(self, into: Tensor) -> None:
        """Products of rows with those before them."""
        add_lower(self.values.flatten(0, 1), into)

    def add_diag(self, into: Tensor) -> None:
        """One product an example."""
        into.baddbmm_(self.values, self.values.mT)

    def tensors(self) -> list[Tensor]:
        """The gradients."""
        return [self.values]

    def materialise(self) -> Tensor:
        """As they are."""
        return self.values


@dataclass(frozen=True)
class Outer(Factor):
    """Sums over positions of outer products: g[n, k] = sum_t right[n, t, k] (x) left[n, t]."""

    left: Left
    right: Tensor  # (n, t, k, j)

    def __getitem__(self, rows: slice) -> Outer:
        return Outer(self.left[rows], self.right[rows])

    def add_gram(self, other: Factor, into: Tensor) -> None:
        """By the cheapest of three orders."""
        assert isinstance(other, Outer)
        contract(Sides(self.left, self.right), Sides(other.left, other.right), into)

    def add_own(self, into: Tensor) -> None:
        """Likewise."""
        contract_own(Sides(self.left, self.right), into)

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
        return [self.left.values, self.right]

    def materialise(self) -> Tensor:
        """The sums over positions."""
        n, _, k, j = self.right.shape
        width = self.left.size if isinstance(self.left, Ids) else self.left.values.shape[2]
        values = self.right.new_empty(n, k, j * width)
        self.left.products(self.right, values, add=False)
        return values
