"""A function's derivative along a direction, by either of the two ways."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from neural_kernels.empirical.module.derivative import _backward_twice, derivative, plain_kernels, unfused

WAYS = [derivative, _backward_twice]


def function(values: dict[str, Tensor]) -> Tensor:
    return torch.sin(values["a"]) @ values["b"] + values["c"].square()


def point() -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    torch.manual_seed(0)
    shapes = {"a": (3, 4), "b": (4, 2), "c": ()}
    return tuple({key: torch.randn(shape, dtype=torch.float64) for key, shape in shapes.items()} for _ in range(2))  # pyright: ignore


@pytest.mark.parametrize("way", WAYS)
def test_value_and_change(way: object) -> None:
    values, direction = point()
    value, change = way(function, values, direction)  # pyright: ignore[reportCallIssue]
    torch.testing.assert_close(value, function(values))
    expected = (values["a"].cos() * direction["a"]) @ values["b"] + values["a"].sin() @ direction["b"]
    torch.testing.assert_close(change, expected + 2 * values["c"] * direction["c"], rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("way", WAYS)
def test_differentiable_once_more(way: object) -> None:
    """By the direction: the gradient of a weighted sum of changes is J^T of the weights."""
    values, direction = point()
    direction = {key: d.requires_grad_() for key, d in direction.items()}
    weights = torch.randn(3, 2, dtype=torch.float64)
    _, change = way(function, values, direction)  # pyright: ignore[reportCallIssue]
    found = torch.autograd.grad((weights * change).sum(), list(direction.values()))
    leaves = {key: value.clone().requires_grad_() for key, value in values.items()}
    expected = torch.autograd.grad((weights * function(leaves)).sum(), list(leaves.values()))
    for gradient, true in zip(found, expected, strict=True):
        torch.testing.assert_close(gradient, true, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("way", WAYS)
def test_without_gradients_there_is_no_graph(way: object) -> None:
    values, direction = point()
    with torch.no_grad():
        results = way(function, values, direction)  # pyright: ignore[reportCallIssue]
    assert not any(result.requires_grad for result in results)


def flags() -> tuple[bool, bool]:
    return torch.backends.mha.get_fastpath_enabled(), bool(torch.backends.mkldnn.enabled)


def test_settings_are_put_back() -> None:
    """After failures too."""
    before = flags()

    def fail() -> None:
        with unfused(), plain_kernels():
            assert flags() == (False, False)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert flags() == before == (True, True)
