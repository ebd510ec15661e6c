"""Gram matrices block by block, from gradients that are kept as long as the memory allows.

A plan and one or two sources of examples go in; the entries are written to memory that is handed in.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor
from tqdm import tqdm

from neural_kernels.empirical.factored.gradients import GroupGradients
from neural_kernels.empirical.factored.plan import GradientPlan
from neural_kernels.empirical.module.batches import ExampleSource
from neural_kernels.empirical.module.model import check_finite
from neural_kernels.runtime.workers import even_shares, share_out

_ROWS = 1 << 11  # of a block: its products with another take 16 MB in float32

RowsGradients = tuple[slice, list[GroupGradients]]  # of the examples in these rows, for every group


def fill(
    plan: GradientPlan, first: ExampleSource, second: ExampleSource | None, out: Any, memory: int, bar: tqdm
) -> None:
    """Compute all entries, (n1, n2, k, k); for the symmetric matrix `second` is None, and half are computed.

    The gradients of all columns are kept if they fit into half of the memory; otherwise rows and columns share it, and
    the columns' gradients are captured anew for every block of rows.

    Parameters
    ----------
    plan : GradientPlan
    first, second : ExampleSource
    out : Tensor or ndarray, shape (n1, n2, k, k)
    memory : int
        Bytes for gradients.
    bar : tqdm
        Counts pairs of examples.
    """
    columns = second or first
    fitting = max(1, memory // max(1, plan.bytes))
    keep = fitting >= 2 * columns.length
    size = max(1, min(_ROWS // plan.projection.kept, columns.length if keep else fitting // 3))
    kept: list[RowsGradients] = list(_blocks(plan, second, size)) if keep and second is not None else []
    for rows, mine in _blocks(plan, first, size):
        if second is None:
            entries = _symmetric(mine, plan)
            with plan.passes.one_thread():
                _check_finite(entries, (rows, mine))
                _write(out, rows, rows, entries)
            bar.update(_pairs(rows, rows))
        stop = rows.start if second is None else columns.length
        for places, its in kept if keep else _blocks(plan, columns, size, stop):
            entries = _product(mine, its, plan)
            with plan.passes.one_thread():
                _check_finite(entries, (rows, mine), (places, its))
                _write(out, rows, places, entries)
                if second is None:
                    _write(out, places, rows, entries.T)
            bar.update(_pairs(rows, places) * (2 if second is None else 1))
        if keep and second is None:
            kept.append((rows, mine))


def diagonal(plan: GradientPlan, source: ExampleSource, memory: int) -> Tensor:
    """Compute the blocks (n, k, k) of every example with itself, with `memory` bytes for gradients."""
    size = max(1, memory // max(1, plan.bytes))
    parts = []
    for rows, gradients in _blocks(plan, source, size):
        entries = _like(gradients).new_zeros(rows.stop - rows.start, plan.projection.kept, plan.projection.kept)
        for item in gradients:
            item.add_diag(entries)
        _check_finite(entries, (rows, gradients))
        parts.append(entries)
    return torch.cat(parts)


def _blocks(plan: GradientPlan, source: ExampleSource, size: int, stop: int | None = None) -> Iterator[RowsGradients]:
    """The gradients of at most `size` examples at a time, of those before `stop`."""
    for rows, batch in source.blocks(size):
        if stop is not None and rows.start >= stop:
            return
        yield rows, plan.gradients(batch, rows)


def _product(mine: Sequence[GroupGradients], its: Sequence[GroupGradients], plan: GradientPlan) -> Tensor:
    return _sum(mine, its, plan, lambda a, b, entries: a.add_gram(b, entries))


def _symmetric(gradients: Sequence[GroupGradients], plan: GradientPlan) -> Tensor:
    """The products of a block with itself: what is below the diagonal, twice."""
    entries = _sum(gradients, gradients, plan, lambda a, _, entries: a.add_symmetric(entries))
    with plan.passes.one_thread():
        return entries.tril_().add_(entries.tril(-1).T)


def _sum(
    mine: Sequence[GroupGradients],
    its: Sequence[GroupGradients],
    plan: GradientPlan,
    add: Callable[[GroupGradients, GroupGradients, Tensor], None],
) -> Tensor:
    """Sums of products over groups of parameters.

    Where passes run at the same time, sums do: each over some groups, always the same ones. (With threads of torch in
    one of these stages only, they would wait for more work in a loop, for some milliseconds of the other.)
    """
    pairs, k = list(zip(mine, its, strict=True)), plan.projection.kept
    shares = even_shares([a.cost(b) for a, b in pairs], len(plan.passes))
    sums: dict[int, Tensor] = {}

    def work(number: int, _: Any) -> None:
        sums[number] = _like(mine).new_zeros(_count(mine) * k, _count(its) * k)
        for pair in shares[number]:
            add(*pairs[pair], sums[number])

    share_out(range(len(shares)), work)
    with plan.passes.one_thread():
        for number in range(1, len(shares)):
            sums[0] += sums[number]
    return sums[0]


def _write(out: Any, rows: slice, columns: slice, entries: Tensor) -> None:
    """Write a matrix (n k, m l) to the rows and columns of examples of `out`, (n1, n2, k, l)."""
    k, ell = out.shape[2:]
    block = entries.view(-1, k, entries.shape[1] // ell, ell).transpose(1, 2)
    out[rows, columns] = block.cpu().numpy() if isinstance(out, np.ndarray) else block


def _check_finite(entries: Tensor, *blocks: RowsGradients) -> None:
    """Refuse entries that are not finite, by the gradients that are not, if it is these."""
    if entries.isfinite().all():
        return
    for rows, gradients in blocks:
        for item in gradients:
            for tensor in item.tensors():
                check_finite(tensor, rows, "derivatives")
    raise ValueError(
        f"entries of the kernel overflow {entries.dtype}; expected finite ones. Scale the examples or the weights "
        "down, or call module.double()."
    )


def _like(gradients: Sequence[GroupGradients]) -> Tensor:
    return gradients[0].tensors()[-1]


def _count(gradients: Sequence[GroupGradients]) -> int:
    return len(_like(gradients))


def _pairs(rows: slice, columns: slice) -> int:
    return (rows.stop - rows.start) * (columns.stop - columns.start)
