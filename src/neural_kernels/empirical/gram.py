"""Gram matrices block by block, from gradients that are kept as long as the memory allows."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor
from tqdm import tqdm

from neural_kernels.empirical.batches import Source
from neural_kernels.empirical.factors import Factor
from neural_kernels.empirical.model import check_finite
from neural_kernels.empirical.plan import Plan

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
            entries = _symmetric(mine, plan.probe.kept)
            _check_finite(entries, (rows, mine))
            _write(out, rows, rows, entries)
            bar.update(_pairs(rows, rows))
        stop = rows.start if second is None else columns.length
        for places, its in kept if keep else _blocks(plan, columns, size, stop):
            entries = _product(mine, its, plan.probe.kept)
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


def _product(mine: Sequence[Factor], its: Sequence[Factor], k: int) -> Tensor:
    entries = _like(mine).new_zeros(_count(mine) * k, _count(its) * k)
    for a, b in zip(mine, its, strict=True):
        a.add_gram(b, entries)
    return entries


def _symmetric(factors: Sequence[Factor], k: int) -> Tensor:
    """What is below the diagonal, twice."""
    entries = _like(factors).new_zeros(_count(factors) * k, _count(factors) * k)
    for factor in factors:
        factor.add_own(entries)
    return entries.tril_().add_(entries.tril(-1).T)


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
