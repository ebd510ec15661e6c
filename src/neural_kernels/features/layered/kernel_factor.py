r"""The representation by factors: a kernel as :math:`k = \phi \phi^T`, which every layer maps to another factor.

Sums are concatenations, multiples are scaled columns. A factor is kept as blocks, so that what the NNGP kernel and the
NTK have in common is held once: :math:`k = \sum_b w_b B_b B_b^T`. Of an activation the degrees 0 and 1 are exact: its
mean is a column, its linear part the old factor. All higher degrees, and products of two kernels, are random.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Iterable
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn
from typing_extensions import override

from neural_kernels.activations import Dual
from neural_kernels.algebra import PerExample, PositionMap, Representation, Separable
from neural_kernels.features.layered.coefficients import LowDegrees, low_degrees
from neural_kernels.features.layered.draws import Pass
from neural_kernels.features.layered.mixing import CoupledProduct, PositionSigns, SignedSum, TensorProduct
from neural_kernels.features.layered.nonlinearity import Strategy
from neural_kernels.features.method import UnsuitableError
from neural_kernels.runtime.numerics import safe_divide
from neural_kernels.runtime.types import Shape

_WIDE = 512  # columns of exact blocks that a map of positions may make
_ONE = "one"
_FEW = 0.25  # of the width: the least that a step inside a network has


@dataclass(frozen=True)
class ColumnBlock:
    """Some columns of a factor, which come from one source, and the weight of their kernel.

    Parameters
    ----------
    key : hashable
        Blocks of one pass with the same key have the same columns, so that their sum is one block with both weights.
    columns : Tensor, shape (n, *positions, m)
    weight : float
        w in the block's kernel, w B B^T: kept apart, so that multiples of a kernel share the columns.
    step : int or None
        The random step that the columns come from; None where they are exact.
    alike : bool
        Whether every column alone has the kernel as its mean, but for a factor, so that some can stand for all.
    """

    key: Hashable
    columns: Tensor
    weight: float = 1.0
    step: int | None = None
    alike: bool = False

    def by_rows(self, factor: Tensor, name: Hashable) -> ColumnBlock:
        """Multiply every row by a number of its own, shape (n, *positions), which `name` tells from others."""
        return replace(self, key=(self.key, name), columns=self.columns * factor[..., None].to(self.columns.dtype))


@dataclass(frozen=True)
class KernelFactor(Representation):
    """A kernel by a factor of it.

    Parameters
    ----------
    blocks : tuple of ColumnBlock
    diagonal : Tensor, shape (n, *positions), float64
        The kernel of every unit with itself: not |phi|^2 where it can be had without, since a layer's coefficients must
        not see the noise.
    strategy : Strategy
        How activations make columns.
    draws : Pass
        Where random modules come from.
    inflated : bool
        Whether the diagonal is larger than the factor's by design.
    """

    blocks: tuple[ColumnBlock, ...]
    diagonal: Tensor
    strategy: Strategy
    draws: Pass
    inflated: bool = False

    @property
    def phi(self) -> Tensor:
        """All columns side by side, shape (n, *positions, m)."""
        return torch.cat([block.columns * block.weight**0.5 for block in self.blocks], -1)

    def _with(self, blocks: Iterable[ColumnBlock], diagonal: Tensor) -> KernelFactor:
        """Make a factor of other blocks; those of one key become one, with the sum of their weights."""
        merged: dict[Hashable, ColumnBlock] = {}
        for block in blocks:
            known = merged.get(block.key)
            merged[block.key] = block if known is None else replace(known, weight=known.weight + block.weight)
        kept = (block for block in merged.values() if block.weight and block.columns.shape[-1])
        return KernelFactor(tuple(kept), diagonal, self.strategy, self.draws, self.inflated)

    @override
    def __add__(self, other: KernelFactor | float) -> KernelFactor:  # pyright: ignore[reportIncompatibleMethodOverride]
        """Put the blocks side by side; a constant is a column of ones."""
        if isinstance(other, KernelFactor):
            total = self._with(self.blocks + other.blocks, self.diagonal + other.diagonal)
            return replace(total, inflated=self.inflated or other.inflated)
        return self._with((*self.blocks, self._ones(other)), self.diagonal + other)

    def _ones(self, weight: float) -> ColumnBlock:
        like = self.blocks[0].columns if self.blocks else self.diagonal[..., None]
        return ColumnBlock(_ONE, like.new_ones((*self.diagonal.shape, 1)), weight)

    @override
    def __mul__(self, other: KernelFactor | float) -> KernelFactor:  # pyright: ignore[reportIncompatibleMethodOverride]
        """Sketch the tensor product; exact single columns of `other`, functions of the row alone, multiply exactly."""
        if not isinstance(other, KernelFactor):
            return self._with((replace(b, weight=b.weight * other) for b in self.blocks), self.diagonal * other)
        single = [block for block in other.blocks if block.step is None and block.columns.shape[-1] == 1]
        wide = other._with((block for block in other.blocks if all(block is not b for b in single)), other.diagonal)
        blocks = [scaled for block in single for scaled in self._scaled(block)]
        if self.blocks and wide.blocks:
            blocks.append(self._product(wide))
        return self._with(blocks, self.diagonal * other.diagonal)

    def _product(self, other: KernelFactor) -> ColumnBlock:
        """Sketch the product with a factor; columns of it that are alike need no mixing, if there are enough."""
        alike = len(other.blocks) == 1 and other.blocks[0].alike

        def make(seed: int, m: int) -> nn.Module:
            if alike and other._width >= m:
                return CoupledProduct(self._width, m, seed)
            return TensorProduct(self._width, other._width, m, seed)

        step, product = self.draws.take(make, _share(self.positions), self.strategy.least_product)
        return ColumnBlock(("product", step), product(self.phi, other.phi), step=step, alike=product.alike)

    def _scaled(self, column: ColumnBlock) -> list[ColumnBlock]:
        """Multiply all blocks by a single column: exact, and without new columns where it is one of ones."""
        if column.key == _ONE:
            return [replace(block, weight=block.weight * column.weight) for block in self.blocks]
        scaled = (block.by_rows(column.columns[..., 0], column.key) for block in self.blocks)
        return [replace(block, weight=block.weight * column.weight) for block in scaled]

    @property
    def _width(self) -> int:
        return sum(block.columns.shape[-1] for block in self.blocks)

    @override
    def zero(self) -> KernelFactor:
        return self._with((), torch.zeros_like(self.diagonal))

    @override
    def activate(self, dual: Dual) -> tuple[KernelFactor, KernelFactor]:  # pyright: ignore[reportIncompatibleMethodOverride]
        """Take the mean, the linear part and the mean slope exactly, all else by the strategy.

        Raises
        ------
        UnsuitableError
            The strategy cannot represent the activation; or the kernel is inflated, which no factor shows.
        """
        std = self.diagonal.sqrt()
        totals = dual.std(std).square(), dual.slope_std(std).square()
        if self.inflated:
            raise UnsuitableError("an activation behind nk.Dropout has no features of this kind; use nk.Nystrom()")
        if not self.blocks:  # the kernel is 0, and every unit the same constant
            value, slope = (float(total.flatten()[:1].sum()) for total in totals)
            return self.zero() + value, self.zero() + slope
        phi = self.phi
        norm = torch.linalg.vector_norm(phi, dim=-1)
        unit = phi * safe_divide(torch.ones_like(norm), norm)[..., None]
        strategy, width = self.strategy, phi.shape[-1]

        def make(seed: int, m: int) -> nn.Module:
            return strategy.nonlinearity(dual, width, m, seed)

        step, module = self.draws.take(make, _share(self.positions), strategy.least_value)
        mean, *slopes = low_degrees(dual, std)
        exact = mean * module.mean, slopes[0], slopes[1]
        rest = module(unit.flatten(0, -2), std.reshape(-1), torch.stack(exact, -1).flatten(0, -2).to(phi.dtype))
        value, slope = (
            [ColumnBlock((name, step), part.unflatten(0, phi.shape[:-1]), 1.0, step, module.alike)]
            if part is not None
            else []
            for name, part in zip(("value", "slope"), rest, strict=True)
        )
        constant, linear, inclination = self._columns(LowDegrees.of(dual), exact, step)
        value += constant + [scaled for column in linear for scaled in self._scaled(column)]
        return self._with(value, totals[0]), self._with(slope + inclination, totals[1])

    def _columns(
        self, low: LowDegrees, exact: tuple[Tensor, Tensor, Tensor], step: int
    ) -> tuple[list[ColumnBlock], ...]:
        """Make the mean, the linear coefficient and the mean slope blocks of one column each, or of none if it is 0."""

        def column(part: Tensor, name: str) -> ColumnBlock:
            if low.homogeneous and name != "mean":
                return self._ones(float(part.detach().flatten()[0]) ** 2 if part.numel() else 1.0)
            return ColumnBlock((name, step), part[..., None].to(self.blocks[0].columns.dtype))

        names = "mean", "linear", "linear" if low.continuous else "slope"
        present = low.mean, low.linear, low.slope
        parts = zip(present, exact, names, strict=True)
        return tuple([column(part, name)] if there else [] for there, part, name in parts)

    @override
    def scale(self, factor: PerExample) -> KernelFactor:
        side = factor.sides[0].expand(self.diagonal.shape)
        name = self.draws.name(factor)
        return self._with((block.by_rows(side, name) for block in self.blocks), self.diagonal * side.square())

    @override
    def inflate(self, factor: float) -> KernelFactor:
        """Inflate the diagonal alone: no factor shows what a row has with nothing but itself."""
        return replace(self, diagonal=self.diagonal * factor, inflated=True)

    @override
    def map(self, positions: PositionMap) -> KernelFactor:
        """Apply one matrix to every block as it is; of several, keep exact columns apart while few, and mix all others.

        Raises
        ------
        UnsuitableError
            The map depends on the example (attention, graphs).
        """
        if not isinstance(positions, Separable):
            raise UnsuitableError("attention and graphs have no feature maps yet; use nk.NTK or nk.Nystrom()")
        name, taps = self.draws.name(positions), positions.count
        apart = [b for b in self.blocks if taps == 1 or (b.step is None and b.columns.shape[-1] * taps <= _WIDE)]
        blocks = [replace(b, key=(b.key, name), columns=_spread(b.columns, positions)) for b in apart]
        others = self._with((block for block in self.blocks if all(block is not b for b in apart)), self.diagonal)
        if others.blocks:
            step, mix = self.draws.take(
                lambda seed, m: SignedSum(others._width, taps, m, seed), _share(positions.after)
            )
            blocks.append(ColumnBlock(("mixed", step), mix(others.phi, positions), step=step))
        return self._with(blocks, self._diagonal_after(blocks, positions))

    def _diagonal_after(self, blocks: list[ColumnBlock], positions: PositionMap) -> Tensor:
        """The new diagonal: exact where equal positions stay among themselves, else that of the factor."""
        if not positions.mixing:
            return positions.diagonal(self.diagonal)
        start = self.diagonal.new_zeros(len(self.diagonal), *positions.after)
        return sum((b.weight * b.columns.square().sum(-1).to(start) for b in blocks), start=start)

    @override
    def decorrelate(self) -> KernelFactor:
        """Give every position signs of its own, so that the kernel of two positions is 0 in the mean."""
        if not self.positions or not self.blocks:
            return self
        make = lambda seed, m: PositionSigns(self._width, self.positions, m, seed)  # noqa: E731
        step, signs = self.draws.take(make, _share(self.positions), self.strategy.least_product)
        return self._with([ColumnBlock(("signs", step), signs(self.phi), step=step, alike=True)], self.diagonal)

    @property
    @override
    def positions(self) -> Shape:
        return tuple(self.diagonal.shape[1:])

    @property
    @override
    def variance(self) -> PerExample:
        return PerExample((self.diagonal,))

    @override
    def position_gram(self) -> PerExample:
        raise UnsuitableError("attention has no feature maps yet; use nk.NTK or nk.Nystrom()")


def _share(positions: Shape) -> float:
    """The share of the width that a step has whose errors will be averaged over positions."""
    return max(_FEW, math.prod(positions) ** -0.5)


def _spread(columns: Tensor, positions: Separable) -> Tensor:
    """Put S_a applied to the columns side by side, for all a."""
    if positions.mixing:
        return torch.cat([part.movedim(1, -1) for part in positions.spread(columns.movedim(-1, 1), 0)], -1)
    padded = nn.functional.pad(columns.flatten(1, -2), (0, 0, 0, 1))
    sources = positions.sources.T.to(columns.device)
    rows = (positions.weight * padded)[:, sources.reshape(-1)]
    return rows.reshape(len(columns), *positions.after, sources.shape[1] * columns.shape[-1])
