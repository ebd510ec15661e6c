"""What a kernel is within one example, in float64, and what the input's correlations are.

Where a map mixes positions (a pool), the standard deviation behind it depends on the kernel between all positions of
the example. So the variances of a unit cost as much as an entry of the matrix, n of them beside n^2.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from neural_kernels.engine.inputs import DenseRows, delta_tile, delta_units
from neural_kernels.exact.compile.run import compile_variances
from neural_kernels.exact.expressions.nodes import Expression, nodes_of
from neural_kernels.exact.expressions.pairs import BatchPairs, BlockPairs, Pairs, SelfPairs
from neural_kernels.exact.expressions.positions import Mapped

_NUMBERS = 1 << 23  # of one temporary: 64 MB


def input_delta(sides: tuple[Any, ...], pairs: Pairs, all_pairs: bool) -> Tensor:
    """One minus the cosines of the inputs' units, on a block of the matrix or within examples."""
    if isinstance(pairs, SelfPairs):
        return _within(sides[min(pairs.side, len(sides) - 1)].unit(pairs.chosen, torch.float64), all_pairs)
    left, right = sides[0], sides[-1]
    if isinstance(pairs, BatchPairs):
        units = (side.unit(slice(None), side.dtype) for side in (left, right))
        a, b = (unit.reshape(pairs.batches, -1, unit.shape[-1]) for unit in units)
        return delta_units(a, b)
    assert isinstance(pairs, BlockPairs)
    if not isinstance(left, DenseRows):
        from neural_kernels.engine.vectors.fill import sparse_delta  # with the first sparse rows

        return sparse_delta(left, right)(pairs.rows, pairs.columns)
    if all_pairs or left.std.ndim == 1:
        return delta_tile(left, right, pairs.rows, pairs.columns)
    a, b = left.unit(pairs.rows, left.dtype), right.unit(pairs.columns, left.dtype)
    return (a[:, None] - b[None]).square().sum(-1) / 2


def _within(units: Tensor, all_pairs: bool) -> Tensor:
    """One minus the cosines between the positions of each example, from unit vectors (n, *positions, channels)."""
    shape = units.shape[:-1]
    if not all_pairs:
        return units.new_zeros(shape)
    flat = units.reshape(shape[0], math.prod(shape[1:]), units.shape[-1])
    result = units.new_empty(*shape, *shape[1:])
    return torch.stack([delta_units(a, a) for a in flat]).reshape(result.shape) if len(flat) else result


def self_entries(expression: Expression, side: int) -> Tensor:
    """The kernel between all positions of every example of a side, shape (n, *positions, *positions)."""
    return _chunks(expression, side, lambda pairs: expression.entries(pairs, True))


def mapped_variances(mapped: Mapped, side: int) -> Tensor:
    """Every unit's own entry after a map, shape (n, *positions); by the engine where it can."""
    compiled = compile_variances(mapped, side) if len(mapped.argument.stds[side]) else None
    return plain_variances(mapped, side) if compiled is None else compiled


def plain_variances(mapped: Mapped, side: int) -> Tensor:
    """The same by the torch formulas, which are differentiable."""
    stds = mapped.argument.stds[side]
    if not len(stds):
        return stds.new_zeros(0, *mapped.positions)
    return _chunks(mapped.argument, side, lambda pairs: mapped.entries(pairs, False))


def _chunks(expression: Expression, side: int, compute: Callable[[SelfPairs], Tensor]) -> Tensor:
    """`compute` on all examples of a side, a few at a time."""
    count = len(expression.root.stds[side])
    widest = max(math.prod(node.positions) for node in nodes_of(expression))
    step = max(1, _NUMBERS // max(1, widest) ** 2)
    parts = [compute(SelfPairs(side, slice(i, i + step))) for i in range(0, count, step)]
    return torch.cat(parts) if parts else compute(SelfPairs(side, slice(0, 0)))
