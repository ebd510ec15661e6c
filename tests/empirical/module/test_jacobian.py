"""Gradients without rules: all together where `vmap` is right, one by one where it is not."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from neural_kernels.empirical.module.batches import read
from neural_kernels.empirical.module.jacobian import (
    _agrees,
    _by_vmap,
    _one_by_one,
    differentiable_diagonal,
    differentiable_gram,
    jacobian,
)
from neural_kernels.empirical.module.model import Model
from neural_kernels.empirical.module.outputs import OutputProjection

N = 4


def setting(forward: Any = None) -> tuple[Model, Tensor, Tensor]:
    torch.manual_seed(0)
    module = nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 2)).double()
    columns = torch.randn(2, 3, dtype=torch.float64)
    return Model.of(module, None, forward), torch.randn(N, 3, dtype=torch.float64), columns


def truth(model: Model, x: Tensor, columns: Tensor) -> dict[str, Tensor]:
    rows = [
        torch.autograd.grad(model.module(example[None])[0] @ column, list(model.parameters.values()))
        for example in x
        for column in columns.T
    ]
    stacked = [torch.stack(parts).unflatten(0, (N, -1)) for parts in zip(*rows, strict=True)]
    return dict(zip(model.parameters, stacked, strict=True))


def branching(module: Any, x: Tensor) -> Tensor:
    """Reads a value, which `vmap` cannot."""
    return module(x) * (1.0 if x.sum().item() > -1e9 else 2.0)


@pytest.mark.parametrize("forward", [None, branching])
def test_equals_plain_autograd(forward: Any) -> None:
    model, x, columns = setting(forward)
    found = jacobian(model, list(model.parameters), x, columns)
    for name, expected in truth(model, x, columns).items():
        torch.testing.assert_close(found[name], expected, rtol=1e-12, atol=1e-12)
    (only,) = jacobian(model, ["2.bias"], x, columns).values()
    torch.testing.assert_close(only, found["2.bias"])


def test_both_ways_are_the_same() -> None:
    model, x, columns = setting()
    values = {name: p.detach() for name, p in model.parameters.items()}
    for one, other in zip(
        _by_vmap(model, values, x, columns), _one_by_one(model, values, x, columns, False), strict=True
    ):
        torch.testing.assert_close(one, other, rtol=1e-12, atol=1e-12)
    with pytest.raises(RuntimeError):
        _by_vmap(setting(branching)[0], values, x, columns)


def test_wrong_gradients_are_seen() -> None:
    """Of one example and output, or of another shape."""
    model, x, columns = setting()
    values = {name: p.detach() for name, p in model.parameters.items()}
    found = truth(model, x, columns)
    assert _agrees(model, values, x, columns, found)
    for name in found:
        wrong = {key: value.clone() for key, value in found.items()}
        wrong[name][1, 2] *= 1.01
        assert not _agrees(model, values, x, columns, wrong)
        assert not _agrees(model, values, x, columns, {**found, name: found[name][:, :1]})


def test_derivatives_that_are_not_finite() -> None:
    model, x, columns = setting(lambda module, x: (module(x) * 0).sqrt())
    with pytest.raises(ValueError, match="derivatives are NaN or infinite for 4 examples, the first of them number 7"):
        jacobian(model, list(model.parameters), x, columns, slice(7, 11))


@pytest.mark.parametrize("averaged", [False, True])
def test_differentiable_entries(averaged: bool) -> None:
    model, x, columns = setting()
    projection, source = OutputProjection(columns, averaged), read(x, "x", model.place)
    rows = torch.cat([part.flatten(2) for part in truth(model, x, columns).values()], 2)
    whole = torch.einsum("nkp,mlp->nmkl", rows, rows)
    expected = whole.diagonal(dim1=2, dim2=3).mean(-1)[:, :, None, None] if averaged else whole
    entries = differentiable_gram(model, source, None, projection)
    torch.testing.assert_close(entries, expected, rtol=1e-12, atol=1e-12)
    other = differentiable_gram(model, source, read(x[:2], "x", model.place), projection)
    torch.testing.assert_close(other, expected[:, :2], rtol=1e-12, atol=1e-12)
    diagonal = differentiable_diagonal(model, source, projection)
    torch.testing.assert_close(diagonal, expected[range(N), range(N)], rtol=1e-12, atol=1e-12)


def test_projections_of_outputs() -> None:
    columns = torch.randn(5, 3)
    plain, averaged = OutputProjection(columns), OutputProjection(columns, averaged=True)
    assert (plain.probed, plain.kept, averaged.probed, averaged.kept) == (3, 3, 3, 1)
    assert torch.equal(plain.scaled(), columns)
    torch.testing.assert_close(averaged.scaled().square().sum(), columns.square().sum() / 3)
