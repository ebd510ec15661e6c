r"""Maps of positions as expressions.

With :math:`u_a = S_a s` and :math:`U^2 = \sum_a u_a^2`, mixing takes :math:`\alpha = U - s'` from the standard
deviation. For two units, with v, V and beta those of the other, the excess (std std delta) after the map is

.. math:: \sum_a S_a (s t^T \circ \delta) S_a^T - (\alpha V + \beta U - \alpha \beta) + U V\, |u / U - v / V|^2 / 2,

sums of what is small where the windows nearly agree. Shifts have alpha = 0; a single matrix whose u are all of one
sign has no last term.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from typing_extensions import override

from neural_kernels.algebra import PositionMap
from neural_kernels.exact.expressions.nodes import Expression
from neural_kernels.exact.expressions.pairs import Pairs, PerUnit
from neural_kernels.runtime.lazy import cached_property
from neural_kernels.runtime.numerics import safe_divide, safe_sqrt
from neural_kernels.runtime.types import Shape


@dataclass(frozen=True, eq=False)
class Mapped(Expression):
    """Sum of S_a K S_a^T over the matrices of a map of positions."""

    argument: Expression
    by: PositionMap

    @property
    @override
    def operands(self) -> tuple[Expression, ...]:
        return (self.argument,)

    @property
    @override
    def positions(self) -> Shape:
        return self.by.after

    @property
    @override
    def mixes(self) -> bool:
        return self.by.mixing or self.argument.mixes

    @cached_property
    @override
    def stds(self) -> PerUnit:
        """The norms U; where positions mix, less, by what the entries between the positions of a window say."""
        if not self.by.mixing:
            return self.norms
        variances = self.root.variances
        return tuple(safe_sqrt(variances(self, side)) for side in range(len(self.norms)))

    @cached_property
    def norms(self) -> PerUnit:
        """The norms U: the standard deviations, if the positions of a window were perfectly correlated."""
        if self.by.mixing:
            return tuple(_norm(list(self.by.spread(s, side))) for side, s in enumerate(self.argument.stds))
        return tuple(self._root(s) for s in self.argument.stds)

    def _root(self, stds: Tensor) -> Tensor:
        """Norms where the map adds up variances; in units of the example's largest deviation, so without overflow."""
        high = stds.detach().flatten(1).amax(1).reshape(-1, *[1] * (stds.ndim - 1))
        sums = self.by.diagonal(safe_divide(stds, high).square())
        return high.reshape(-1, *[1] * (sums.ndim - 1)) * safe_sqrt(sums)

    @cached_property
    def losses(self) -> PerUnit:
        """What mixing takes from the standard deviations, alpha = U - s'."""
        return tuple(norm - std for norm, std in zip(self.norms, self.stds, strict=True))

    @cached_property
    def shares(self) -> list[PerUnit]:
        """The shares u_a / U, one item for each matrix of the map."""
        taps = [
            [safe_divide(part, norm) for part in self.by.spread(s, side)]
            for side, (s, norm) in enumerate(zip(self.argument.stds, self.norms, strict=True))
        ]
        return list(zip(*taps, strict=True))

    @cached_property
    def shares_vary(self) -> bool:
        """Whether u / U may differ between units: for several matrices, or one that gives both signs."""
        return len(self.shares) > 1 or any(bool((share < 0).any()) for share in self.shares[0])

    def needs_all_pairs(self, all_pairs: bool) -> bool:
        """Whether the result, for all or for equal pairs of positions, takes all pairs before the map."""
        return self.by.mixing or (all_pairs and self.positions != ())

    def _map(self, k: Tensor, pairs: Pairs, all_pairs: bool) -> Tensor:
        """The map of numbers per pair of positions, given as `needs_all_pairs` says."""
        if not self.needs_all_pairs(all_pairs):
            return self.by.diagonal(k)
        mapped = self.by.all_pairs(k, pairs.per_example)
        return mapped if all_pairs or not self.by.mixing else diagonal(mapped, len(self.positions))

    @override
    def _delta(self, pairs: Pairs, all_pairs: bool) -> Tensor:
        before = self.argument.excess(pairs, self.needs_all_pairs(all_pairs))
        excess = self._map(before, pairs, all_pairs)

        def broadcast(sides: PerUnit) -> tuple[Tensor, Tensor]:
            left, right = pairs.broadcast(sides, all_pairs)
            return left.to(excess.dtype), right.to(excess.dtype)

        (norm1, norm2), (std1, std2) = broadcast(self.norms), broadcast(self.stds)
        if self.by.mixing:
            loss1, loss2 = broadcast(self.losses)
            excess = excess - (loss1 * norm2 + loss2 * norm1 - loss1 * loss2)
        if self.shares_vary:
            gap = sum((first - second).square() for first, second in map(broadcast, self.shares))
            excess = excess + norm1 * norm2 * gap / 2
        return pairs.zero_self(safe_divide(excess, std1 * std2).clamp(0, 2), all_pairs)

    @override
    def _entries(self, pairs: Pairs, all_pairs: bool) -> Tensor:
        before = self.argument.entries(pairs, self.needs_all_pairs(all_pairs))
        return self._map(before, pairs, all_pairs)


@dataclass(frozen=True, eq=False)
class Decorrelated(Expression):
    """K where both positions are the same, 0 elsewhere."""

    argument: Expression

    @property
    @override
    def operands(self) -> tuple[Expression, ...]:
        return (self.argument,)

    @cached_property
    @override
    def stds(self) -> PerUnit:
        return self.argument.stds

    @override
    def _delta(self, pairs: Pairs, all_pairs: bool) -> Tensor:
        delta = self.argument.delta(pairs, False)
        return 1 + embed(delta - 1, len(self.positions)) if all_pairs else delta

    @override
    def _entries(self, pairs: Pairs, all_pairs: bool) -> Tensor:
        entries = self.argument.entries(pairs, False)
        return embed(entries, len(self.positions)) if all_pairs else entries


def diagonal(k: Tensor, count: int) -> Tensor:
    """Equal positions among all pairs: (..., *positions, *positions) to (..., *positions), `count` axes each."""
    if not count:
        return k
    shape = k.shape[-count:]
    return k.flatten(-count).flatten(-count - 1, -2).diagonal(dim1=-2, dim2=-1).unflatten(-1, shape)


def embed(k: Tensor, count: int) -> Tensor:
    """Equal positions among zeros: (..., *positions) to (..., *positions, *positions)."""
    shape = k.shape[-count:]
    return k.flatten(-count).diag_embed().unflatten(-1, shape).unflatten(-count - 1, shape)


def _norm(parts: list[Tensor]) -> Tensor:
    """Root of the sum of squares, without overflow; zero gradient at 0."""
    high = torch.stack([part.detach().abs() for part in parts]).amax(0)
    return high * safe_sqrt(torch.stack([safe_divide(part, high).square() for part in parts]).sum(0))
