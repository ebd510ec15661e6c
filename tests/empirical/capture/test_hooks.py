"""Hooks see what their layers read and write, change nothing, and leave nothing behind."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from neural_kernels.empirical.capture.hooks import AttentionHook, LayerHook, ParameterSite, broadcasts_of, hooks_of
from neural_kernels.empirical.rules.layers import LinearRule

Seen = list[tuple[ParameterSite, Tensor, Tensor]]


def watched(module: nn.Module, *args: Any, names: Any = None, **kwargs: Any) -> tuple[Any, Seen]:
    """The outputs while all hooks are attached, and what they saw."""
    seen: Seen = []

    def record(site: ParameterSite, read: Tensor, wrote: Tensor) -> Tensor:
        seen.append((site, read, wrote))
        return wrote

    parameters = {name: p for name, p in module.named_parameters() if names is None or name in names}
    ends = [hook.attach(record) for hook in hooks_of(module, parameters)]
    outputs = module(*args, **kwargs)
    for end in ends:
        end()
    return outputs, seen


def test_layers_in_the_order_of_their_calls() -> None:
    first, second = nn.Linear(3, 3), nn.LayerNorm(3)
    module, x = nn.Sequential(first, second, nn.ReLU(), first), torch.randn(2, 3)
    outputs, seen = watched(module, x)
    assert torch.equal(outputs, module(x))
    assert [site.module for site, _, _ in seen] == [first, second, first]
    assert seen[0][0] is seen[2][0]
    assert seen[0][0].names == {"weight": "0.weight", "bias": "0.bias"}
    for (_, read, wrote), part in zip(seen, (first, second, first), strict=True):
        assert torch.equal(part(read), wrote)
    watched(module, x)
    assert not any(part._forward_hooks for part in module.modules())


def test_only_parameters_that_are_wanted() -> None:
    module, x = nn.Sequential(nn.Linear(3, 3), nn.Linear(3, 2), nn.Linear(2, 1)), torch.randn(2, 3)
    _, seen = watched(module, x, names=["0.bias", "2.weight"])
    assert [site.names for site, _, _ in seen] == [{"bias": "0.bias"}, {"weight": "2.weight"}]


def test_the_forward_pass_goes_on_with_what_is_returned() -> None:
    module = nn.Sequential(nn.Linear(3, 3), nn.Tanh())
    (hook,) = hooks_of(module, dict(module.named_parameters()))
    assert isinstance(hook, LayerHook)
    end = hook.attach(lambda site, read, wrote: 2 * wrote)
    x = torch.randn(2, 3)
    outputs = module(x)
    end()
    torch.testing.assert_close(outputs, torch.tanh(2 * module[0](x)))


def test_arguments_by_name_and_results_that_are_no_tensors() -> None:
    module = nn.Linear(3, 2)
    outputs, seen = watched(module, input=torch.ones(2, 3))
    assert torch.equal(seen[0][1], torch.ones(2, 3))
    handle = module.register_forward_hook(lambda *_: "text")
    outputs, seen = watched(module, torch.ones(2, 3))
    assert (outputs, seen) == ("text", [])
    handle.remove()


@pytest.mark.parametrize("batch_first", [True, False])
@pytest.mark.parametrize("distinct", [1, 2, 3])
@pytest.mark.parametrize("masked", [False, True])
def test_attention(batch_first: bool, distinct: int, masked: bool) -> None:
    """The same context as torch's, by two projections of all rows read."""
    torch.manual_seed(0)
    module = nn.MultiheadAttention(4, 2, batch_first=batch_first).double().eval()
    n, tokens = 3, 5
    x = [torch.randn((n, tokens, 4) if batch_first else (tokens, n, 4), dtype=torch.float64) for _ in range(distinct)]
    query, key, value = x[0], x[min(1, distinct - 1)], x[-1]
    masks: dict[str, Any] = {}
    if masked:
        padding = torch.arange(tokens) >= torch.tensor([5, 3, 4])[:, None]
        masks = {"key_padding_mask": padding, "attn_mask": torch.triu(torch.ones(tokens, tokens) > 0, 1)}
    expected, weights = module(query, key, value, **masks)
    (outputs, given), seen = watched(module, query, key, value, **masks)
    torch.testing.assert_close(outputs, expected)
    torch.testing.assert_close(given, weights)
    (inside, read, projected), (outside, _, wrote) = seen
    assert inside.names == {"weight": "in_proj_weight", "bias": "in_proj_bias"}
    assert outside.names == {"weight": "out_proj.weight", "bias": "out_proj.bias"}
    assert torch.equal(read, torch.cat(x, 1 if batch_first else 0))
    torch.testing.assert_close(projected, read @ module.in_proj_weight.T + module.in_proj_bias)
    torch.testing.assert_close(wrote, expected)
    assert "forward" not in vars(module)
    (without, nothing), _ = watched(module, query, key, value, need_weights=False, **masks)
    assert nothing is None
    torch.testing.assert_close(without, expected)


def test_attention_keeps_a_forward_of_the_users_own() -> None:
    module: Any = nn.MultiheadAttention(4, 2)
    original = module.forward
    module.forward = lambda *args, **kwargs: original(*args, **kwargs)
    replaced = module.forward
    hooks_of(module, dict(module.named_parameters()))[0].attach(lambda site, read, wrote: wrote)()
    assert module.forward is replaced


@pytest.mark.parametrize("options", [{"kdim": 3, "vdim": 2}, {"add_bias_kv": True}, {"add_zero_attn": True}])
def test_rarer_attention_is_left_alone(options: dict[str, Any]) -> None:
    module = nn.MultiheadAttention(4, 2, **options)
    hooks = hooks_of(module, dict(module.named_parameters()))
    assert not any(isinstance(hook, AttentionHook) for hook in hooks)


def test_copies_of_a_module_have_the_same_sites() -> None:
    site = ParameterSite(LinearRule(), {"weight": "w"}, nn.Linear(1, 1))
    assert deepcopy([site])[0] is site


@pytest.mark.parametrize(("shape", "count"), [((), 4), ((3,), 4), ((2, 3), 4), ((1, 3), 5), ((1,), 4)])
def test_broadcast_copies(shape: tuple[int, ...], count: int) -> None:
    """Each is the parameter, with the examples first and up to three axes between; or in place of a first axis of 1."""
    value = torch.randn(shape)
    ways = broadcasts_of("name", value)
    assert len(ways) == count
    for way in ways:
        copies = way.copies(value, 6)
        inside = shape[1:] if way.axes < 0 else (*[1] * way.axes, *shape)
        assert copies.shape == (6, *inside)
        assert torch.equal(copies[3].flatten(), value.flatten())
        assert way.name == "name"
