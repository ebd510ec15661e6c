"""Programs of vectors of which one half stays: for other examples on the left, their numbers alone are computed.

All that a kernel of vectors needs of an example follows from the standard deviation of its input, by a few operations a
layer. Whoever asks for one row after the other against the same rows would else spend all time on the latter, and on
the compiler.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import torch

from neural_kernels.engine.inputs import DenseRows, Rows
from neural_kernels.engine.tables import LEFT
from neural_kernels.engine.vectors.program import VectorProgram
from neural_kernels.exact.compile.steps import LeftCells, Step, Steps
from neural_kernels.exact.compile.vectors import trace_vectors
from neural_kernels.exact.expressions.nodes import EQUAL, Expression, Sum
from neural_kernels.runtime.types import Array


@dataclass(frozen=True)
class _Shares:
    """Of a sum: its row in the program's table, the steps of its two shares, their extremes on the right."""

    row: int
    steps: tuple[int, int]
    extremes: tuple[tuple[float, float], tuple[float, float]]

    def squares(self, values: list[Array]) -> list[float] | None:
        """Both shares, squared, if they are the same for all examples, as `Sum.uniform` says it."""
        found = []
        for step, (low, high) in zip(self.steps, self.extremes, strict=True):
            low, high = min(float(values[step].min()), low), max(float(values[step].max()), high)
            if high - low > EQUAL:
                return None
            found.append(low**2)
        return found


@dataclass(frozen=True)
class HalfProgram:
    """A program of one kernel of vectors, with all that depends on the right.

    Parameters
    ----------
    program : VectorProgram
        Its left is of no use.
    steps : tuple of Step
    vectors : tuple of int
        Which step gives each row of the program's `left`.
    shares : tuple
        Sums that the program takes for equal parts of all examples.
    cells : tuple of LeftCells
        What operations with tables read of the left.
    std : int
        Which step gives the standard deviations of the kernel.
    largest : float
        The largest of them on the right.
    """

    program: VectorProgram
    steps: tuple[Step, ...]
    vectors: tuple[int, ...]
    shares: tuple[_Shares, ...]
    cells: tuple[LeftCells, ...]
    std: int
    largest: float

    @classmethod
    def of(cls, expression: Callable[[list[Rows]], Expression], right: Rows) -> HalfProgram | None:
        """Of the kernel that an expression is for two batches; None where more depends on an example than that.

        That are layers that look at their inputs, and activations whose kernels are formulas of their own.
        """
        if len(right) == 0 or right.std.ndim > 1 or right.std.device.type != "cpu" or right.std.requires_grad:
            return None
        few = _of_all_sizes(right.std)
        kernel = expression(
            [
                DenseRows(right.std[few], right.inverse[few], torch.zeros(len(few), right.features, dtype=right.dtype)),
                right,
            ]
        )
        traced = trace_vectors([kernel], right.dtype)
        if traced is None:
            return None
        found = Steps(traced, kernel.root)
        of = found.of
        if found.visit(kernel) is None or any(id(vector) not in of for vector in traced.left):
            return None
        shares = tuple(
            _Shares(row, (of[id(w[0])], of[id(v[0])]), (_extremes(w[-1]), _extremes(v[-1])))
            for row, node in enumerate(traced.nodes)
            if isinstance(node, Sum) and node.uniform is not None
            for w, v in [node.shares]
        )
        vectors = tuple(of[id(vector)] for vector in traced.left)
        steps, cells, largest = tuple(found.steps), tuple(found.cells), float(kernel.stds[-1].max())
        return cls(traced.program, steps, vectors, shares, cells, of[id(kernel.stds[0])], largest)

    def complete(self, std: Array) -> tuple[VectorProgram, float] | None:
        """The program for other examples on the left, and the largest entry of the kernel.

        None where they take another program: for inputs of zeros, beyond the range of the precision, and where series
        or tables of an activation were made for other norms.

        Parameters
        ----------
        std : ndarray of shape (n,), float64
            Of their inputs.
        """
        values = [std]
        if not std.all():
            return None
        with np.errstate(all="ignore"):
            for step in self.steps:
                values.append(step(values))
            left = np.array([values[k] for k in self.vectors], self.program.left.dtype)
        if not np.isfinite(left).all():
            return None
        numbers = self.program.numbers
        if self.shares:
            numbers = numbers.copy()
            for share in self.shares:
                squares = share.squares(values)
                if squares is None:
                    return None
                numbers[share.row] = squares
        integers = self._integers(values)
        if integers is None:
            return None
        program = replace(self.program, left=left, numbers=numbers, integers=integers)
        return program, float(values[self.std].max()) * self.largest

    def _integers(self, values: list[Array]) -> np.ndarray | None:
        """Those of the program, with the cells of the examples behind; None where there is no table for one."""
        if not self.cells:
            return self.program.integers
        found = [cells.find(values) for cells in self.cells]
        there = [cells for cells in found if cells is not None]
        if len(there) < len(found):
            return None
        integers = np.concatenate([self.program.integers, *there])
        end = len(self.program.integers)
        for k, cells in enumerate(self.cells):
            integers[cells.place + LEFT] = end + k * len(values[0]) - cells.place
        return integers


def _extremes(numbers: torch.Tensor) -> tuple[float, float]:
    return float(numbers.min()), float(numbers.max())


def _of_all_sizes(std: torch.Tensor) -> torch.Tensor:
    """Positions of examples whose norms are as small and as large as any, at most a quarter of an octave apart."""
    sizes = torch.floor(4 * torch.log2(std.clamp(min=torch.finfo(std.dtype).tiny)))
    return torch.from_numpy(np.unique(sizes.numpy(), return_index=True)[1])
