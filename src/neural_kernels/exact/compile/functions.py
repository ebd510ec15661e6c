"""Activations as the engine computes them: which operation each one is, and what that reads.

An activation with a cusp is an operation of its own (ARC). Of all others the first that fits is taken: powers of the
positive part, damped waves, polynomial pieces, a short series, a table, and then a series of any length.
"""

from __future__ import annotations

from collections.abc import Callable

import torch

from neural_kernels.engine.codes import KINKS, RAISED, TABLE, WAVES
from neural_kernels.exact.compile.expansions import (
    SeriesCache,
    as_powers,
    as_series,
    short_coefficients,
    unit_coefficients,
)
from neural_kernels.exact.compile.graph import ExpressionGraph, Group
from neural_kernels.exact.compile.oscillations import is_wave, wave_operands
from neural_kernels.exact.compile.piecewise import piecewise_operands
from neural_kernels.exact.compile.pools import Pools, UnitVectors
from neural_kernels.exact.compile.tabulation import table_operands
from neural_kernels.exact.expressions.duals import Activated
from neural_kernels.exact.expressions.pairs import PerUnit

PAIRS = RAISED, WAVES, KINKS, TABLE  # beside ARC: operations that give value and slope at once

Encoded = dict[Activated, tuple[int, ...]]  # the code of an operation and its last four numbers
Coefficients = Callable[[Activated], list[torch.Tensor] | None]


def is_double(graph: ExpressionGraph) -> bool:
    """Whether a program must compute in float64, as what kinks off the origin make cancels, and phases do."""
    return any(any(group.first.dual.kinks) or is_wave(group.first) for group in graph.groups.values())


def encode(graph: ExpressionGraph, vectors: UnitVectors, pools: Pools) -> Encoded | None:
    """Code and numbers of every activation without a cusp; None where one has neither a series nor a table.

    None, too, in float64 where all that have no short series have closed forms, of which a table would lose digits.

    The numbers are the last four of an operation: place of a table (or of the quadrants of polynomial pieces), or 0;
    first vector (of powers of the positive part their order); two counts of vectors of a series.
    """
    found: Encoded = {}
    known: SeriesCache = {}
    long = []
    for group in graph.groups.values():
        if group.first.cusp is None:
            numbers = _closed(group, graph, vectors, pools)
            if numbers is None:
                numbers = _series(group, graph, vectors, lambda node: short_coefficients(node, vectors.dtype, known))
            if numbers is None:
                long.append(group)
            else:
                found |= numbers
    if long and vectors.dtype == torch.float64 and all(group.first.dual.closed_form for group in long):
        return None
    for group in long:
        numbers = _placed(TABLE, group, table_operands(group.first, pools), vectors)
        if numbers is None:
            numbers = _series(group, graph, vectors, lambda node: unit_coefficients(node, vectors.dtype, known))
        if numbers is None:
            return None
        found |= numbers
    return found


def _closed(group: Group, graph: ExpressionGraph, vectors: UnitVectors, pools: Pools) -> Encoded | None:
    """Powers of the positive part, waves, and polynomial pieces with kinks off the origin."""
    if group.first.dual.arc_order is not None:
        return dict.fromkeys(group.nodes, (RAISED, 0, group.first.dual.arc_order, 0, 0))
    if is_wave(group.first) and graph.before_cusps.isdisjoint(group.nodes):
        return _placed(WAVES, group, wave_operands(group, pools), vectors)
    return _placed(KINKS, group, piecewise_operands(group.first, pools), vectors)


def _placed(
    code: int, group: Group, operands: tuple[int, list[PerUnit]] | None, vectors: UnitVectors
) -> Encoded | None:
    """Operations for value and slope at once, with a place in the pools."""
    if operands is None:
        return None
    place, sides = operands
    return dict.fromkeys(group.nodes, (code, place, vectors.add(*sides), 0, 0))


def _series(group: Group, graph: ExpressionGraph, vectors: UnitVectors, coefficients: Coefficients) -> Encoded | None:
    """A series each for value and slope."""
    units = {node: coefficients(node) for node in group.nodes}
    found: Encoded = {}
    for node, unit in units.items():
        if unit is None:
            return None
        code, sides, counts = as_series(unit) if node in graph.before_cusps else as_powers(unit, vectors.dtype)
        found[node] = (code, 0, vectors.add(*sides), *counts)
    return found
