"""Layers made of layers beside each other: sums, concatenations and products."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import reduce

import torch
from torch import nn
from typing_extensions import override

from neural_kernels.algebra import K, KernelPair, Layer, Traits, independent, joined, short_repr, uncorrelated
from neural_kernels.checks import require_number
from neural_kernels.layers.sequential import require_layers
from neural_kernels.runtime.types import Shape


@dataclass(frozen=True)
class Residual(Layer):
    """Sum of a body and a shortcut: K' and Theta' are the branches' sums.

    Parameters
    ----------
    body : Layer
    shortcut : Layer or None
        None: the input itself.

    Raises
    ------
    ArchitectureError
        When the network is used and cross terms between the branches would not vanish: both without a new affine map,
        or both with units of non-zero mean.

    Examples
    --------
    >>> import neural_kernels as nk
    >>> block = nk.Residual(nk.Sequential(nk.ReLU(), nk.Dense(2.0)))
    >>> net = nk.Sequential(nk.Dense(), block, block, nk.ReLU(), nk.Dense())
    """

    body: Layer
    shortcut: Layer | None = None

    def __post_init__(self) -> None:
        require_layers("Residual", (self.body,) if self.shortcut is None else (self.body, self.shortcut))

    __repr__ = short_repr

    @property
    def _branches(self) -> tuple[Layer, ...]:
        return (self.body,) if self.shortcut is None else (self.body, self.shortcut)

    @override
    def propagate(self, pair: KernelPair[K]) -> KernelPair[K]:
        body = self.body.propagate(pair)
        other = pair if self.shortcut is None else self.shortcut.propagate(pair)
        return pair.after(other.nngp + body.nngp, other.ntk + body.ntk, width=body.width)  # type: ignore[operator]

    @override
    def check(self, traits: Traits) -> Traits:
        """Refuse branches that correlate; the sum is Gaussian if both branches are."""
        head = traits.branch()
        branches = [self.body.check(head), head if self.shortcut is None else self.shortcut.check(head)]
        uncorrelated(self, branches)
        return joined(traits, branches, gaussian=all(branch.gaussian for branch in branches))

    @property
    @override
    def has_weights(self) -> bool:
        """Whether both branches have weights, so that they can have any number of outputs."""
        return self.shortcut is not None and self.body.has_weights and self.shortcut.has_weights

    @override
    def build(self, shape: Shape, width: int, outputs: int, generator: torch.Generator) -> tuple[nn.Module, Shape]:
        """Make a sum of modules; without a shortcut the body has as many outputs as the sum has inputs."""
        if self.shortcut is None:
            built = [self.body.build(shape, width, shape[0], generator), (nn.Identity(), shape)]
        else:
            built = [branch.build(shape, width, outputs, generator) for branch in self._branches]
        (_, first), (_, second) = built
        if first != second:
            raise ValueError(f"{self!r}: the branches' outputs have shapes {first} and {second}, which cannot be added")
        from neural_kernels.finite.modules import SumOfBranches

        return SumOfBranches([module for module, _ in built]), first


@dataclass(frozen=True, init=False, repr=False)
class Concat(Layer):
    """Concatenation of the branches' units: the mean of their kernels, by weight.

    Parameters
    ----------
    *branches : Layer
        At least one.
    weights : tuple of float or None
        Share of each branch in the units (its finite width); None: equal.

    Examples
    --------
    >>> import neural_kernels as nk
    >>> wide = nk.Concat(nk.Sequential(nk.Dense(), nk.ReLU()), nk.Sequential(nk.Dense(), nk.Erf()), weights=(3, 1))
    """

    branches: tuple[Layer, ...]
    weights: tuple[float, ...] | None

    def __init__(self, *branches: Layer, weights: tuple[float, ...] | None = None) -> None:
        require_layers("Concat", branches)
        if not branches:
            raise ValueError("Concat: expected at least one branch, got none")
        if weights is not None:
            weights = tuple(weights)
            if len(weights) != len(branches):
                raise ValueError(f"Concat: {len(weights)} weights for {len(branches)} branches; give one each")
            for weight in weights:
                require_number("Concat", weights=weight)
            if sum(weights) == 0:
                raise ValueError("Concat: all weights are 0")
        object.__setattr__(self, "branches", branches)
        object.__setattr__(self, "weights", weights)

    def __repr__(self) -> str:
        parts = [repr(branch) for branch in self.branches]
        return f"Concat({', '.join([*parts, f'weights={self.weights}'] if self.weights else parts)})"

    @property
    def shares(self) -> tuple[float, ...]:
        """The weights, so scaled that they sum to 1."""
        weights = self.weights or (1.0,) * len(self.branches)
        return tuple(weight / sum(weights) for weight in weights)

    @override
    def propagate(self, pair: KernelPair[K]) -> KernelPair[K]:
        pairs = [branch.propagate(pair) for branch in self.branches]
        nngp = reduce(lambda a, b: a + b, (share * p.nngp for share, p in zip(self.shares, pairs, strict=True)))
        ntk = reduce(lambda a, b: a + b, (share * p.ntk for share, p in zip(self.shares, pairs, strict=True)))
        widths = [p.width for p in pairs]
        return pair.after(nngp, ntk, width=None if None in widths else sum(w for w in widths if w is not None))

    @override
    def check(self, traits: Traits) -> Traits:
        """Take anything; what comes out is Gaussian only branch by branch."""
        branches = [branch.check(traits.branch()) for branch in self.branches]
        return joined(traits, branches, gaussian=False)

    @property
    @override
    def has_weights(self) -> bool:
        """Whether any branch has weights."""
        return any(branch.has_weights for branch in self.branches)

    @override
    def build(self, shape: Shape, width: int, outputs: int, generator: torch.Generator) -> tuple[nn.Module, Shape]:
        """Make a concatenation of modules, with as many units of each branch as its share says, at least one."""
        parts = (max(1, round(share * outputs)) for share in self.shares)
        built = [b.build(shape, width, part, generator) for b, part in zip(self.branches, parts, strict=True)]
        shapes = [after for _, after in built]
        if len({after[1:] for after in shapes}) > 1:
            raise ValueError(f"{self!r}: the branches' outputs have shapes {shapes}; their positions differ")
        widths = [after[0] for after in shapes]
        scales = [math.sqrt(share * sum(widths) / n) for share, n in zip(self.shares, widths, strict=True)]
        from neural_kernels.finite.modules import ConcatOfBranches

        return ConcatOfBranches([module for module, _ in built], scales), (sum(widths), *shapes[0][1:])


@dataclass(frozen=True, init=False, repr=False)
class Product(Layer):
    """Product of independent branches, unit by unit: K' = prod K_i, Theta' = sum_i Theta_i prod_{j != i} K_j.

    Parameters
    ----------
    *branches : Layer
        At least one; all but one need an affine map.

    Examples
    --------
    >>> import neural_kernels as nk
    >>> gate = nk.Product(nk.Dense(), nk.Sequential(nk.Dense(), nk.Sigmoid()))
    """

    branches: tuple[Layer, ...]

    def __init__(self, *branches: Layer) -> None:
        require_layers("Product", branches)
        if not branches:
            raise ValueError("Product: expected at least one branch, got none")
        object.__setattr__(self, "branches", branches)

    def __repr__(self) -> str:
        return f"Product({', '.join(map(repr, self.branches))})"

    @override
    def propagate(self, pair: KernelPair[K]) -> KernelPair[K]:

        def multiply(left: KernelPair[K], right: KernelPair[K]) -> KernelPair[K]:
            ntk = left.ntk * right.nngp + right.ntk * left.nngp  # type: ignore[operator]
            return pair.after(left.nngp * right.nngp, ntk, width=left.width)

        return reduce(multiply, (branch.propagate(pair) for branch in self.branches))

    @override
    def check(self, traits: Traits) -> Traits:
        """Refuse branches that are not independent."""
        branches = [branch.check(traits.branch()) for branch in self.branches]
        independent(self, branches)
        return joined(traits, branches, gaussian=False)

    @property
    @override
    def has_weights(self) -> bool:
        """Whether all branches have weights, so that they can have any number of outputs."""
        return all(branch.has_weights for branch in self.branches)

    @override
    def build(self, shape: Shape, width: int, outputs: int, generator: torch.Generator) -> tuple[nn.Module, Shape]:
        """Make a product of modules; a branch without weights keeps the number of inputs, and so do then all."""
        outputs = outputs if self.has_weights else shape[0]
        built = [branch.build(shape, width, outputs, generator) for branch in self.branches]
        shapes = [after for _, after in built]
        if len(set(shapes)) > 1:
            raise ValueError(f"{self!r}: the branches' outputs have shapes {shapes}, which cannot be multiplied")
        from neural_kernels.finite.modules import ProductOfBranches

        return ProductOfBranches([module for module, _ in built]), shapes[0]
