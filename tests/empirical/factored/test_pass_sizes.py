"""How many examples and outputs a pass through the module takes, and that it does not matter to the entries."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

import neural_kernels as nk
from empirical_modules import CASES, FORWARD, build, gram_within
from neural_kernels.empirical.capture.recording import Recorder
from neural_kernels.empirical.factored.plan import PassLimits


class Twice(nn.Module):
    """A convolution and a linear map that are used twice each, with more outputs than are formed at once."""

    def __init__(self) -> None:
        super().__init__()
        self.images, self.rows = nn.Conv2d(2, 2, 3, padding=1), nn.Linear(2, 2)
        self.head = nn.Linear(2 * 16, 6)

    def forward(self, x: Tensor) -> Tensor:
        x = self.images(torch.tanh(self.images(x)))
        x = self.rows(torch.tanh(self.rows(x.movedim(1, -1))))
        return self.head(x.flatten(1))


@pytest.fixture
def passes(monkeypatch: Any) -> list[int]:
    """Numbers of examples of all forward passes."""
    counts: list[int] = []
    record = Recorder.record

    def counted(self: Recorder, batch: Any, count: int) -> Any:
        counts.append(count)
        return record(self, batch, count)

    monkeypatch.setattr(Recorder, "record", counted)
    return counts


@pytest.mark.parametrize("kind", [nk.EmpiricalNTK, nk.PseudoNTK, nk.TraceNTK])
def test_outputs_that_are_formed_some_at_a_time(kind: Any) -> None:
    module, x = Twice().double(), torch.randn(5, 2, 4, 4, dtype=torch.float64)
    torch.testing.assert_close(kind(module)(x), kind(module, method="jacobian")(x), rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("name", CASES)
def test_passes_of_one_example(name: str, passes: list[int]) -> None:
    """Every module of the other tests: what comes piece by piece lies where the whole does."""
    module, x = build(name)
    kernel = nk.EmpiricalNTK(module, forward=FORWARD.get(name))
    whole = kernel(x)
    passes.clear()
    single = gram_within(kernel, x, PassLimits(kept=1, share=0))
    torch.testing.assert_close(single, whole, rtol=1e-10, atol=1e-10)
    assert set(passes) <= {1}


def test_memory_bounds_passes(passes: list[int]) -> None:
    """A quarter of it is for them."""
    module = nn.Sequential(nn.Conv2d(1, 8, 3), nn.ReLU(), nn.Flatten(), nn.Linear(8 * 14 * 14, 2))
    x = torch.randn(24, 1, 16, 16)
    free = nk.PseudoNTK(module)
    whole = free(x)
    assert max(passes) == 24
    numbers = 4 * (8 * 14 * 14 + 2)  # that a pass keeps of an example, in the plan's count
    bounded = nk.PseudoNTK(module, memory_budget=24 * 24 * 4 + 4 * 4 * numbers * 5)
    bounded(x[:3])
    passes.clear()
    torch.testing.assert_close(bounded(x), whole)
    assert max(passes) == 5
