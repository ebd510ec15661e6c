"""Tables of activations as the engine reads them: columns sorted by the cell of their norm, coefficients in one array.

In come activations with the standard deviations of the units that they are applied to, out go, for each, the place of
its integers and its vectors of numbers per unit: the asinh of the norm and the Chebyshev polynomials of it, those of
the columns sorted by cell.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from neural_kernels.activations.base import Dual
from neural_kernels.activations.expectations.meetings import Bend
from neural_kernels.activations.tables import bends_of, cell_tables, cells_of, pairs_to_integrate
from neural_kernels.engine.meetings import NUMBERS
from neural_kernels.engine.tables import HEAD, LONGEST, PAIR
from neural_kernels.exact.compile.pools import Pools
from neural_kernels.exact.expressions.duals import Activated
from neural_kernels.exact.expressions.pairs import PerUnit
from neural_kernels.runtime.numerics import safe_divide

_WORTH = 2  # times as many pairs may be integrated for tables, which serve again, as are asked for


def table_operands(node: Activated, pools: Pools) -> tuple[int, list[PerUnit]] | None:
    """Place of the table of an activation, value and slope at once, and its vectors; None where it has none."""
    left, right = (node.argument.stds[k].to(torch.float64) for k in (0, -1))
    cells = cells_of(node.dual)
    (cells1, index1), (cells2, index2) = (cells.of(std).unique(return_inverse=True) for std in (left, right))
    if pairs_to_integrate(node.dual, cells1.tolist(), cells2.tolist()) > _WORTH * len(left) * len(right):
        return None
    pairs = list(cell_tables(node.dual, cells1.tolist(), cells2.tolist()).values())
    tables = [pair for pair in pairs if pair is not None and pair.value.shape[-1] + pair.slope.shape[-1] <= LONGEST]
    if len(tables) < len(pairs):
        return None
    order = index2.argsort(stable=True)
    starts = torch.searchsorted(index2[order], torch.arange(len(cells2) + 1))
    parts = [index1, order, starts]
    places = np.cumsum([HEAD, *(len(part) for part in parts)])
    kinks = bends_of(node.dual) or ()
    lines, behind = [], int(places[-1]) + PAIR * len(tables)
    details: list[Tensor] = []
    for pair in tables:
        packed = pair.packed(pools.dtype)
        met = torch.tensor(
            [number for meeting in pair.meetings for number in _meeting(kinks, *meeting)], dtype=torch.long
        )
        lines += [pools.add_floats(packed.numbers), *packed.counts, int(pair.weighted)]
        lines += [behind, behind + len(packed.integers), len(pair.meetings)]
        details += [packed.integers, met]
        behind += len(packed.integers) + len(met)
    place = pools.add_integers([torch.tensor([len(cells2), *places]), *parts, torch.tensor(lines), *details])
    sides = [_per_unit(node.dual, kinks, std) for std in (left, right)]
    return place, list(zip(sides[0], sides[1][:, order], strict=True))


def _meeting(kinks: Sequence[Bend], i: int, j: int) -> tuple[int, ...]:
    """The integers of a meeting, as `engine.meetings` reads them."""
    return 1 + NUMBERS * i, 1 + NUMBERS * j, int(kinks[i].side != kinks[j].side)


def _per_unit(dual: Dual, kinks: Sequence[Bend], std: Tensor) -> Tensor:
    """The asinh of the norm and its polynomials; with kinks off the origin the ratio of units and the kinks."""
    tau, rows = cells_of(dual).polynomials(std)
    vectors = [tau[None], rows[1:]]
    if kinks:
        scale = dual.std(std)
        vectors.append(safe_divide(scale, std * dual.slope_std(std))[None])
        for kink in kinks:
            place, *jumps = kink.numbers(std)
            vectors.append(torch.stack([place, *(safe_divide(jump, scale) for jump in jumps)]))
    return torch.cat(vectors)
