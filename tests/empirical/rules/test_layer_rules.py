"""Every rule against autograd for one layer: whole gradients, and the products of their factors."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import neural_kernels as nk
from neural_kernels.empirical.capture.hooks import broadcasts_of
from neural_kernels.empirical.factored.contractions import OuterProducts
from neural_kernels.empirical.factored.gradients import OuterGradients
from neural_kernels.empirical.rules.base import LayerRule
from neural_kernels.empirical.rules.layers import BroadcastRule, rule_of
from neural_kernels.finite.modules import NTKLinear

N, K = 4, 3


def scaled_linear() -> nn.Module:
    net = nk.Sequential(nk.Dense(2.0, 0.3), nk.ReLU(), nk.Dense(1.5, 0.2)).to_torch(5, 4, out_features=2, seed=0)
    return next(part for part in net.modules() if isinstance(part, NTKLinear))


def numbers(*shape: int) -> Callable[[], Tensor]:
    return lambda: torch.randn(N, *shape, dtype=torch.float64)


# A layer, what it reads, and whether it has factors.
LAYERS: dict[str, tuple[Callable[[], nn.Module], Callable[[], Tensor], bool]] = {
    "linear": (lambda: nn.Linear(5, 3), numbers(5), True),
    "linear, tokens": (lambda: nn.Linear(5, 3), numbers(7, 5), True),
    "scaled linear": (scaled_linear, numbers(5), True),
    "convolution": (lambda: nn.Conv2d(2, 3, 3, padding=1, stride=2), numbers(2, 5, 5), True),
    "groups": (lambda: nn.Conv1d(4, 6, 2, groups=2), numbers(4, 6), False),
    "embedding": (lambda: nn.Embedding(6, 3), lambda: torch.randint(6, (N, 7)), True),
    "embedding, padding": (lambda: nn.Embedding(6, 3, padding_idx=2), lambda: torch.arange(N * 6).view(N, 6) % 6, True),
    "LayerNorm": (lambda: nn.LayerNorm((3, 4)), numbers(2, 3, 4), False),
    "RMSNorm": (lambda: nn.RMSNorm(4), numbers(5, 4), False),
    "GroupNorm": (lambda: nn.GroupNorm(2, 4), numbers(4, 3, 2), False),
    "BatchNorm": (lambda: nn.BatchNorm2d(3).eval(), numbers(3, 4, 4), False),
    "InstanceNorm": (lambda: nn.InstanceNorm1d(3, affine=True), numbers(3, 6), False),
}


def layer(name: str) -> tuple[nn.Module, Tensor, LayerRule]:
    torch.manual_seed(0)
    make, examples, _ = LAYERS[name]
    module = make().double()
    for p in module.parameters():
        nn.init.normal_(p)
    rule = rule_of(module)
    assert rule is not None
    return module, examples(), rule


def roles_of(module: nn.Module) -> list[tuple[str, ...]]:
    names = tuple(name for name, _ in module.named_parameters(recurse=False))
    return [names, *((name,) for name in names)] if len(names) > 1 else [names]


def by_autograd(module: nn.Module, x: Tensor, gradient: Tensor, roles: tuple[str, ...]) -> list[list[Tensor]]:
    """For every example the gradients by each of the parameters."""
    own = [getattr(module, role) for role in roles]
    return [list(torch.autograd.grad(module(a[None]), own, g[None])) for a, g in zip(x, gradient, strict=True)]


def laid_out(name: str, parts: list[Tensor]) -> Tensor:
    """As rules lay gradients out: for every channel the weight's row, then the bias; norms, one after the other."""
    if "Norm" in name or len(parts) == 1:
        return torch.cat([part.flatten() for part in parts])
    rows = len(parts[0])
    return torch.cat([part.reshape(rows, -1) for part in parts], 1).flatten()


CASES = [(name, roles) for name in LAYERS for roles in roles_of(LAYERS[name][0]())]


@pytest.mark.parametrize(("name", "roles"), CASES)
def test_whole_gradients(name: str, roles: tuple[str, ...]) -> None:
    module, x, rule = layer(name)
    wrote = module(x).detach()
    gradients = [torch.randn_like(wrote) for _ in range(K)]
    expected = torch.stack(
        [torch.stack([laid_out(name, parts) for parts in by_autograd(module, x, g, roles)]) for g in gradients], 1
    )
    for add in (False, True):
        into = torch.randn_like(expected)
        before = into.clone()
        prepared = rule.prepare(module, x[:, None], roles)
        rule.materialise(module, prepared, [g[:, None] for g in gradients], roles, into, add)
        torch.testing.assert_close(into, expected + before if add else expected, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize(("name", "roles"), [case for case in CASES if LAYERS[case[0]][2]])
def test_products_of_factors(name: str, roles: tuple[str, ...]) -> None:
    """Summed over positions they are the gradient; contracted over positions and channels, its products."""
    module, x, rule = layer(name)
    gradient = torch.randn_like(module(x)).detach()
    truth = torch.stack([laid_out(name, parts) for parts in by_autograd(module, x, gradient, roles)])
    inputs, wrote = rule.layer_input(module, x[:, None], roles), rule.by_position(gradient[:, None])
    whole = OuterGradients(OuterProducts(inputs, wrote[:, :, None])).materialise()[:, 0]
    torch.testing.assert_close(whole, truth, rtol=1e-12, atol=1e-12)
    entries = torch.einsum("ntms,ntj,msj->nm", inputs.gram(inputs).double(), wrote, wrote)
    torch.testing.assert_close(entries, truth @ truth.T, rtol=1e-12, atol=1e-12)
    products = inputs.gram_per_example().double()
    diagonal = torch.einsum("nts,ntj,nsj->n", products, wrote, wrote)
    torch.testing.assert_close(diagonal, truth.square().sum(1), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("name", LAYERS)
def test_instances_of_an_example_add_up(name: str) -> None:
    """What a layer saw as r examples belongs to one."""
    module, x, rule = layer(name)
    wrote = module(x).detach()
    gradient, roles = torch.randn_like(wrote), roles_of(module)[0]
    count = sum(getattr(module, role).numel() for role in roles)
    apart, together = (torch.empty(rows, 1, count, dtype=torch.float64) for rows in (N, N // 2))
    for into in (apart, together):
        read, g = (tensor.unflatten(0, (len(into), -1)) for tensor in (x, gradient))
        rule.materialise(module, rule.prepare(module, read, roles), [g], roles, into, add=False)
    torch.testing.assert_close(together, apart.unflatten(0, (-1, 2)).sum(1), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("name", LAYERS)
def test_size(name: str) -> None:
    """Positions times width is what one example's factors hold."""
    module, x, rule = layer(name)
    wrote = module(x).detach()
    size = rule.size(module, x[:, None], wrote[:, None])
    if not rule.has_factors(module):
        assert not LAYERS[name][2]
        return
    assert LAYERS[name][2]
    inputs = rule.layer_input(module, x[:, None], ("weight",))
    assert (size.positions, size.read) == (inputs.values.shape[1], inputs.width)
    assert rule.by_position(wrote[:, None]).shape == (N, size.positions, size.wrote)


@pytest.mark.parametrize("shape", [(), (3,), (1, 3), (2, 3)])
def test_broadcast_parameters(shape: tuple[int, ...]) -> None:
    """The gradients by the copies are those of the examples, whichever way the parameter is broadcast."""
    value = torch.randn(shape, dtype=torch.float64)
    for broadcast in broadcasts_of("shift", value):
        copies = broadcast.copies(value, N).requires_grad_()
        weights = torch.randn_like(copies)
        (gradient,) = torch.autograd.grad((weights * copies.sin()).sum(), copies)
        into = torch.empty(N, 1, value.numel(), dtype=torch.float64)
        BroadcastRule().materialise(None, None, [gradient[:, None]], ("weight",), into, add=False)
        expected = (weights * value.cos()).reshape(N, -1)
        torch.testing.assert_close(into[:, 0], expected, rtol=1e-12, atol=1e-12)


class Derived(nn.Linear):
    """May compute anything."""


@pytest.mark.parametrize(
    "module", [Derived(2, 2), nn.ReLU(), nn.ConvTranspose1d(1, 1, 2), nn.LayerNorm(3, elementwise_affine=False)]
)
def test_layers_without_a_rule(module: Any) -> None:
    assert rule_of(module) is None
