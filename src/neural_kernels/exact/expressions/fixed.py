"""Kernels whose correlation is the same for all different units: zero, constants, and noise."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from typing_extensions import override

from neural_kernels.exact.expressions.nodes import Expression, Input
from neural_kernels.exact.expressions.pairs import Pairs, PerUnit
from neural_kernels.runtime.lazy import cached_property
from neural_kernels.runtime.types import Shape


@dataclass(frozen=True, eq=False)
class FixedCorrelation(Expression):
    """A kernel whose correlation is one number, `fixed_delta` below 1, for all different units.

    Parameters
    ----------
    like : Expression
        A kernel on the same examples. It is no operand: nothing of it is computed.
    """

    like: Expression

    fixed_delta = 0.0

    @property
    @override
    def root(self) -> Input:
        return self.like.root

    @property
    @override
    def positions(self) -> Shape:
        return self.like.positions

    @override
    def _delta(self, pairs: Pairs, all_pairs: bool) -> Tensor:
        left, right = pairs.broadcast(self.stds, all_pairs)
        shape = torch.broadcast_shapes(left.shape, right.shape)
        return pairs.zero_self(left.new_full((), self.fixed_delta).expand(shape), all_pairs)


@dataclass(frozen=True, eq=False)
class Zero(FixedCorrelation):
    """The kernel that is 0 everywhere, on positions of any shape."""

    shape: Shape

    fixed_delta = 1.0

    @property
    @override
    def positions(self) -> Shape:
        return self.shape

    @cached_property
    @override
    def stds(self) -> PerUnit:
        return tuple(s.new_zeros(len(s), *self.positions) for s in self.root.stds)


@dataclass(frozen=True, eq=False)
class Constant(FixedCorrelation):
    """The same number for all pairs: what a bias adds; a tensor of no axes where its derivative is asked for."""

    number: float | Tensor

    @cached_property
    @override
    def stds(self) -> PerUnit:
        return tuple(s.new_ones(len(s), *self.positions) * self.number**0.5 for s in self.root.stds)


@dataclass(frozen=True, eq=False)
class Noise(FixedCorrelation):
    """What `inflate` adds to the kernel `like`: (factor - 1) times its variances, on the diagonal alone."""

    factor: float

    fixed_delta = 1.0

    @cached_property
    @override
    def stds(self) -> PerUnit:
        return tuple(s * (self.factor - 1) ** 0.5 for s in self.like.stds)
