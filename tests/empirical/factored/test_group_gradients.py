"""A group's gradients in both forms: whatever is asked of them, the two agree with the gradients themselves."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from neural_kernels.empirical.factored.contractions import OuterProducts
from neural_kernels.empirical.factored.gradients import GroupGradients, OuterGradients, WholeGradients
from neural_kernels.empirical.rules.inputs import IndexInput, PatchInput, RowInput

INPUTS = {
    "vectors": lambda n, t: RowInput(torch.randn(n, t, 4, dtype=torch.float64)),
    "patches": lambda n, t: PatchInput(torch.randn(n, t, 2 * 3 + 1, dtype=torch.float64), 2),
    "table": lambda n, t: IndexInput(torch.randint(-1, 5, (n, t)), 5),
}


def both(kind: str, n: int, t: int = 3, k: int = 2) -> tuple[Tensor, OuterGradients, WholeGradients]:
    outer = OuterGradients(OuterProducts(INPUTS[kind](n, t), torch.randn(n, t, k, 3, dtype=torch.float64)))
    values = outer.materialise()
    return values, outer, WholeGradients(values)


@pytest.mark.parametrize("kind", INPUTS)
@pytest.mark.parametrize("form", [1, 2])
def test_inner_products(kind: str, form: Any) -> None:
    torch.manual_seed(0)
    mine, its = both(kind, 5), both(kind, 4, t=2, k=3)
    a, b = mine[0].flatten(0, 1), its[0].flatten(0, 1)
    one: GroupGradients = mine[form]
    entries = torch.ones(10, 12, dtype=torch.float64)
    one.add_gram(its[form], entries)
    torch.testing.assert_close(entries, 1 + a @ b.T, rtol=1e-11, atol=1e-11)
    square = torch.ones(10, 10, dtype=torch.float64)
    one.add_symmetric(square)
    torch.testing.assert_close(square.tril(), (1 + a @ a.T).tril(), rtol=1e-11, atol=1e-11)
    blocks = torch.ones(5, 2, 2, dtype=torch.float64)
    one.add_diag(blocks)
    torch.testing.assert_close(blocks, 1 + mine[0] @ mine[0].mT, rtol=1e-11, atol=1e-11)


@pytest.mark.parametrize("kind", INPUTS)
@pytest.mark.parametrize("form", [1, 2])
def test_joined_outputs_add_up(kind: str, form: Any) -> None:
    torch.manual_seed(0)
    mine = both(kind, 5)
    joined = mine[form].joined()
    assert joined.tensors()[-1].shape[-2] == 1
    entries = torch.zeros(5, 5, dtype=torch.float64)
    joined.add_gram(joined, entries)
    torch.testing.assert_close(entries, torch.einsum("nkp,mkp->nm", mine[0], mine[0]), rtol=1e-11, atol=1e-11)


def test_costs_of_whole_gradients() -> None:
    mine, its = WholeGradients(torch.empty(5, 2, 7)), WholeGradients(torch.empty(4, 3, 7))
    assert mine.cost(its) == 10 * 12 * 7
    assert mine.cost(mine) == 10 * 10 * 7 / 2
