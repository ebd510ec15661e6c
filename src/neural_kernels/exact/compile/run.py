"""The compiler's front door: kernels as programs of the engine, where it has all their operations.

In come kernels and data, out goes a function that fills matrices, or None where torch has to do the work. So whether a
network is compiled can be asked without computing anything. The passes and the engine's machines are loaded with the
first kernel, not with the library, whose import they would lengthen by a third.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from neural_kernels.engine.inputs import Rows
from neural_kernels.exact.expressions.nodes import Expression
from neural_kernels.exact.expressions.positions import Mapped

if TYPE_CHECKING:
    from neural_kernels.engine.positions.program import PositionProgram
    from neural_kernels.engine.vectors.program import VectorProgram

# Fills matrices (n1, n2) with the entries of the kernels it was made for; True shows progress.
Run = Callable[[Sequence[Tensor], bool], None]


def compile_kernels(kernels: Sequence[Expression], left: Rows, right: Rows) -> Run | None:
    """What fills matrices with several kernels of one network by the engine; symmetric if `left` is `right`.

    None where torch has to do it: data on another device than the CPU, results over positions, operations that the
    engine lacks.
    """
    if left.std.device.type != "cpu" or any(kernel.positions for kernel in kernels):
        return None
    if left.std.ndim == 1:
        from neural_kernels.exact.compile.vectors import compile_vectors

        program = compile_vectors(kernels, left.dtype)
        return None if program is None else partial(_fill_vectors, program, left, right)
    from neural_kernels.exact.compile.assemble import assemble

    all_pairs = any(kernel.mixes for kernel in kernels)
    program = assemble(kernels, left.dtype, all_pairs)
    return None if program is None else partial(_fill_positions, program, left is right)


def compile_variances(mapped: Mapped, side: int) -> Tensor | None:
    """Every unit's own entry after a map, shape (n, *positions), float64; None where torch has to do it."""
    stds = mapped.argument.stds[side]
    if stds.device.type != "cpu" or stds.requires_grad:
        return None
    from neural_kernels.engine.positions.blocks import fill_self
    from neural_kernels.exact.compile.assemble import assemble

    program = assemble([mapped], torch.float64, True, (side, side))
    if program is None:
        return None
    result = torch.empty(len(stds), 1, max(1, torch.Size(mapped.positions).numel()), dtype=torch.float64)
    fill_self(program, result.numpy())
    return result.reshape(len(result), *mapped.positions)


def _fill_vectors(program: VectorProgram, left: Rows, right: Rows, targets: Sequence[Tensor], progress: bool) -> None:
    from neural_kernels.engine.vectors.fill import fill

    fill(program, left, right, [target.numpy() for target in targets], progress)


def _fill_positions(program: PositionProgram, symmetric: bool, targets: Sequence[Tensor], progress: bool) -> None:
    from neural_kernels.engine.positions.blocks import fill_diagonal, fill_pairs

    fill = fill_pairs if program.all_pairs else fill_diagonal
    fill(program, symmetric, [target.numpy() for target in targets], progress)
