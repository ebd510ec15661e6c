"""Gradients by a group of parameters for some examples, in a form whose inner products are cheap.

`accumulate` makes them; `gram_blocks` adds up their inner products over groups, and `gradient_features` sketches them.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass

from torch import Tensor
from typing_extensions import override

from neural_kernels.empirical.factored.contractions import (
    OuterProducts,
    add_lower,
    contract,
    contract_symmetric,
    costs,
)
from neural_kernels.empirical.rules.cache import steps


class GroupGradients(ABC):
    """Gradients g[n, k] of the k probed outputs at examples n, by the parameters of one group."""

    @abstractmethod
    def add_gram(self, other: GroupGradients, into: Tensor) -> None:
        """Add <g[n, k], g'[m, l]> to a matrix of shape (n k, m l); `other` is of the same form."""

    @abstractmethod
    def add_symmetric(self, into: Tensor) -> None:
        """Add <g[n, k], g[m, l]> to a matrix below its diagonal and on it; what is above may be anything."""

    @abstractmethod
    def cost(self, other: GroupGradients) -> float:
        """Multiplications, about, in `add_gram`; in `add_symmetric` for itself."""

    @abstractmethod
    def add_diag(self, into: Tensor) -> None:
        """Add <g[n, k], g[n, l]> to blocks of shape (n, k, l)."""

    @abstractmethod
    def joined(self) -> GroupGradients:
        """The gradients of all k outputs one after the other, as those of a single output: their products add up."""

    @abstractmethod
    def tensors(self) -> list[Tensor]:
        """The tensors that are held; the last has the outputs' gradients."""

    @abstractmethod
    def materialise(self) -> Tensor:
        """The whole gradients, shape (n, k, P)."""


@dataclass(frozen=True)
class WholeGradients(GroupGradients):
    """The gradients themselves.

    Parameters
    ----------
    values : Tensor, shape (n, k, P)
    """

    values: Tensor

    @override
    def add_gram(self, other: GroupGradients, into: Tensor) -> None:
        assert isinstance(other, WholeGradients)
        into.addmm_(self.values.flatten(0, 1), other.values.flatten(0, 1).T)

    @override
    def add_symmetric(self, into: Tensor) -> None:
        add_lower(self.values.flatten(0, 1), into)

    @override
    def cost(self, other: GroupGradients) -> float:
        assert isinstance(other, WholeGradients)
        return self.values.numel() * other.values[..., 0].numel() / (2 if other is self else 1)

    @override
    def add_diag(self, into: Tensor) -> None:
        into.baddbmm_(self.values, self.values.mT)

    @override
    def joined(self) -> WholeGradients:
        return WholeGradients(self.values.flatten(1)[:, None])

    @override
    def tensors(self) -> list[Tensor]:
        return [self.values]

    @override
    def materialise(self) -> Tensor:
        return self.values


@dataclass(frozen=True)
class OuterGradients(GroupGradients):
    """Gradients as sums over positions of outer products, which are never formed if that is dearer.

    Parameters
    ----------
    factors : OuterProducts
        What was read, and the gradients by what was written.
    """

    factors: OuterProducts

    @override
    def add_gram(self, other: GroupGradients, into: Tensor) -> None:
        """By the cheapest of three orders, as `contractions.costs` counts them."""
        assert isinstance(other, OuterGradients)
        contract(self.factors, other.factors, into)

    @override
    def add_symmetric(self, into: Tensor) -> None:
        contract_symmetric(self.factors, into)

    @override
    def cost(self, other: GroupGradients) -> float:
        assert isinstance(other, OuterGradients)
        return min(costs(self.factors, other.factors).values())

    @override
    def add_diag(self, into: Tensor) -> None:
        n, t, k, j = self.factors.gradients.shape
        for rows in steps(n, t * t + t * k * j):
            gradients = self.factors.gradients[rows]
            half = self.factors.inputs[rows].gram_per_example().to(gradients.dtype) @ gradients.flatten(2)
            mine, its = (x.transpose(1, 2).flatten(2) for x in (gradients, half.unflatten(2, (k, j))))
            into[rows].baddbmm_(mine, its.mT)

    @override
    def joined(self) -> OuterGradients:
        """With what was written for all outputs concatenated; what was read is the same for each."""
        return OuterGradients(OuterProducts(self.factors.inputs, self.factors.gradients.flatten(2)[:, :, None]))

    @override
    def tensors(self) -> list[Tensor]:
        return [self.factors.inputs.values, self.factors.gradients]

    @override
    def materialise(self) -> Tensor:
        n, _, k, j = self.factors.gradients.shape
        values = self.factors.gradients.new_empty(n, k, j * self.factors.inputs.columns)
        self.factors.inputs.products(self.factors.gradients, values, add=False)
        return values
