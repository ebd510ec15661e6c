"""Kernels of networks on positions by the engine's staged programs."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from neural_kernels.exact.compile.assemble import assemble
from neural_kernels.exact.expressions.nodes import Expression
from neural_kernels.exact.expressions.positions import Mapped


def staged(kernels: Sequence[Expression], symmetric: bool, targets: Sequence[Tensor], progress: bool) -> bool:
    """Fill matrices (n1, n2) if the engine has all operations; False where it has not."""
    from neural_kernels.engine.positions.blocks import fill_equal, fill_every

    if any(kernel.positions for kernel in kernels):
        return False
    every = any(kernel.mixes for kernel in kernels)
    program = assemble(kernels, targets[0].dtype, every)
    if program is None:
        return False
    fill = fill_every if every else fill_equal
    fill(program, symmetric, [target.numpy() for target in targets], progress)
    return True


def staged_variances(mapped: Mapped, side: int) -> Tensor | None:
    """Every unit's own entry after a map, shape (n, *positions), float64; None where the engine cannot."""
    from neural_kernels.engine.positions.blocks import fill_own

    program = assemble([mapped], torch.float64, True, (side, side))
    if program is None:
        return None
    result = torch.empty(
        len(mapped.root.stds[side]), 1, max(1, torch.Size(mapped.positions).numel()), dtype=torch.float64
    )
    fill_own(program, result.numpy())
    return result.reshape(len(result), *mapped.positions)
