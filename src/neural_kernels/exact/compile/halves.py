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
from neural_kernels.engine.vectors.program import VectorProgram
from neural_kernels.exact.compile.vectors import trace_vectors
from neural_kernels.exact.expressions.duals import Activated, Value
from neural_kernels.exact.expressions.fixed import Constant, FixedCorrelation, Noise
from neural_kernels.exact.expressions.nodes import EQUAL, Expression, Scaled, SchurProduct, Sum
from neural_kernels.runtime.types import Array

# Numbers of examples from those that came before, of which the first are the standard deviations of the input.
Step = Callable[[list[Array]], Array]


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
    std : int
        Which step gives the standard deviations of the kernel.
    largest : float
        The largest of them on the right.
    """

    program: VectorProgram
    steps: tuple[Step, ...]
    vectors: tuple[int, ...]
    shares: tuple[_Shares, ...]
    std: int
    largest: float

    @classmethod
    def of(cls, expression: Callable[[list[Rows]], Expression], right: Rows) -> HalfProgram | None:
        """Of the kernel that an expression is for two batches; None where more depends on an example than that.

        That are series and tables of activations, and layers that look at their inputs.
        """
        if len(right) == 0 or right.std.ndim > 1 or right.std.device.type != "cpu" or right.std.requires_grad:
            return None
        one = DenseRows(right.std[:1], right.inverse[:1], torch.zeros(1, right.features, dtype=right.dtype))
        kernel = expression([one, right])
        traced = trace_vectors([kernel], right.dtype)
        recorded = None if traced is None else _record(kernel)
        if traced is None or recorded is None:
            return None
        steps, of = recorded
        if any(id(vector) not in of for vector in traced.left):
            return None
        shares = tuple(
            _Shares(row, (of[id(w[0])], of[id(v[0])]), (_extremes(w[-1]), _extremes(v[-1])))
            for row, node in enumerate(traced.nodes)
            if isinstance(node, Sum) and node.uniform is not None
            for w, v in [node.shares]
        )
        vectors = tuple(of[id(vector)] for vector in traced.left)
        return cls(traced.program, steps, vectors, shares, of[id(kernel.stds[0])], float(kernel.stds[-1].max()))

    def complete(self, std: Array) -> tuple[VectorProgram, float] | None:
        """The program for other examples on the left, and the largest entry of the kernel.

        None where they take another program: for inputs of zeros, and beyond the range of the precision.

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
        return replace(self.program, left=left, numbers=numbers), float(values[self.std].max()) * self.largest


def _record(kernel: Expression) -> tuple[tuple[Step, ...], dict[int, int]] | None:
    """The steps to all standard deviations and shares, and which of them gives what of the left, by its identity."""
    steps: list[Step] = []
    of: dict[int, int] = {id(kernel.root.stds[0]): 0}
    known: dict[Expression, int] = {kernel.root: 0}

    def take(step: Step, numbers: torch.Tensor) -> int:
        steps.append(step)
        return of.setdefault(id(numbers), len(steps))

    def visit(node: Expression) -> int | None:
        if node in known:
            return known[node]
        sources = (node.like,) if isinstance(node, FixedCorrelation) else node.operands
        places = [place for place in map(visit, sources) if place is not None]
        step = _step(node, places) if len(places) == len(sources) else None
        if step is None:
            return None
        known[node] = place = take(step, node.stds[0])
        if isinstance(node, Sum):
            for part, share in zip(places, node.shares, strict=True):
                take(lambda values, part=part: values[part] / values[place], share[0])
        return place

    return None if visit(kernel) is None else (tuple(steps), of)


def _step(node: Expression, places: list[int]) -> Step | None:
    """What `stds` of the node does, in NumPy, a fifth of torch's time for a few numbers; None for other nodes."""
    first, *rest = places
    if isinstance(node, Scaled) and node.factors[0].ndim == 0:
        factor = float(node.factors[0])
        return lambda values: values[first] * factor
    if isinstance(node, Constant):
        root = node.number**0.5
        return lambda values: np.full_like(values[0], root)
    if isinstance(node, Noise):
        excess = (node.factor - 1) ** 0.5
        return lambda values: values[first] * excess
    if isinstance(node, SchurProduct):
        return lambda values: values[first] * values[rest[0]]
    if isinstance(node, Sum):
        return lambda values: _hypot(values[first], values[rest[0]])
    if isinstance(node, Activated) and (node.cusp is not None or node.dual.arc_order is not None):
        std = node.dual.std if isinstance(node, Value) else node.dual.slope_std
        return lambda values: std(torch.from_numpy(values[first])).numpy()
    return None


def _hypot(s: Array, t: Array) -> Array:
    """As that of `nodes`, for numbers of which one is not 0."""
    high, low = np.maximum(s, t), np.minimum(s, t)
    return high * np.sqrt(1 + np.square(low / high))


def _extremes(numbers: torch.Tensor) -> tuple[float, float]:
    return float(numbers.min()), float(numbers.max())
