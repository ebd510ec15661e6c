"""Lowering: expressions of kernels over positions to rows.

In come expressions, out go rows that compute their entries, each made once however many kernels read it. The idea: a
kernel is needed in one of two coordinates. What an activation sees, and all below it, is carried as one minus the
correlation, where nothing cancels. What only the result sees (the NTK, sums after the last activation) is carried as
entries, where a map is a plain sum and takes no correction. Two conversions, EXCESS before a map and WINDOW or POOLED
behind it, lead from one map to the next in the first coordinate; ENTRIES leads from the first to the second.

Constant factors of entries are kept beside the rows and applied once, at the output.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch

from neural_kernels.algebra import Separable
from neural_kernels.engine.codes import ARC, BLEND, MIX, SCHUR
from neural_kernels.engine.positions import program as s
from neural_kernels.exact.compile.expansions import SeriesCache, as_powers, as_series, unit_coefficients
from neural_kernels.exact.compile.layout import Layout, matrix_table, reach, shift_table, taps_table
from neural_kernels.exact.compile.rows import CONSTANT, SECOND, Row
from neural_kernels.exact.expressions.duals import Activated, Slope
from neural_kernels.exact.expressions.fixed import FixedCorrelation, Noise
from neural_kernels.exact.expressions.nodes import Expression, Input, Scaled, SchurProduct, Sum, nodes_of
from neural_kernels.exact.expressions.pairs import PerUnit
from neural_kernels.exact.expressions.positions import Mapped

_TINY = 1e-18  # of an example's largest standard deviation: nothing


class UnsupportedError(Exception):
    """The engine has no operation for this; torch has."""


class Lowering:
    """Rows for several kernels of one network, each made once.

    Parameters
    ----------
    kernels : sequence of Expression
        All that will be asked for: what the activations among them see decides which coordinates a kernel is kept in,
        and how far their maps shift decides how positions are laid out.
    all_pairs : bool
        Whether all pairs of positions are computed, or equal ones alone.
    dtype : torch.dtype

    Raises
    ------
    UnsupportedError
        Here and from every method: the engine lacks an operation.
    """

    def __init__(self, kernels: Sequence[Expression], all_pairs: bool, dtype: torch.dtype) -> None:
        nodes = nodes_of(*kernels)
        maps = [node.by for node in nodes if isinstance(node, Mapped)]
        if not all(isinstance(by, Separable) for by in maps):
            raise UnsupportedError
        self._all_pairs, self._dtype = all_pairs, dtype
        self._reach = reach([by for by in maps if isinstance(by, Separable)]) if all_pairs else ()
        self._before_activation = _before_activation(nodes)
        self._cusps = any(isinstance(node, Activated) and node.cusp is not None for node in nodes)
        self._series: SeriesCache = {}
        self._delta: dict[Expression, Row] = {}
        self._entries: dict[Expression, tuple[Row, float]] = {}
        self._arcs: dict[tuple[int, Expression], Row] = {}

    def output(self, kernel: Expression) -> Row:
        """The entries of a kernel, its constant factor included."""
        row, factor = self.entries(kernel)
        return Row(BLEND, row.layout, [row, row], (factor, 0.0))

    def delta(self, node: Expression) -> Row:
        """One minus the correlations of a kernel."""
        if node not in self._delta:
            self._delta[node] = self._make_delta(node)
        return self._delta[node]

    def entries(self, node: Expression) -> tuple[Row, float]:
        """The entries of a kernel, up to the factor that comes with the row."""
        if node not in self._entries:
            self._entries[node] = self._make_entries(node)
        return self._entries[node]

    def _canonical(self, positions: tuple[int, ...]) -> Layout:
        """The layout of positions of which nothing is known but how far maps shift."""
        return Layout.of(positions, (*self._reach, *[0] * len(positions))[: len(positions)])

    def _make_delta(self, node: Expression) -> Row:
        match node:
            case Scaled():
                return self.delta(node.argument)
            case Input():
                units = [side.unit(slice(None), self._dtype) for side in node.sides]
                channels = list(zip(*(unit.unbind(-1) for unit in units), strict=True))
                return Row(s.GAP, self._canonical(node.positions), vectors=channels, counts=(len(channels),))
            case FixedCorrelation():
                # noise knows a unit from itself, so it is written anew for every pair of examples
                code = s.FILL if isinstance(node, Noise) else CONSTANT
                return Row(code, self._canonical(node.positions), numbers=(node.fixed_delta, 0.0))
            case Mapped():
                return self._window(node)
            case Activated():
                return self._dual(node)
            case SchurProduct():
                return self._pair(SCHUR, self.delta(node.first), self.delta(node.second))
            case Sum():
                first, second = self.delta(node.first), self.delta(node.second)
                if node.uniform is not None:
                    return self._pair(BLEND, first, second, node.uniform)
                return self._pair(MIX, first, second, vectors=list(node.shares))
        raise UnsupportedError

    def _pair(
        self,
        code: int,
        first: Row,
        second: Row,
        numbers: tuple[float, float] = (0.0, 0.0),
        vectors: Sequence[PerUnit] = (),
    ) -> Row:
        """An operation on two rows, which must have one layout; constants take any."""
        layouts = {row.layout for row in (first, second) if row.code not in (CONSTANT, s.FILL)}
        if len(layouts) > 1:
            raise UnsupportedError
        for row in (first, second):
            row.layout = next(iter(layouts), row.layout)
        return Row(code, first.layout, [first, second], numbers, list(vectors))

    def _window(self, node: Mapped) -> Row:
        """One minus the correlations after a map, from the excess before it.

        Standard deviations go in relative to the largest of the example: the unit cancels in the correlation, and
        products of two of them would leave the range of float32 without it.
        """
        before = self.delta(node.argument)
        units = [_largest(std) for std in node.argument.stds]
        stds, norms, losses, after = (
            tuple(side / unit.reshape(-1, *[1] * (side.ndim - 1)) for side, unit in zip(sides, units, strict=True))
            for sides in (node.argument.stds, node.norms, node.losses, node.stds)
        )
        excess = Row(s.EXCESS, before.layout, [before], (1.0, 0.0), [stds])
        total = self._mapped(node, excess)
        inverse = tuple(torch.where(std > _TINY, 1 / std, 0) for std in after)
        if node.by.mixing:
            rounding = torch.finfo(self._dtype).eps
            return Row(s.POOLED, total.layout, [total], (rounding, 0.0), [inverse, losses, norms])
        assert total.table is not None
        table, weight = total.table, total.table.weight
        row = Row(s.WINDOW, total.layout, [total], (weight, 0.0), [inverse], table=table, shifts=total.shifts)
        row.window_stds, row.window_layout = tuple(std * weight**0.5 for std in stds), before.layout
        return row

    def _mapped(self, node: Mapped, row: Row) -> Row:
        """Sums over the positions of a map, without its weight where that is the same for all terms."""
        by = node.by
        assert isinstance(by, Separable)
        if row.gaps_nonzero:
            ones = tuple(torch.ones_like(std) for std in node.argument.stds)
            row = Row(s.SCALE, row.layout, [row], (1.0, 0.0), [ones])
        if by.mixing:
            if not self._all_pairs or not all(axis.mixing for axis in by.axes):
                raise UnsupportedError
            # S K S^T, first along the columns of every row, then along the rows
            table, after = matrix_table(by), self._canonical(by.after)
            return Row(s.WEIGHTED, after, [Row(s.POOL, after, [row], table=table)], table=table)
        table = taps_table(by)
        if by.collapse and not self._all_pairs:
            return Row(s.TOTAL, self._canonical(by.after), [row], table=table)
        if not self._all_pairs:
            return Row(s.LOAD, self._canonical(by.after), [row], table=table)
        moves = None if by.collapse else shift_table(by, row.layout)
        if moves is None or any(a > b for a, b in zip(by.after, row.layout.positions, strict=True)):
            return Row(s.GATHER, self._canonical(by.after), [row], table=table)
        return Row(s.LOAD, row.layout.shrunk(by.after), [row], table=table, shifts=moves)

    def _dual(self, node: Activated) -> Row:
        """An activation's value or slope."""
        argument = self.delta(node.argument)
        if node.cusp is not None:
            key = id(node.dual), node.argument
            if key not in self._arcs:
                value = Row(ARC, argument.layout, [argument], (node.cusp, 0.0))
                value.second = Row(SECOND, argument.layout, [value])
                self._arcs[key] = value
            value = self._arcs[key]
            return value.second if isinstance(node, Slope) and value.second is not None else value
        unit = unit_coefficients(node, self._dtype, self._series)
        if unit is None:
            raise UnsupportedError
        series = as_series(unit) if self._cusps else as_powers(unit, self._dtype)
        return Row(series.code, argument.layout, [argument], vectors=series.vectors, counts=series.counts)

    def _make_entries(self, node: Expression) -> tuple[Row, float]:
        correlated = self._by_correlation(node)
        if correlated is not None:
            delta, stds, factor = correlated
            return Row(s.ENTRIES, delta.layout, [delta], (1.0, 0.0), [stds]), factor
        if isinstance(node, Scaled):
            row, factor = self.entries(node.argument)
            constant = _constant(node)
            if constant is not None:
                return row, factor * constant
            return Row(s.SCALE, row.layout, [row], (1.0, 0.0), [_full(node)]), factor
        if isinstance(node, Mapped):
            row, factor = self.entries(node.argument)
            row = self._mapped(node, row)
            assert row.table is not None
            return row, factor * row.table.weight
        if isinstance(node, Sum | SchurProduct):
            return self._combined(node)
        raise UnsupportedError

    def _combined(self, node: Sum | SchurProduct) -> tuple[Row, float]:
        """A sum or a product, in one operation with the entries of a factor that is given by its correlations."""
        first, second = node.operands
        if self._by_correlation(second) is None:
            first, second = second, first
        row, factor = self.entries(first)
        correlated = self._by_correlation(second)
        if correlated is None:
            other, weight = self.entries(second)
            if isinstance(node, SchurProduct):
                return self._pair(s.MULTIPLY, row, other), factor * weight
            return self._pair(BLEND, row, other, (factor, weight)), 1.0
        delta, stds, weight = correlated
        if isinstance(node, SchurProduct):
            return self._pair(s.MULTIPLY_ENTRIES, row, delta, (1.0, 0.0), [stds]), factor * weight
        return self._pair(s.ADD_ENTRIES, row, delta, (factor, weight), [stds]), 1.0

    def _by_correlation(self, node: Expression) -> tuple[Row, PerUnit, float] | None:
        """Correlations, standard deviations and factor of a kernel whose entries are best taken from those.

        They cost nothing more where the correlations are there anyway; all other kernels give None.
        """
        if isinstance(node, Scaled):
            constant, argument = _constant(node), self._by_correlation(node.argument)
            if constant is None or argument is None:
                return None
            delta, stds, factor = argument
            return delta, stds, factor * constant
        if node in self._before_activation or isinstance(node, Activated | Input | FixedCorrelation):
            return self.delta(node), node.stds, 1.0
        return None


def _largest(std: torch.Tensor) -> torch.Tensor:
    """The largest standard deviation of every example, shape (n,); 1 for zeros alone."""
    largest = std.flatten(1).amax(1)
    return torch.where(largest > 0, largest, 1)


def _constant(node: Scaled) -> float | None:
    """The factor of a kernel, if it is one number for all units."""
    sides = node.factor.sides
    return float(sides[0]) * float(sides[-1]) if all(side.ndim == 0 for side in sides) else None


def _full(node: Scaled) -> PerUnit:
    """The factor for every unit."""
    return tuple(f.expand(std.shape) for f, std in zip(node.factors, node.stds, strict=True))


def _before_activation(nodes: set[Expression]) -> set[Expression]:
    """What activations see, and all that its correlations are computed from."""
    before: set[Expression] = set()
    todo = [node.argument for node in nodes if isinstance(node, Activated)]
    while todo:
        node = todo.pop()
        if node not in before:
            before.add(node)
            todo += node.operands
    return before
