"""Which form gradients take, how much memory they and passes take, and how examples are shared out to passes."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

import neural_kernels as nk
from empirical_modules import CASES, FORWARD, build
from neural_kernels.empirical.factored.gradients import OuterGradients, WholeGradients
from neural_kernels.empirical.factored.plan import GradientPlan, PassLimits


def plan_of(
    module: nn.Module, x: Any, kind: Any = nk.EmpiricalNTK, room: int = 1 << 28, **options: Any
) -> GradientPlan:
    limits = PassLimits(**{name: options.pop(name) for name in ("kept", "share", "parallel") if name in options})
    kernel = kind(module, **options)
    model, source = kernel._open(x, "x")
    structure, projection = kernel._discovered(model, source)
    return GradientPlan.smallest(model, structure, projection, room, limits)


def gradients(plan: GradientPlan, x: Any, n: int) -> list[Any]:
    with torch.no_grad():
        return plan.gradients(x, slice(0, n))


@pytest.mark.parametrize("kind", [nk.EmpiricalNTK, nk.TraceNTK, nk.PseudoNTK])
@pytest.mark.parametrize("name", CASES)
def test_numbers_are_those_held(name: str, kind: Any) -> None:
    """But for a constant that stands for a bias, which the count of factors leaves out."""
    module, x = build(name)
    kernel = kind(module, forward=FORWARD.get(name))
    plan = plan_of(module, x, kind, forward=FORWARD.get(name))
    ((rows, batch),) = kernel._open(x, "x")[1].blocks(5)
    made = gradients(plan, batch, rows.stop)
    held = sum(tensor[0].numel() for item in made for tensor in item.tensors())
    for group, item in zip(plan.structure.groups, made, strict=False):
        if isinstance(item, OuterGradients):
            sizes = [call.size for call in group.used(plan.structure.calls)]
            held -= sum(size.positions for size in sizes) * (len(group.names) - 1)
    assert plan.numbers == held
    assert plan.bytes == 8 * plan.numbers


@pytest.mark.parametrize("tokens", [1, 5, 6, 20])
def test_the_smaller_form(tokens: int) -> None:
    """A map of 8 numbers to 16: 128 numbers an example in its gradient, or 8 + 16 for every token in its factors."""
    readout = nn.Linear(16 * tokens, 1, bias=False)
    module, x = nn.Sequential(nn.Linear(8, 16, bias=False), nn.Tanh(), nn.Flatten(), readout), torch.randn(3, tokens, 8)
    plan = plan_of(module, x)
    first, _ = gradients(plan, x, 3)
    assert (("0.weight",) in plan.whole) == isinstance(first, WholeGradients) == (tokens >= 6)


@pytest.mark.parametrize("room", [1, 1 << 8, 1 << 10, 1 << 12, 1 << 20])
def test_passes_keep_within_their_room(room: int) -> None:
    """As the plan counts a pass: four numbers for each that a layer writes; but for one example, which has to pass."""
    module, x = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 2)), torch.randn(30, 4)
    plan = plan_of(module, x, nk.PseudoNTK, room=room, kept=1 << 40)
    parts = [rows.stop - rows.start for rows, _ in plan._parts(x, slice(0, 30))]
    each = (8 + 2) * (3 + 1) * 4
    assert sum(parts) == 30
    assert max(parts) * each <= room or max(parts) == 1
    assert max(parts) >= min(30, room // each) // 2


def test_passes_keep_no_more_than_gradients_take() -> None:
    """Unless that is little: with a share alone, passes are as small as it says."""
    module = nn.Sequential(nn.Conv1d(1, 2, 3), nn.ReLU(), nn.Flatten(), nn.Linear(2 * 98, 1))
    x = torch.randn(32, 1, 100)
    sizes = {}
    for share in (0.0, 0.5, 1.0, 100.0):
        plan = plan_of(module, x, nk.PseudoNTK, kept=1, share=share)
        parts = plan._parts(x, slice(0, 32))
        sizes[share] = max(rows.stop - rows.start for rows, _ in parts)
        assert sizes[share] * plan._numbers_in_pass() <= max(plan._numbers_in_pass(), share * 32 * plan.numbers)
    assert sizes[0.0] == 1
    assert sizes[0.5] < sizes[1.0] < sizes[100.0] == 32


@pytest.mark.parametrize(("parallel", "room", "expected"), [(1, 1 << 30, 3), (1 << 40, 1 << 30, 1), (1, 2 << 26, 2)])
def test_passes_at_the_same_time(parallel: int, room: int, expected: int) -> None:
    """As many as there are threads, if work and room suffice for them; each takes as many examples."""
    threads = torch.get_num_threads()
    torch.set_num_threads(3)
    try:
        module, x = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 2)), torch.randn(30, 4)
        plan = plan_of(module, x, room=room, parallel=parallel)
        parts = plan._parts(x, slice(0, 30))
        assert len(plan.passes) == expected
        assert [rows.stop - rows.start for rows, _ in parts] == [30 // expected] * expected
    finally:
        torch.set_num_threads(threads)


def test_other_calls_for_other_examples() -> None:
    class Sometimes(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first, self.second = nn.Linear(2, 2), nn.Linear(2, 2)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.second(self.first(x)) if x[0, 0] > 0 else self.second(x)

    x = torch.tensor([[1.0, 1.0]] * 4 + [[-1.0, 1.0]] * 4)
    plan = plan_of(Sometimes(), x, nk.PseudoNTK, kept=1, share=0)
    with pytest.raises(ValueError, match="calls other layers for examples 4 to 5"):
        gradients(plan, x, 8)


def test_parameters_without_a_rule_come_last() -> None:
    module, x = nn.Sequential(nn.PReLU(), nn.Linear(4, 3)).double(), torch.randn(3, 4, dtype=torch.float64)
    plan = plan_of(module, x)
    assert plan.structure.unexplained == ["0.weight"]
    *_, last = gradients(plan, x, 3)
    assert isinstance(last, WholeGradients)
    torch.testing.assert_close(last.values[..., 0], x.clamp(max=0) @ module[1].weight.T.detach())
