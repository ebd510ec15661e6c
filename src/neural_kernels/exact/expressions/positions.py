r"""Maps of positions as expressions.

With :math:`u_a = S_a s` and :math:`U^2 = \sum_a u_a^2`, mixing takes :math:`\alpha = U - s'` from the standard
deviation. For two units, with v, V and beta those of the other, the excess (std std delta) after the map is

.. math:: \sum_a S_a (s t^T \circ \delta) S_a^T - (\alpha V + \beta U - \alpha \beta) + U V\, |u / U - v / V|^2 / 2,

sums of what is small where the windows nearly agree. Shifts have alpha = 0; a single matrix whose u are all of one
sign has no last term.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from neural_kernels.algebra import PositionMap
from neural_kernels.exact.expressions.nodes import Expression
from neural_kernels.exact.expressions.pairs import Pairs, Sides
from neural_kernels.runtime.numerics import safe_divide, safe_sqrt
from neural_kernels.runtime.types import Shape


@dataclass(frozen=True, eq=False)
class Mapped(Expression):
    """Sum of S_a K S_a^T."""

    argument: Expression
    by: PositionMap

    @property
    def operands(self) -> tuple[Expression, ...]:
        """What is mapped."""
        return (self.argument,)

    @property
    def positions(self) -> Shape:
        """Those after the map."""
        return self.by.after

    @property
    def mixes(self) -> bool:
        """Whether this map does, or one before."""
        return self.by.mixing or self.argument.mixes

    @cached_property
    def stds(self) -> Sides:
        """From the windows' own entries if positions mix."""
        if not self.by.mixing:
            return self.norms
        variances = self.root.variances
        return tuple(safe_sqrt(variances(self, side)) for side in range(len(self.norms)))

    @cached_property
    def norms(self) -> Sides:
        """The norms U."""
        if self.by.mixing:
            return tuple(_norm(list(self.by.spread(s, side))) for side, s in enumerate(self.argument.stds))
        return tuple(self._root(s) for s in self.argument.stds)

    def _root(self, stds: Tensor) -> Tensor:
        """Norms where the map adds up variances; in units of the example's largest deviation, so without overflow."""
        high = stds.detach().flatten(1).amax(1).reshape(-1, *[1] * (stds.ndim - 1))
        sums = self.by.diagonal(safe_divide(stds, high).square())
        return high.reshape(-1, *[1] * (sums.ndim - 1)) * safe_sqrt(sums)

    @cached_property
    def losses(self) -> Sides:
        """Alpha."""
        return tuple(norm - std for norm, std in zip(self.norms, self.stds, strict=True))

    @cached_property
    def shares(self) -> list[Sides]:
        """All u / U."""
        taps = [
            [safe_divide(part, norm) for part in self.by.spread(s, side)]
            for side, (s, norm) in enumerate(zip(self.argument.stds, self.norms, strict=True))
        ]
        return list(zip(*taps, strict=True))

    @cached_property
    def turned(self) -> bool:
        """Whether u / U may differ between units: for several matrices, or one that gives both signs."""
        return len(self.shares) > 1 or any(bool((share < 0).any()) for share in self.shares[0])

    def mapped(self, k: Tensor, pairs: Pairs, every: bool) -> Tensor:
        """The map of numbers for every pair of positions, or for equal ones where those suffice."""
        return self.by.all_pairs(k, pairs.examples) if self.wants(every) else self.by.diagonal(k)

    def wants(self, every: bool) -> bool:
        """Whether the result for every (or each equal) pair of positions takes every pair before the map."""
        return self.by.mixing or (every and self.positions != ())

    def compute(self, pairs: Pairs, every: bool) -> Tensor:
        """As above."""
        excess = self._select(self.mapped(self.argument.excess(pairs, self.wants(every)), pairs, every), every)

        def lay(sides: Sides) -> tuple[Tensor, Tensor]:
            left, right = pairs.lay(sides, every)
            return left.to(excess.dtype), right.to(excess.dtype)

        (norm1, norm2), (std1, std2) = lay(self.norms), lay(self.stds)
        if self.by.mixing:
            loss1, loss2 = lay(self.losses)
            excess = excess - (loss1 * norm2 + loss2 * norm1 - loss1 * loss2)
        if self.turned:
            gap = sum((first - second).square() for first, second in map(lay, self.shares))
            excess = excess + norm1 * norm2 * gap / 2
        return pairs.exact(safe_divide(excess, std1 * std2).clamp(0, 2), every)

    def sum(self, pairs: Pairs, every: bool) -> Tensor:
        """The map of the entries."""
        return self._select(self.mapped(self.argument.entries(pairs, self.wants(every)), pairs, every), every)

    def _select(self, k: Tensor, every: bool) -> Tensor:
        """Equal positions of what was mapped for every pair, where no more is asked for."""
        return equal(k, len(self.positions)) if self.by.mixing and not every else k


@dataclass(frozen=True, eq=False)
class Decorrelated(Expression):
    """K where both positions are the same, 0 elsewhere."""

    argument: Expression

    @property
    def operands(self) -> tuple[Expression, ...]:
        """What is decorrelated."""
        return (self.argument,)

    @cached_property
    def stds(self) -> Sides:
        """Unchanged."""
        return self.argument.stds

    def compute(self, pairs: Pairs, every: bool) -> Tensor:
        """One for different positions."""
        delta = self.argument.delta(pairs, False)
        return 1 + embed(delta - 1, len(self.positions)) if every else delta

    def sum(self, pairs: Pairs, every: bool) -> Tensor:
        """Zero for different positions."""
        entries = self.argument.entries(pairs, False)
        return embed(entries, len(self.positions)) if every else entries


def equal(k: Tensor, count: int) -> Tensor:
    """(..., *positions, *positions) to (..., *positions)."""
    if not count:
        return k
    shape = k.shape[-count:]
    return k.flatten(-count).flatten(-count - 1, -2).diagonal(dim1=-2, dim2=-1).unflatten(-1, shape)


def embed(k: Tensor, count: int) -> Tensor:
    """(..., *positions) to (..., *positions, *positions), zero for different positions."""
    shape = k.shape[-count:]
    return k.flatten(-count).diag_embed().unflatten(-1, shape).unflatten(-count - 1, shape)


def _norm(parts: list[Tensor]) -> Tensor:
    """Root of the sum of squares, without overflow; zero gradient at 0."""
    high = torch.stack([part.detach().abs() for part in parts]).amax(0)
    return high * safe_sqrt(torch.stack([safe_divide(part, high).square() for part in parts]).sum(0))
