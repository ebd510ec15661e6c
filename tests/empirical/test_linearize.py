"""The Taylor model: against reference values, against differences, trained, and apart from the user's module."""

from __future__ import annotations

from contextlib import nullcontext
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

from empirical_modules import CASES, FORWARD, build, mlp
from neural_kernels.empirical.linearize import linearize

DATA = Path(__file__).parents[1] / "data"


class Golden(nn.Module):
    """Layers in the NTK parametrisation with the reference's parameters, (in, out) and HWIO; inputs are NHWC."""

    def __init__(self, values: dict[str, np.ndarray]) -> None:
        super().__init__()
        self.own = nn.ParameterList([torch.from_numpy(values[f"param_{i}"]) for i in range(6)])

    def layer(self, number: int, x: Tensor, std: float) -> Tensor:
        weight, bias = self.own[2 * number], self.own[2 * number + 1]
        weight = weight * std / weight[..., 0].numel() ** 0.5
        if weight.ndim == 2:
            return x @ weight + 0.1 * bias
        return F.conv2d(x, weight.permute(3, 2, 0, 1), padding=1) + 0.1 * bias.permute(0, 3, 1, 2)


class GoldenMLP(Golden):
    def forward(self, x: Tensor) -> Tensor:
        x = torch.relu(self.layer(0, x, 1.5))
        return self.layer(2, torch.erf(self.layer(1, x, 1.5)), 1.0)


class GoldenCNN(Golden):
    def forward(self, x: Tensor) -> Tensor:
        x = F.avg_pool2d(torch.relu(self.layer(0, x.movedim(-1, 1), 1.4)), 2)
        return self.layer(2, torch.relu(self.layer(1, x, 1.4)).mean((2, 3)), 1.0)


@pytest.mark.parametrize(("name", "kind"), [("mlp", GoldenMLP), ("cnn", GoldenCNN)])
def test_reference_values(name: str, kind: type[Golden]) -> None:
    values = dict(np.load(DATA / f"empirical_{name}_ntkparam.npz"))
    module, x = kind(values), torch.from_numpy(values["x1"])
    model = linearize(module)
    torch.testing.assert_close(model(x), torch.from_numpy(values["f1"]), rtol=0, atol=1e-12)
    model.move_to({key: 1.05 * value for key, value in module.state_dict().items()})
    torch.testing.assert_close(model(x), torch.from_numpy(values["lin_at_1.05p"]), rtol=0, atol=1e-12)


def as_called(batch: Any) -> tuple[tuple[Any, ...], dict[str, Any]]:
    if isinstance(batch, dict):
        return (), batch
    return (batch if isinstance(batch, tuple) else (batch,)), {}


def along(module: nn.Module, outputs: Tensor, direction: dict[str, Tensor]) -> Tensor:
    """The derivative of the outputs, one backward pass for each."""
    own = dict(module.named_parameters())
    changes = []
    for output in outputs.flatten():
        names = list(direction)
        gradients = torch.autograd.grad(
            output, [own[name] for name in names], retain_graph=True, allow_unused=True, materialize_grads=True
        )
        changes.append(sum((g * direction[name]).sum() for name, g in zip(names, gradients, strict=True)))
    return torch.stack(changes).view_as(outputs)


@pytest.mark.parametrize("backward", [False, True])
@pytest.mark.parametrize("name", CASES)
def test_equals_plain_autograd(name: str, backward: bool) -> None:
    """For every module of the kernels' tests: forwards, and backwards as where torch has no forward derivative."""
    module, x = build(name)
    forward = (lambda module, **batch: module(**batch)[0]) if name in FORWARD else None
    if backward:
        forward = without_forward_derivative(forward)
    args, kwargs = as_called(x)
    before = forward(module, *args, **kwargs) if forward else module(*args, **kwargs)
    model = linearize(module, forward=forward)
    torch.testing.assert_close(model(*args, **kwargs), before)
    direction = {key: torch.randn_like(d) for key, d in model.displacement.named_parameters()}
    model.displacement.load_state_dict(direction)
    result, change = model(*args, **kwargs), along(module, before, direction)
    torch.testing.assert_close(result, before + change, rtol=1e-10, atol=1e-10)
    weights = torch.randn_like(result)
    (weights * result).sum().backward()
    slope = sum((p.grad * direction[key]).sum() for key, p in model.displacement.named_parameters())
    torch.testing.assert_close(slope, (weights * change).sum().detach(), rtol=1e-9, atol=1e-9)


class Backward(torch.autograd.Function):
    """The identity, for which torch knows derivatives by backward passes alone."""

    generate_vmap_rule = True

    @staticmethod
    def forward(x: Tensor) -> Tensor:
        return x.clone()

    @staticmethod
    def setup_context(ctx: Any, inputs: Any, output: Any) -> None:
        pass

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:  # pyright: ignore[reportIncompatibleMethodOverride]
        return gradient.clone()


def without_forward_derivative(forward: Any = None) -> Any:
    forward = forward or (lambda module, *args, **kwargs: module(*args, **kwargs))
    return lambda module, *args, **kwargs: Backward.apply(forward(module, *args, **kwargs))


def test_the_way_without_forward_derivatives_is_taken() -> None:
    """By the modules of these tests that ask for it, and by no others."""
    module, x = build("mlp")
    values = dict(module.named_parameters())
    for forward, possible in ((None, True), (without_forward_derivative(), False)):
        function = partial(linearize(module, forward=forward)._at, (x,), {})
        with nullcontext() if possible else pytest.raises((NotImplementedError, RuntimeError)):
            torch.func.jvp(function, (values,), (values,))


@pytest.mark.parametrize("backward", [False, True])
def test_gradients_by_inputs(backward: bool) -> None:
    module, x = build("mlp")
    model = linearize(module, forward=without_forward_derivative() if backward else None)
    for p in model.displacement.parameters():
        nn.init.normal_(p)
    assert torch.autograd.gradcheck(model, (x.requires_grad_(),))


def test_selected_parameters_move_alone() -> None:
    module = mlp().eval()
    model = linearize(module, "4.*")
    assert [name for name, _ in model.displacement.named_parameters()] == ["4.weight", "4.bias"]
    assert [p for p in model.parameters() if p.requires_grad] == list(model.displacement.parameters())
    assert set(model.moved()) == {"4.weight", "4.bias"}


@pytest.mark.parametrize(
    ("optimiser", "rate", "steps"),
    [(torch.optim.SGD, 1e-2, 300), (torch.optim.AdamW, 1e-4, 300), (torch.optim.LBFGS, 1.0, 20)],
)
def test_trains_with_any_optimiser(optimiser: Any, rate: float, steps: int) -> None:
    """With more parameters than examples the loss can vanish."""
    module, x = build("mlp")
    y = module(x).detach() + 1e-2 * torch.randn(5, 3, dtype=torch.float64)
    model = linearize(module).train()
    learner = optimiser(model.parameters(), lr=rate)

    def loss() -> Tensor:
        learner.zero_grad()
        value = (model(x) - y).square().sum()
        value.backward()
        return value

    first = loss().item()
    for _ in range(steps):
        learner.step(loss)
    assert loss().item() < 0.05 * first


def test_moved_parameters_belong_to_the_module() -> None:
    """There the two differ by the square of the displacement."""
    module, x = build("mlp")
    model = linearize(module)
    for p in model.displacement.parameters():
        nn.init.normal_(p, std=1e-4)
    expected = model(x)
    moved = model.moved()
    module.load_state_dict(moved, strict=False)
    torch.testing.assert_close(module(x), expected, rtol=0, atol=1e-6)
    torch.testing.assert_close(model.move_to(moved)(x), expected, rtol=0, atol=1e-12)


def test_modules_stay_apart() -> None:
    module, x = build("resnet18, BatchNorm")
    module.stem.weight.grad = torch.ones_like(module.stem.weight)
    module.head.bias.requires_grad_(False)
    state = {key: value.clone() for key, value in module.state_dict().items()}
    model = linearize(module).train()
    expected = model(x)
    torch.testing.assert_close(expected, module(x))
    expected.sum().backward()
    assert not any(part.training for part in module.modules())
    assert not module.head.bias.requires_grad
    assert module.stem.weight.requires_grad
    assert bool((module.stem.weight.grad == 1).all())
    assert module.head.weight.grad is None
    assert all(torch.equal(value, state[key]) for key, value in module.state_dict().items())
    module.train()(x)
    with torch.no_grad():
        module.stem.weight.zero_()
    torch.testing.assert_close(model(x), expected)


def test_is_an_ordinary_module(tmp_path: Path) -> None:
    module, x = build("gpt")
    model = linearize(module)
    for p in model.displacement.parameters():
        nn.init.normal_(p)
    torch.save(model.state_dict(), tmp_path / "model.pt")
    other = linearize(module)
    other.load_state_dict(torch.load(tmp_path / "model.pt"))
    torch.testing.assert_close(other(x), model(x))
    assert model.float()(x).dtype == torch.float32
    with torch.no_grad():
        assert not other(x).requires_grad


def test_inputs_are_not_written_over() -> None:
    model = linearize(nn.Sequential(nn.ReLU(inplace=True), nn.Linear(3, 2)))
    x = -torch.ones(2, 3)
    model(x)
    assert bool((x == -1).all())


def legacy() -> nn.Module:
    with pytest.warns(FutureWarning, match="deprecated"):
        module = nn.utils.weight_norm(nn.Linear(3, 2))
    module(torch.ones(1, 3))
    return module


@pytest.mark.parametrize(
    ("module", "options", "error", "words"),
    [
        (lambda: len, {}, TypeError, "expected a torch module; got builtin"),
        (lambda: nn.Flatten(), {}, ValueError, "no trainable parameters"),
        (lambda: nn.Sequential(nn.Linear(3, 2), nn.Dropout()), {}, ValueError, "eval"),
        (lambda: nn.Linear(3, 2), {"parameters": "head.*"}, ValueError, "matches no trainable parameter"),
        (legacy, {}, ValueError, "cannot be copied.*parametrizations.weight_norm"),
    ],
)
def test_refusals(module: Any, options: dict[str, Any], error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words):
        linearize(module(), **options)


def test_refusals_when_called() -> None:
    module, x = build("lstm")
    with pytest.raises(TypeError, match="returns tuple; expected one tensor"):
        linearize(module.lstm)(x)
    model = linearize(nn.Linear(3, 2))
    with pytest.raises(RuntimeError, match="shapes"):
        model(torch.ones(2, 5))
    with pytest.raises(ValueError, match=r"weight: expected a tensor of shape \(2, 3\); got nothing"):
        model.move_to({})
    with pytest.raises(ValueError, match=r"weight: expected .* got \(1, 3\)"):
        model.move_to({"weight": torch.ones(1, 3)})
