"""Steps from the standard deviations of examples' inputs to all numbers that a program of vectors holds of its left."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from torch import Tensor

from neural_kernels.activations.expectations.octaves import HalfOctaves
from neural_kernels.activations.norm_cells import USUAL
from neural_kernels.activations.tables import bends_of
from neural_kernels.engine.codes import POWERS, SERIES, TABLE, WAVES
from neural_kernels.engine.tables import NODES
from neural_kernels.exact.compile.expansions import one_side, term_degrees
from neural_kernels.exact.compile.graph import Key, key_of
from neural_kernels.exact.compile.oscillations import LARGEST
from neural_kernels.exact.compile.vectors import Traced
from neural_kernels.exact.expressions.duals import Activated, Slope
from neural_kernels.exact.expressions.fixed import Constant, FixedCorrelation, Noise
from neural_kernels.exact.expressions.nodes import Expression, Scaled, SchurProduct, Sum
from neural_kernels.runtime.types import Array

# Numbers of examples from those that came before, of which the first are the standard deviations of the input.
Step = Callable[[list[Array]], Array]


@dataclass(frozen=True)
class LeftCells:
    """The cells of the norms on the left, which an operation with a table reads.

    Parameters
    ----------
    place : int
        Where in the program's integers those of the operation begin.
    step : int
        Which step gives the standard deviations.
    known : ndarray of int
        Those that the program has tables for, sorted.
    """

    place: int
    step: int
    known: np.ndarray

    def find(self, values: list[Array]) -> np.ndarray | None:
        """The position of each example's cell among the known ones; None if one is not there."""
        cells = USUAL.of(torch.from_numpy(values[self.step])).numpy()
        found = np.searchsorted(self.known, cells).clip(max=len(self.known) - 1)
        return found if np.array_equal(self.known[found], cells) else None


class Steps:
    """The steps that a kernel takes, found by visiting its expressions.

    Parameters
    ----------
    traced : Traced
        The program of the kernel.
    root : Expression
        Its input.

    Attributes
    ----------
    steps : list of Step
    of : dict
        Which of the numbers (0 are the standard deviations of the input, k + 1 what step k gives) a vector is, by its
        identity.
    cells : list of LeftCells
    """

    def __init__(self, traced: Traced, root: Expression) -> None:
        self.steps: list[Step] = []
        self.of: dict[int, int] = {id(root.stds[0]): 0}
        self.cells: list[LeftCells] = []
        self._known: dict[Expression, int] = {root: 0}
        self._vectors = traced.left
        self._series: dict[tuple[bool, Key], Array] = {}
        self._tables: dict[Key, Array] = {}
        self._waves: set[Key] = set()
        for node, row in zip(traced.nodes, traced.program.table, strict=True):
            if not isinstance(node, Activated):
                continue
            if row[0] in (SERIES, POWERS):
                self._series[isinstance(node, Slope), key_of(node)] = row
            elif row[0] == TABLE:
                self._tables[key_of(node)] = row
            elif row[0] == WAVES:
                self._waves.add(key_of(node))

    def visit(self, node: Expression) -> int | None:
        """Which numbers are the standard deviations of an expression; None if no step gives them."""
        if node in self._known:
            return self._known[node]
        sources = (node.like,) if isinstance(node, FixedCorrelation) else node.operands
        places = [place for place in map(self.visit, sources) if place is not None]
        if len(places) < len(sources):
            return None
        step = self._activated(node, places[0]) if isinstance(node, Activated) else _step(node, places)
        if step is None:
            return None
        self._known[node] = place = self._take(step, node.stds[0])
        if isinstance(node, Sum):
            for part, share in zip(places, node.shares, strict=True):
                self._take(lambda values, part=part: values[part] / values[place], share[0])
        return place

    def _take(self, step: Step, numbers: Tensor) -> int:
        self.steps.append(step)
        return self.of.setdefault(id(numbers), len(self.steps))

    def _activated(self, node: Activated, argument: int) -> Step | None:
        if (isinstance(node, Slope), key_of(node)) in self._series:
            return self._by_series(node, argument)
        if key_of(node) in self._tables:
            if bends_of(node.dual):  # whose kinks would need steps of their own
                return None
            return self._by_table(node, argument)
        if key_of(node) in self._waves:
            return lambda values: _wave_std(node, values[argument])
        if node.cusp is None and node.dual.arc_order is None:
            return None
        return lambda values: node.std(torch.from_numpy(values[argument])).numpy()

    def _by_series(self, node: Activated, argument: int) -> Step:
        """Take the coefficients of a series; the standard deviation of the output comes out of the same table."""
        code, first, *counts = self._series[isinstance(node, Slope), key_of(node)][[0, 5, 6, 7]].tolist()
        degrees = term_degrees(code, counts)
        columns = partial(one_side, node, max(degrees, default=0) + 1, self._vectors[first].dtype)
        table = HalfOctaves.of(columns, node.argument.stds[-1])
        place = self._take_columns(lambda values: table(values[argument]), [1 + degree for degree in degrees], first)
        return lambda values: values[place][:, 0]

    def _by_table(self, node: Activated, argument: int) -> Step:
        """Take the polynomials of the norm, once for value and slope."""
        row = self._tables[key_of(node)]
        if id(self._vectors[row[5]]) not in self.of:
            known = USUAL.of(node.argument.stds[0]).unique().numpy()
            self.cells.append(LeftCells(int(row[4]), argument, known))
            self._take_columns(lambda values: _norms(values[argument]), range(NODES), int(row[5]))
        table = HalfOctaves.of(lambda std: node.std(std)[:, None], node.argument.stds[-1])
        return lambda values: table(values[argument])[:, 0]

    def _take_columns(self, step: Step, columns: Sequence[int], first: int) -> int:
        """Take a step that gives the numbers of several vectors, side by side, and each of them; where it is."""
        self.steps.append(step)
        place = len(self.steps)
        for column, vector in zip(columns, self._vectors[first:], strict=False):
            self._take(lambda values, column=column: values[place][:, column], vector)
        return place


def _wave_std(node: Activated, std: Array) -> Array:
    """That of a wave's output, NaN where the engine has no digits for it."""
    return np.where(std < LARGEST, node.std(torch.from_numpy(std)).numpy(), np.nan)


def _norms(std: Array) -> Array:
    """The vectors of a table for examples, shape (n, NODES)."""
    numbers = torch.from_numpy(np.nan_to_num(std))  # NaN goes on into the standard deviation of the output
    tau, rows = USUAL.polynomials(numbers)
    rows[0] = tau
    return rows.T.numpy()


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
    return None


def _hypot(s: Array, t: Array) -> Array:
    """As that of `nodes`, for numbers of which one is not 0."""
    high, low = np.maximum(s, t), np.minimum(s, t)
    return high * np.sqrt(1 + np.square(low / high))
