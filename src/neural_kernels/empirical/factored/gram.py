"""Gram matrices block by block, from gradients that are kept as long as the memory allows."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor
from tqdm import tqdm

from neural_kernels.empirical.factored.factors import Factor
from neural_kernels.empirical.factored.plan import Plan
from neural_kernels.empirical.module.batches import Source
from neural_kernels.empirical.module.model import check_finite
from neural_kernels.runtime.workers import even_shares, share_out

_ROWS = 1 << 11  # of a block: its products with another take 16 MB in float32

Block = tuple[slice, list[Factor]]


def fill(plan: Plan, first: Source, second: Source | None, out: Any, memory: int, bar: tqdm) -> None:
    """All entries, (n1, n2, k, k); for the symmetric matrix `second` is None, and half of them are computed.

    Parameters
    ----------
    plan : Plan
    first, second : Source
    out : Tensor or ndarray, shape (n1, n2, k, k)
    memory : int
        Bytes for gradients.
    bar : tqdm
        Told of pairs of examples.
    """
    columns = second or first
    fitting = max(1, memory // max(1, plan.bytes))
    keep = fitting >= 2 * columns.length
    size = max(1, min(_ROWS // plan.probe.kept, columns.length if keep else fitting // 3))
    kept: list[Block] = list(_blocks(plan, second, size)) if keep and second is not None else []
    for rows, mine in _blocks(plan, first, size):
        if second is None:
            entries = _symmetric(mine, plan)
            with plan.crew.calm():
                _check_finite(entries, (rows, mine))
                _write(out, rows, rows, entries)
            bar.update(_pairs(rows, rows))
        stop = rows.start if second is None else columns.length
        for places, its in kept if keep else _blocks(plan, columns, size, stop):
            entries = _product(mine, its, plan)
            with plan.crew.calm():
                _check_finite(entries, (rows, mine), (places, its))
                _write(out, rows, places, entries)
                if second is None:
                    _write(out, places, rows, entries.T)
            bar.update(_pairs(rows, places) * (2 if second is None else 1))
        if keep and second is None:
            kept.append((rows, mine))


def diagonal(plan: Plan, source: Source, memory: int) -> Tensor:
    """The blocks of every example with itself, (n, k, k)."""
    size = max(1, memory // max(1, plan.bytes))
    parts = []
    for rows, factors in _blocks(plan, source, size):
        entries = _like(factors).new_zeros(rows.stop - rows.start, plan.probe.kept, plan.probe.kept)
        for factor in factors:
            factor.add_diag(entries)
        _check_finite(entries, (rows, factors))
        parts.append(entries)
    return torch.cat(parts)


def _blocks(plan: Plan, source: Source, size: int, stop: int | None = None) -> Iterator[Block]:
    """Gradients of the examples before `stop`."""
    for rows, batch in source.blocks(size):
        if stop is not None and rows.start >= stop:
            return
        yield rows, plan.factors(batch, rows)


def _product(mine: Sequence[Factor], its: Sequence[Factor], plan: Plan) -> Tensor:
    return _sum(mine, its, plan, lambda a, b, entries: a.add_gram(b, entries))


def _symmetric(factors: Sequence[Factor], plan: Plan) -> Tensor:
    """What is below the diagonal, twice."""
    entries = _sum(factors, factors, plan, lambda a, _, entries: a.add_own(entries))
    with plan.crew.calm():
        return entries.tril_().add_(entries.tril(-1).T)


def _sum(
    mine: Sequence[Factor], its: Sequence[Factor], plan: Plan, add: Callable[[Factor, Factor, Tensor], None]
) -> Tensor:
    """Over groups of parameters.

    Where passes run at the same time, sums do: each over some groups, always the same ones. (With threads of torch in
    one of these stages only, they would wait for more work in a loop, for some milliseconds of the other.)
    """
    pairs, k = list(zip(mine, its, strict=True)), plan.probe.kept
    shares = even_shares([a.cost(b) for a, b in pairs], len(plan.crew))
    sums: dict[int, Tensor] = {}

    def work(number: int, _: Any) -> None:
        sums[number] = _like(mine).new_zeros(_count(mine) * k, _count(its) * k)
        for pair in shares[number]:
            add(*pairs[pair], sums[number])

    share_out(range(len(shares)), work)
    with plan.crew.calm():
        for number in range(1, len(shares)):
            sums[0] += sums[number]
    return sums[0]


def _write(out: Any, rows: slice, columns: slice, entries: Tensor) -> None:
    k, ell = out.shape[2:]
    block = entries.view(-1, k, entries.shape[1] // ell, ell).transpose(1, 2)
    out[rows, columns] = block.cpu().numpy() if isinstance(out, np.ndarray) else block


def _check_finite(entries: Tensor, *blocks: Block) -> None:
    """Refuse entries that are not finite, by the gradients that are not, if it is these."""
    if entries.isfinite().all():
        return
    for rows, factors in blocks:
        for factor in factors:
            for tensor in factor.tensors():
                check_finite(tensor, rows, "derivatives")
    raise ValueError(
        f"entries of the kernel overflow {entries.dtype}; expected finite ones. Scale the examples or the weights "
        "down, or call module.double()."
    )


def _like(factors: Sequence[Factor]) -> Tensor:
    return factors[0].tensors()[-1]


def _count(factors: Sequence[Factor]) -> int:
    return len(_like(factors))


def _pairs(rows: slice, columns: slice) -> int:
    return (rows.stop - rows.start) * (columns.stop - columns.start)
