"""Which pairs of units a kernel is evaluated on, and how numbers per unit are laid out beside numbers per pair.

A unit is an example at a position. A `Block` pairs the examples of some rows with those of some columns, `Own` every
example with itself. Either comes with `all pairs` of positions, axes (..., *positions, *positions), or with equal
positions alone, (..., *positions); for vectors, which have no positions, the two are one.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, field

from jaxtyping import Float
from torch import Tensor

# Numbers per unit for each side of a kernel: (n1, *positions) and (n2, *positions), or one where they are the same.
Sides = tuple[Float[Tensor, "_ ..."], ...]


@dataclass(eq=False)
class Pairs(ABC):
    """Some pairs of examples, and what was evaluated on them so far."""

    known: dict[tuple[int, str, bool], Tensor] = field(default_factory=dict, kw_only=True)

    def once(self, owner: object, what: str, every: bool, compute: Callable[[Pairs, bool], Tensor]) -> Tensor:
        """The result of `compute(self, every)`, computed once."""
        key = id(owner), what, every
        if key not in self.known:
            self.known[key] = compute(self, every)
        return self.known[key]

    @abstractmethod
    def examples(self, sides: Sides) -> tuple[Tensor, Tensor]:
        """Numbers (n, ...) of the left and right examples, laid out as the leading axes of pairs."""

    @abstractmethod
    def exact(self, delta: Tensor, every: bool) -> Tensor:
        """One minus the correlations, 0 where a unit meets itself."""

    def lay(self, sides: Sides, every: bool) -> tuple[Tensor, Tensor]:
        """Numbers per unit, to broadcast with numbers per pair."""
        count = sides[0].ndim - 1 if every else 0
        left, right = self.examples(sides)
        if not count:
            return left, right
        lead = left.ndim - count
        return left[(...,) + (None,) * count], right.reshape(*right.shape[:lead], *[1] * count, *right.shape[lead:])


@dataclass(eq=False)
class Block(Pairs):
    """The examples of some rows with those of some columns of the matrix."""

    rows: slice
    columns: slice

    def examples(self, sides: Sides) -> tuple[Tensor, Tensor]:
        """(rows, 1, ...) and (1, columns, ...)."""
        return sides[0][self.rows, None], sides[-1][None, self.columns]

    def exact(self, delta: Tensor, every: bool) -> Tensor:
        """Unchanged: an example at two places of the data is two."""
        return delta


@dataclass(eq=False)
class Own(Pairs):
    """Some examples of one side, each with itself."""

    side: int
    chosen: slice

    def examples(self, sides: Sides) -> tuple[Tensor, Tensor]:
        """(examples, ...) twice."""
        numbers = sides[min(self.side, len(sides) - 1)][self.chosen]
        return numbers, numbers

    def exact(self, delta: Tensor, every: bool) -> Tensor:
        """Zero for a position with itself."""
        if not every:
            return delta.new_zeros(()).expand(delta.shape)
        count = (delta.ndim - 1) // 2
        size = delta.shape[1 : 1 + count].numel()
        flat = delta.reshape(len(delta), size, size)
        return flat.diagonal_scatter(flat.new_zeros(len(delta), size), dim1=1, dim2=2).reshape(delta.shape)
