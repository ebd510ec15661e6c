"""Inner products of sums of outer products, in the cheapest order.

With C[n, t, m, s] the products of what was read at positions t and s of examples n and m, and G the gradients by what
was written, the kernel is the sum over t, s and j of C[n, t, m, s] G[n, t, k, j] G[m, s, l, j].
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from neural_kernels.empirical.rules.cache import CACHED, steps
from neural_kernels.empirical.rules.inputs import Left, Rows

_LEAF = 128  # rows of a symmetric matrix below which it is not halved any more
# Times, of a multiplication in a large matrix product (measured): of one in the other two orders, of an entry of the
# Gram matrices over positions, and of a call.
_HALVES, _PAIRS, _ENTRY, _CALL = 1.6, 1.2, 16, 2e6


@dataclass(frozen=True)
class Sides:
    """Some examples' gradients: what was read, and the gradients by what was written, (n, t, k, j)."""

    left: Left
    right: Tensor

    def __getitem__(self, rows: slice) -> Sides:
        return Sides(self.left[rows], self.right[rows])


Contraction = Callable[[Sides, Sides, Tensor], None]


def contract(mine: Sides, its: Sides, into: Tensor) -> None:
    """Add all inner products to a matrix (n k, m l)."""
    cheapest(mine, its)(mine, its, into)


def contract_own(sides: Sides, into: Tensor) -> None:
    """Add those on and below the diagonal to a matrix (n k, n k); what is above may be anything."""
    _OWN[cheapest(sides, sides)](sides, into)


def cheapest(mine: Sides, its: Sides) -> Contraction:
    """The order of the least cost."""
    every = costs(mine, its)
    return min(every, key=lambda contraction: every[contraction])


def costs(mine: Sides, its: Sides) -> dict[Contraction, float]:
    """Counted multiplications of every order, weighted with the time that each takes in its place."""
    n, t, k, j = mine.right.shape
    m, s, ell, _ = its.right.shape
    i = mine.left.width
    pairs, formed = (n * n / 2, k * t * n) if mine is its else (n * m, k * t * n + ell * s * m)
    counted: dict[Contraction, float] = {
        contract_pairs: pairs * t * s * (_PAIRS * (i + k * ell * j) + _ENTRY * k * ell),
        contract_halves: pairs * (t * s * i + _HALVES * (ell * t * s * j + k * ell * t * j)) + _CALL * m,
    }
    if isinstance(mine.left, Rows):
        counted[contract_whole] = i * j * (pairs * k * ell + formed)
    return counted


def contract_pairs(mine: Sides, its: Sides, into: Tensor) -> None:
    """Both Gram matrices over positions, then their entrywise product: for one position or one output."""
    n, t, k, _ = mine.right.shape
    m, s, ell, _ = its.right.shape
    matrix = into.unflatten(1, (m, ell)).unflatten(0, (n, k))
    other = its.right.flatten(0, 2).T
    for rows in steps(n, t * m * s * k * ell):
        right = mine.right[rows]
        inner = (right.flatten(0, 2) @ other).view(*right.shape[:3], m, s, ell)
        products = mine.left[rows].gram(its.left).to(inner.dtype)[:, :, None, :, :, None]
        if t == s == 1:
            matrix[rows].addcmul_(products[:, 0, :, :, 0], inner[:, 0, :, :, 0])
        else:
            matrix[rows] += inner.mul_(products).sum((1, 4))


def contract_pairs_own(sides: Sides, into: Tensor) -> None:
    """The same on and below the diagonal: the lower left quarter, then both on the diagonal likewise."""
    n, t, k, _ = sides.right.shape
    if n == 1 or n * t * k <= _LEAF:
        contract_pairs(sides, sides, into)
        return
    half = n // 2
    high, low, cut = sides[:half], sides[half:], half * k
    contract_pairs(low, high, into[cut:, :cut])
    contract_pairs_own(high, into[:cut, :cut])
    contract_pairs_own(low, into[cut:, cut:])


def contract_halves(mine: Sides, its: Sides, into: Tensor) -> None:
    """The products of what was read, applied to one side's gradients, then to the other's."""
    n, t, k, _ = mine.right.shape
    m, s, ell, j = its.right.shape
    matrix = into.unflatten(1, (m, ell)).unflatten(0, (n, k))
    for rows in steps(n, t * max(m * s, ell * j)):
        products = mine.left[rows].gram(its.left)
        for column in range(m):
            matrix[rows, :, column] += _halved(mine.right[rows], products[:, :, column], its.right[column])


def contract_halves_own(sides: Sides, into: Tensor) -> None:
    """The same on and below the diagonal."""
    n, t, k, j = sides.right.shape
    matrix = into.unflatten(1, (n, k)).unflatten(0, (n, k))
    for rows in steps(n, t * max(n * t, k * j)):
        stop = min(n, rows.stop)
        products = sides.left[rows].gram(sides.left[:stop])
        for column in range(stop):
            start = max(rows.start, column)
            part = products[start - rows.start :, :, column]
            matrix[start:stop, :, column] += _halved(sides.right[start:stop], part, sides.right[column])


def _halved(right: Tensor, products: Tensor, gradients: Tensor) -> Tensor:
    """(n, k, l) from (n, t, k, j), (n, t, s) and (s, l, j)."""
    n, t, k, j = right.shape
    half = products.to(right.dtype).flatten(0, 1) @ gradients.flatten(1)
    entries = right.flatten(0, 1) @ half.view(n * t, -1, j).mT
    return entries.view(n, t, k, -1).sum(1)


def contract_whole(mine: Sides, its: Sides, into: Tensor) -> None:
    """Whole gradients, some channels at a time: for few channels and many positions or outputs."""
    for a, b in zip(_formed(mine, its), _formed(its, mine), strict=True):
        into.addmm_(a, b.T)


def contract_whole_own(sides: Sides, into: Tensor) -> None:
    """The same on and below the diagonal."""
    for gradients in _formed(sides, sides):
        add_lower(gradients, into)


def add_lower(rows: Tensor, into: Tensor) -> None:
    """Add rows rows^T on and below the diagonal: the lower left quarter, then both on the diagonal likewise."""
    n = len(rows)
    if n <= _LEAF:
        into.addmm_(rows, rows.T)
        return
    half = n // 2
    into[half:, :half].addmm_(rows[half:], rows[:half].T)
    add_lower(rows[:half], into[:half, :half])
    add_lower(rows[half:], into[half:, half:])


_OWN: dict[Contraction, Callable[[Sides, Tensor], None]] = {
    contract_pairs: contract_pairs_own,
    contract_halves: contract_halves_own,
    contract_whole: contract_whole_own,
}


def _formed(sides: Sides, other: Sides) -> Iterator[Tensor]:
    """Gradients (n k, channels i) by so many channels that both sides' stay in cache, in memory used again."""
    assert isinstance(sides.left, Rows)
    n, _, k, j = sides.right.shape
    i = sides.left.width
    step = max(1, CACHED // (i * max(n * k, len(other.right) * other.right.shape[2])))
    memory = sides.right.new_empty(n, k * min(step, j), i)
    for start in range(0, j, step):
        right = sides.right[..., start : start + step].flatten(2)
        table = memory if right.shape[2] == memory.shape[1] else memory.new_empty(n, right.shape[2], i)
        torch.bmm(right.mT, sides.left.values, out=table)
        yield table.view(n * k, -1)
