"""Which pairs of units a kernel is evaluated on, and how numbers per unit are broadcast against numbers per pair.

A unit is an example at a position. `BlockPairs` pair the examples of some rows of the matrix with those of some
columns, `BatchPairs` the vectors of many small batches, `SelfPairs` every example with itself. Each comes with all
pairs of positions (``all_pairs``), axes (..., *positions, *positions), or with equal positions alone, (...,
*positions); for vectors, which have no positions, the two are one.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, field

from jaxtyping import Float
from torch import Tensor
from typing_extensions import override

# Numbers per unit for each side of a kernel: (n1, *positions) and (n2, *positions), or one where they are the same.
PerUnit = tuple[Float[Tensor, "_ ..."], ...]


@dataclass(eq=False)
class Pairs(ABC):
    """Some pairs of examples, and what was evaluated on them so far.

    An expression is a graph in which most kernels have several readers (value and slope of one activation, the NNGP
    kernel and the NTK), so every result is kept as long as the pairs are.
    """

    cache: dict[tuple[int, str, bool], Tensor] = field(default_factory=dict, kw_only=True)

    def cached(self, owner: object, what: str, all_pairs: bool, compute: Callable[[Pairs, bool], Tensor]) -> Tensor:
        """The result of ``compute(self, all_pairs)``, computed once for each `owner` and `what`."""
        key = id(owner), what, all_pairs
        if key not in self.cache:
            self.cache[key] = compute(self, all_pairs)
        return self.cache[key]

    @abstractmethod
    def per_example(self, sides: PerUnit) -> tuple[Tensor, Tensor]:
        """Numbers (n, ...) of the left and of the right examples, whose first axes broadcast to those of the pairs."""

    @property
    @abstractmethod
    def distinct(self) -> bool:
        """Whether the two units of a pair are never taken for one."""

    @abstractmethod
    def zero_self(self, delta: Tensor, all_pairs: bool) -> Tensor:
        """One minus the correlations, with an exact 0 where a unit meets itself."""

    def broadcast(self, sides: PerUnit, all_pairs: bool) -> tuple[Tensor, Tensor]:
        """Numbers of the left and of the right units, to broadcast against numbers per pair of units."""
        count = sides[0].ndim - 1 if all_pairs else 0
        left, right = self.per_example(sides)
        if not count:
            return left, right
        lead = left.ndim - count
        return left[(...,) + (None,) * count], right.reshape(*right.shape[:lead], *[1] * count, *right.shape[lead:])


class DistinctPairs(Pairs):
    """Private base: examples are never taken for the same, one that stands at two places of the data is two."""

    @property
    @override
    def distinct(self) -> bool:
        return True

    @override
    def zero_self(self, delta: Tensor, all_pairs: bool) -> Tensor:
        return delta


@dataclass(eq=False)
class BlockPairs(DistinctPairs):
    """The examples of some rows with those of some columns of the matrix; two axes of examples."""

    rows: slice
    columns: slice

    @override
    def per_example(self, sides: PerUnit) -> tuple[Tensor, Tensor]:
        return sides[0][self.rows, None], sides[-1][None, self.columns]


@dataclass(eq=False)
class BatchPairs(DistinctPairs):
    """The vectors of many batches on either side, stacked, each batch with its counterpart; axes (batches, n1, n2)."""

    batches: int

    @override
    def per_example(self, sides: PerUnit) -> tuple[Tensor, Tensor]:
        return sides[0].reshape(self.batches, -1, 1), sides[-1].reshape(self.batches, 1, -1)


@dataclass(eq=False)
class SelfPairs(Pairs):
    """Some examples of one side, each with itself; one axis of examples."""

    side: int
    chosen: slice

    @override
    def per_example(self, sides: PerUnit) -> tuple[Tensor, Tensor]:
        numbers = sides[min(self.side, len(sides) - 1)][self.chosen]
        return numbers, numbers

    @property
    @override
    def distinct(self) -> bool:
        return False

    @override
    def zero_self(self, delta: Tensor, all_pairs: bool) -> Tensor:
        if not all_pairs:
            return delta.new_zeros(()).expand(delta.shape)
        count = (delta.ndim - 1) // 2
        size = delta.shape[1 : 1 + count].numel()
        flat = delta.reshape(len(delta), size, size)
        return flat.diagonal_scatter(flat.new_zeros(len(delta), size), dim1=1, dim2=2).reshape(delta.shape)
