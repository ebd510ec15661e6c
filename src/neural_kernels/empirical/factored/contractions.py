"""Inner products of sums of outer products, in the cheapest order.

With C[n, t, m, s] the products of what was read at positions t and s of examples n and m, and G the gradients by what
was written, the kernel is the sum over t, s and j of C[n, t, m, s] G[n, t, k, j] G[m, s, l, j]. Three orders of these
sums give the same: `contract_pairs`, `contract_halves`, `contract_whole`; `costs` counts each. The factors of two
blocks of examples go in, and entries are added to a matrix in place.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from neural_kernels.empirical.rules.cache import CACHED, steps
from neural_kernels.empirical.rules.inputs import LayerInput, VectorInput

_LEAF = 128  # rows of a symmetric matrix below which it is not halved any more
# Times, of a multiplication in a large matrix product (measured): of one in the other two orders, of an entry of the
# Gram matrices over positions, and of a call.
_HALVES, _PAIRS, _ENTRY, _CALL = 1.6, 1.2, 16, 2e6


@dataclass(frozen=True)
class OuterProducts:
    """The two factors of some examples' gradients: g[n, k] = sum_t gradients[n, t, k] (x) inputs[n, t].

    Parameters
    ----------
    inputs : LayerInput
        What was read at each position, (n, t, i).
    gradients : Tensor, shape (n, t, k, j)
        By what was written at each position, for each of k outputs.
    """

    inputs: LayerInput
    gradients: Tensor

    def __getitem__(self, rows: slice) -> OuterProducts:
        return OuterProducts(self.inputs[rows], self.gradients[rows])


Contraction = Callable[[OuterProducts, OuterProducts, Tensor], None]


def contract(mine: OuterProducts, its: OuterProducts, into: Tensor) -> None:
    """Add all inner products, by the cheapest order, to a matrix (n k, m l)."""
    cheapest(mine, its)(mine, its, into)


def contract_symmetric(factors: OuterProducts, into: Tensor) -> None:
    """Add inner products on and below the diagonal to a matrix (n k, n k); what is above may be anything."""
    _SYMMETRIC[cheapest(factors, factors)](factors, into)


def cheapest(mine: OuterProducts, its: OuterProducts) -> Contraction:
    """The order of the least cost for these factors."""
    counted = costs(mine, its)
    return min(counted, key=lambda contraction: counted[contraction])


def costs(mine: OuterProducts, its: OuterProducts) -> dict[Contraction, float]:
    """Multiplications of every order that applies, weighted with the time that each takes in its place.

    Per pair of examples, with t and s positions, k and l outputs, vectors of length i read and j written: pairs takes
    t s (i + k l j), halves t s i + l t s j + k l t j, and whole i j k l, after k t i j for every example to form its
    gradients. `mine is its` halves the pairs.
    """
    n, t, k, j = mine.gradients.shape
    m, s, ell, _ = its.gradients.shape
    i = mine.inputs.width
    pairs, formed = (n * n / 2, k * t * n) if mine is its else (n * m, k * t * n + ell * s * m)
    counted: dict[Contraction, float] = {
        contract_pairs: pairs * t * s * (_PAIRS * (i + k * ell * j) + _ENTRY * k * ell),
        contract_halves: pairs * (t * s * i + _HALVES * (ell * t * s * j + k * ell * t * j)) + _CALL * m,
    }
    if isinstance(mine.inputs, VectorInput):
        counted[contract_whole] = i * j * (pairs * k * ell + formed)
    return counted


def contract_pairs(mine: OuterProducts, its: OuterProducts, into: Tensor) -> None:
    """Form both Gram matrices over positions, then their entrywise product: for one position or one output."""
    n, t, k, _ = mine.gradients.shape
    m, s, ell, _ = its.gradients.shape
    matrix = into.unflatten(1, (m, ell)).unflatten(0, (n, k))
    other = its.gradients.flatten(0, 2).T
    for rows in steps(n, t * m * s * k * ell):
        gradients = mine.gradients[rows]
        inner = (gradients.flatten(0, 2) @ other).view(*gradients.shape[:3], m, s, ell)
        products = mine.inputs[rows].gram(its.inputs).to(inner.dtype)[:, :, None, :, :, None]
        if t == s == 1:
            matrix[rows].addcmul_(products[:, 0, :, :, 0], inner[:, 0, :, :, 0])
        else:
            matrix[rows] += inner.mul_(products).sum((1, 4))


def contract_pairs_symmetric(factors: OuterProducts, into: Tensor) -> None:
    """`contract_pairs` on and below the diagonal: the lower left quarter, then each of the two on the diagonal so."""
    n, t, k, _ = factors.gradients.shape
    if n == 1 or n * t * k <= _LEAF:
        contract_pairs(factors, factors, into)
        return
    half = n // 2
    high, low, cut = factors[:half], factors[half:], half * k
    contract_pairs(low, high, into[cut:, :cut])
    contract_pairs_symmetric(high, into[:cut, :cut])
    contract_pairs_symmetric(low, into[cut:, cut:])


def contract_halves(mine: OuterProducts, its: OuterProducts, into: Tensor) -> None:
    """Apply the products of what was read to one block's gradients, and multiply by the other's."""
    n, t, k, _ = mine.gradients.shape
    m, s, ell, j = its.gradients.shape
    matrix = into.unflatten(1, (m, ell)).unflatten(0, (n, k))
    for rows in steps(n, t * max(m * s, ell * j)):
        products = mine.inputs[rows].gram(its.inputs)
        for column in range(m):
            matrix[rows, :, column] += _halved(mine.gradients[rows], products[:, :, column], its.gradients[column])


def contract_halves_symmetric(factors: OuterProducts, into: Tensor) -> None:
    """`contract_halves` on and below the diagonal."""
    n, t, k, j = factors.gradients.shape
    matrix = into.unflatten(1, (n, k)).unflatten(0, (n, k))
    for rows in steps(n, t * max(n * t, k * j)):
        stop = min(n, rows.stop)
        products = factors.inputs[rows].gram(factors.inputs[:stop])
        for column in range(stop):
            start = max(rows.start, column)
            part = products[start - rows.start :, :, column]
            matrix[start:stop, :, column] += _halved(factors.gradients[start:stop], part, factors.gradients[column])


def _halved(mine: Tensor, products: Tensor, gradients: Tensor) -> Tensor:
    """Entries (n, k, l) from gradients (n, t, k, j) and (s, l, j), and products (n, t, s) of what was read."""
    n, t, k, j = mine.shape
    half = products.to(mine.dtype).flatten(0, 1) @ gradients.flatten(1)
    entries = mine.flatten(0, 1) @ half.view(n * t, -1, j).mT
    return entries.view(n, t, k, -1).sum(1)


def contract_whole(mine: OuterProducts, its: OuterProducts, into: Tensor) -> None:
    """Form whole gradients, some channels at a time: for few channels and many positions or outputs."""
    for a, b in zip(_formed(mine, its), _formed(its, mine), strict=True):
        into.addmm_(a, b.T)


def contract_whole_symmetric(factors: OuterProducts, into: Tensor) -> None:
    """`contract_whole` on and below the diagonal."""
    for gradients in _formed(factors, factors):
        add_lower(gradients, into)


def add_lower(rows: Tensor, into: Tensor) -> None:
    """Add rows rows^T on and below the diagonal: the lower left quarter, then each of the two on the diagonal so."""
    n = len(rows)
    if n <= _LEAF:
        into.addmm_(rows, rows.T)
        return
    half = n // 2
    into[half:, :half].addmm_(rows[half:], rows[:half].T)
    add_lower(rows[:half], into[:half, :half])
    add_lower(rows[half:], into[half:, half:])


_SYMMETRIC: dict[Contraction, Callable[[OuterProducts, Tensor], None]] = {
    contract_pairs: contract_pairs_symmetric,
    contract_halves: contract_halves_symmetric,
    contract_whole: contract_whole_symmetric,
}


def _formed(factors: OuterProducts, other: OuterProducts) -> Iterator[Tensor]:
    """Whole gradients (n k, channels i) by so many channels that both blocks' stay in cache, in memory used again."""
    assert isinstance(factors.inputs, VectorInput)
    n, _, k, j = factors.gradients.shape
    i = factors.inputs.width
    step = max(1, CACHED // (i * max(n * k, len(other.gradients) * other.gradients.shape[2])))
    memory = factors.gradients.new_empty(n, k * min(step, j), i)
    for start in range(0, j, step):
        gradients = factors.gradients[..., start : start + step].flatten(2)
        table = memory if gradients.shape[2] == memory.shape[1] else memory.new_empty(n, gradients.shape[2], i)
        torch.bmm(gradients.mT, factors.inputs.values, out=table)
        yield table.view(n * k, -1)
