"""Tables of activations as the engine reads them: columns sorted by the cell of their norm, coefficients in one array.

In come activations with the standard deviations of the units that they are applied to, out go, for each, the place of
its integers and its vectors of numbers per unit: the asinh of the norm and the Chebyshev polynomials of it, those of
the columns sorted by cell.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from neural_kernels.activations.tables import cell_tables, cells_of, polynomials
from neural_kernels.engine.tables import HEAD, LONGEST, PAIR
from neural_kernels.exact.compile.pools import Pools
from neural_kernels.exact.expressions.duals import Activated
from neural_kernels.exact.expressions.pairs import PerUnit


def table_operands(node: Activated, pools: Pools) -> tuple[int, list[PerUnit]] | None:
    """Place of the table of an activation, value and slope at once, and its vectors; None where it has none."""
    left, right = (node.argument.stds[k].to(torch.float64) for k in (0, -1))
    (cells1, index1), (cells2, index2) = (cells_of(std).unique(return_inverse=True) for std in (left, right))
    pairs = list(cell_tables(node.dual, cells1.tolist(), cells2.tolist()).values())
    tables = [pair for pair in pairs if pair is not None and pair.value.shape[-1] + pair.slope.shape[-1] <= LONGEST]
    if len(tables) < len(pairs):
        return None
    order = index2.argsort(stable=True)
    starts = torch.searchsorted(index2[order], torch.arange(len(cells2) + 1))
    parts = [index1, order, starts]
    places = np.cumsum([HEAD, *(len(part) for part in parts)])
    lines, behind = [], int(places[-1]) + PAIR * len(tables)
    for pair in tables:
        packed = pair.packed(pools.dtype)
        lines += [pools.add_floats(packed.numbers), *packed.counts, int(pair.weighted), behind]
        behind += len(packed.integers)
    parts += [torch.tensor(lines), *(pair.packed(pools.dtype).integers for pair in tables)]
    place = pools.add_integers([torch.tensor([len(cells2), *places]), *parts])
    sides = [torch.cat([tau[None], rows[1:]]) for tau, rows in (_per_unit(left), _per_unit(right))]
    return place, list(zip(sides[0], sides[1][:, order], strict=True))


def _per_unit(std: Tensor) -> tuple[Tensor, Tensor]:
    return polynomials(std, cells_of(std))
