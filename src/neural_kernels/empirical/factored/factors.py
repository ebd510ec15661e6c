"""Gradients of a group of parameters for some examples, in a form whose inner products are cheap."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass

from torch import Tensor

from neural_kernels.empirical.factored.contractions import Sides, add_lower, contract, contract_own, costs
from neural_kernels.empirical.rules.cache import steps


class Factor(ABC):
    """Gradients g[n, k] of probed outputs k at examples n."""

    @abstractmethod
    def add_gram(self, other: Factor, into: Tensor) -> None:
        """Add <g[n, k], g'[m, l]> to a matrix of shape (n k, m l)."""

    @abstractmethod
    def add_own(self, into: Tensor) -> None:
        """Add <g[n, k], g[m, l]> below the diagonal and on it; what is above may be anything."""

    @abstractmethod
    def cost(self, other: Factor) -> float:
        """Multiplications, about, in the first of these; in the second for itself."""

    @abstractmethod
    def add_diag(self, into: Tensor) -> None:
        """Add <g[n, k], g[n, l]> to blocks of shape (n, k, l)."""

    @abstractmethod
    def joined(self) -> Factor:
        """The gradients of all k outputs one after the other, as of one output: products add up theirs."""

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

    def add_gram(self, other: Factor, into: Tensor) -> None:
        """One matrix product."""
        assert isinstance(other, Materialised)
        into.addmm_(self.values.flatten(0, 1), other.values.flatten(0, 1).T)

    def add_own(self, into: Tensor) -> None:
        """Products of rows with those before them."""
        add_lower(self.values.flatten(0, 1), into)

    def cost(self, other: Factor) -> float:
        """Of the matrix product."""
        assert isinstance(other, Materialised)
        return self.values.numel() * other.values[..., 0].numel() / (2 if other is self else 1)

    def add_diag(self, into: Tensor) -> None:
        """One product an example."""
        into.baddbmm_(self.values, self.values.mT)

    def joined(self) -> Materialised:
        """The rows of all outputs, concatenated."""
        return Materialised(self.values.flatten(1)[:, None])

    def tensors(self) -> list[Tensor]:
        """The gradients."""
        return [self.values]

    def materialise(self) -> Tensor:
        """As they are."""
        return self.values


@dataclass(frozen=True)
class Outer(Sides, Factor):
    """Sums over positions of outer products: g[n, k] = sum_t right[n, t, k] (x) left[n, t]."""

    def add_gram(self, other: Factor, into: Tensor) -> None:
        """By the cheapest of three orders."""
        assert isinstance(other, Outer)
        contract(self, other, into)

    def add_own(self, into: Tensor) -> None:
        """Likewise."""
        contract_own(self, into)

    def cost(self, other: Factor) -> float:
        """Of the cheapest order."""
        assert isinstance(other, Outer)
        return min(costs(self, other).values())

    def add_diag(self, into: Tensor) -> None:
        """Likewise, example by example."""
        n, t, k, j = self.right.shape
        for rows in steps(n, t * t + t * k * j):
            right = self.right[rows]
            half = self.left[rows].own().to(right.dtype) @ right.flatten(2)
            mine, its = (x.transpose(1, 2).flatten(2) for x in (right, half.unflatten(2, (k, j))))
            into[rows].baddbmm_(mine, its.mT)

    def joined(self) -> Outer:
        """What was written for all outputs, concatenated; what was read is the same for each."""
        return Outer(self.left, self.right.flatten(2)[:, :, None])

    def tensors(self) -> list[Tensor]:
        """Both sides."""
        return [self.left.values, self.right]

    def materialise(self) -> Tensor:
        """The sums over positions."""
        n, _, k, j = self.right.shape
        values = self.right.new_empty(n, k, j * self.left.columns)
        self.left.products(self.right, values, add=False)
        return values
