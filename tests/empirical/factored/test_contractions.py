"""Inner products of sums of outer products: every order equals the formula, and the counted costs choose well."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from neural_kernels.empirical.factored import contractions
from neural_kernels.empirical.factored.contractions import (
    OuterProducts,
    add_lower,
    cheapest,
    contract,
    contract_halves,
    contract_halves_symmetric,
    contract_pairs,
    contract_pairs_symmetric,
    contract_symmetric,
    contract_whole,
    contract_whole_symmetric,
    costs,
)
from neural_kernels.empirical.rules.inputs import IndexInput, LayerInput, RowInput

SYMMETRIC = {
    contract_pairs: contract_pairs_symmetric,
    contract_halves: contract_halves_symmetric,
    contract_whole: contract_whole_symmetric,
}
ORDERS = list(SYMMETRIC)
# Examples, positions, outputs, width read and width written of two blocks.
SHAPES = [
    *((5, 1, 1, 4, 3, 6, 1), (5, 3, 2, 4, 3, 6, 2), (130, 1, 2, 2, 3, 3, 4), (2, 7, 1, 3, 200, 3, 5)),
    *((130, 4, 5, 2, 3, 40, 4), (130, 32, 1, 2, 3, 40, 32), (130, 1, 10, 200, 9, 3, 1)),  # in several steps
]


def vectors(n: int, t: int, i: int) -> LayerInput:
    return RowInput(torch.randn(n, t, i, dtype=torch.float64))


def indices(n: int, t: int, i: int) -> LayerInput:
    return IndexInput(torch.randint(-1, i, (n, t)), i)


def blocks(shape: tuple[int, ...], make: Any = vectors) -> tuple[OuterProducts, OuterProducts]:
    n, t, k, i, j, m, s = shape
    torch.manual_seed(0)
    mine = OuterProducts(make(n, t, i), torch.randn(n, t, k, j, dtype=torch.float64))
    return mine, OuterProducts(make(m, s, i), torch.randn(m, s, k + 1, j, dtype=torch.float64))


def formula(mine: OuterProducts, its: OuterProducts) -> Tensor:
    products = mine.inputs.gram(its.inputs).double()
    entries = torch.einsum("ntms,ntkj,mslj->nkml", products, mine.gradients, its.gradients)
    return entries.flatten(2).flatten(0, 1)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize(
    ("order", "make"), [*((order, vectors) for order in ORDERS), (contract_pairs, indices), (contract_halves, indices)]
)
def test_every_order_is_the_formula(order: Any, make: Any, shape: tuple[int, ...]) -> None:
    """Added to what is there, of two blocks and of one with itself, in one step and in many."""
    mine, its = blocks(shape, make)
    expected = formula(mine, its)
    start = torch.randn_like(expected)
    entries = start.clone()
    order(mine, its, entries)
    torch.testing.assert_close(entries, start + expected, rtol=1e-11, atol=1e-11)
    expected = formula(mine, mine)
    start = torch.randn_like(expected)
    entries = start.clone()
    SYMMETRIC[order](mine, entries)
    torch.testing.assert_close(entries.tril(), (start + expected).tril(), rtol=1e-11, atol=1e-11)


@pytest.mark.parametrize("n", [1, 5, 128, 129, 300])
def test_lower_triangles(n: int) -> None:
    rows = torch.randn(n, 7, dtype=torch.float64)
    start = torch.randn(n, n, dtype=torch.float64)
    entries = start.clone()
    add_lower(rows, entries)
    torch.testing.assert_close(entries.tril(), (start + rows @ rows.T).tril(), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("shape", SHAPES)
def test_costs_count_multiplications(shape: tuple[int, ...]) -> None:
    """By the formulas of the module, with the measured weights taken out where only one term has one."""
    n, t, k, i, j, m, s = shape
    mine, its = blocks(shape)
    ell = k + 1
    counted = costs(mine, its)
    assert counted[contract_whole] == i * j * (n * m * k * ell + n * k * t + m * ell * s)
    pairs = counted[contract_pairs] - n * m * t * s * contractions._ENTRY * k * ell
    assert pairs == pytest.approx(contractions._PAIRS * n * m * t * s * (i + k * ell * j))
    halves = counted[contract_halves] - contractions._CALL * m - n * m * t * s * i
    assert halves == pytest.approx(contractions._HALVES * n * m * (ell * t * s * j + k * ell * t * j))
    symmetric = costs(mine, mine)
    assert symmetric[contract_whole] == i * j * (n * n / 2 * k * k + n * k * t)
    assert symmetric[contract_pairs] == pytest.approx(costs(mine, mine[:])[contract_pairs] / 2)


def test_tables_have_no_whole_gradients() -> None:
    mine, its = blocks(SHAPES[1], indices)
    assert set(costs(mine, its)) == {contract_pairs, contract_halves}


@pytest.mark.parametrize(
    ("shape", "order"),
    [
        ((256, 1, 1, 512, 512, 256, 1), contract_pairs),  # a wide layer, one position
        ((64, 1024, 1, 27, 16, 64, 1024), contract_whole),  # few channels, many positions
        ((256, 8, 10, 512, 512, 256, 8), contract_halves),  # short sequences, several outputs
    ],
)
def test_the_cheapest_order(shape: tuple[int, ...], order: Any) -> None:
    n, t, k, i, j, m, s = shape
    empty = torch.empty(1).expand
    mine = OuterProducts(RowInput(empty(n, t, i)), empty(n, t, k, j))
    its = OuterProducts(RowInput(empty(m, s, i)), empty(m, s, k, j))
    assert cheapest(mine, its) is order


def test_contract_takes_the_cheapest() -> None:
    for shape in SHAPES:
        mine, its = blocks(shape)
        entries, expected = torch.zeros_like(formula(mine, its)), torch.zeros_like(formula(mine, its))
        contract(mine, its, entries)
        cheapest(mine, its)(mine, its, expected)
        assert torch.equal(entries, expected)
        entries, expected = torch.zeros_like(formula(mine, mine)), torch.zeros_like(formula(mine, mine))
        contract_symmetric(mine, entries)
        SYMMETRIC[cheapest(mine, mine)](mine, expected)
        assert torch.equal(entries, expected)
