"""Passes through a module at the same time: the same entries, the same errors, and nothing left behind."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from copy import deepcopy
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import neural_kernels as nk
from empirical_modules import CASES, FORWARD, build, gram_within
from neural_kernels.empirical.factored.passes import ParallelPasses
from neural_kernels.empirical.factored.plan import PassLimits


@pytest.fixture(autouse=True)
def three_threads() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(3)
    yield
    torch.set_num_threads(threads)


@pytest.fixture
def at_once(monkeypatch: Any) -> list[int]:
    """How many passes ran at once."""
    sizes: list[int] = []
    run = ParallelPasses.run

    def counted(self: ParallelPasses, tasks: Any, work: Any) -> None:
        sizes.append(len(self))
        run(self, tasks, work)

    monkeypatch.setattr(ParallelPasses, "run", counted)
    return sizes


PARALLEL, ALONE = PassLimits(parallel=1), PassLimits(parallel=1 << 60)
KINDS = [nk.EmpiricalNTK, nk.PseudoNTK, nk.TraceNTK]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", CASES)
def test_entries_are_the_same(name: str, kind: Any, at_once: list[int]) -> None:
    module, x = build(name)
    kernel = kind(module, forward=FORWARD.get(name))
    together = gram_within(kernel, x, PARALLEL)
    if any(size > 1 for size in at_once):  # all parameters of an LSTM are differentiated example by example
        assert max(at_once) == 3
    at_once.clear()
    torch.testing.assert_close(together, gram_within(kernel, x, ALONE), rtol=1e-10, atol=1e-10)
    assert set(at_once) <= {1}


def test_most_modules_are_copied(at_once: list[int]) -> None:
    copied = set()
    for name in CASES:
        module, x = build(name)
        at_once.clear()
        gram_within(nk.PseudoNTK(module, forward=FORWARD.get(name)), x, PARALLEL)
        copied |= {name} if at_once and max(at_once) == 3 else set()
    assert len(copied) >= len(CASES) - 2


class Shared(nn.Module):
    """Keeps what it computes on itself, where passes at the same time would write over each other's."""

    def __init__(self) -> None:
        super().__init__()
        self.inside, self.out = nn.Linear(4, 6), nn.Linear(6, 3)
        self.kept: list[Tensor] = []

    def forward(self, x: Tensor) -> Tensor:
        self.kept.append(torch.tanh(self.inside(x)))
        return self.out(self.kept.pop(0))


def test_what_modules_keep_is_their_own(at_once: list[int]) -> None:
    module, x = Shared().double(), torch.randn(40, 4, dtype=torch.float64)
    for _ in range(20):
        torch.testing.assert_close(
            gram_within(nk.PseudoNTK(module), x, PARALLEL), nk.PseudoNTK(module, method="jacobian")(x)
        )
    assert max(at_once) == 3


class Locked(Shared):
    """No copy of this."""

    def __init__(self) -> None:
        super().__init__()
        self.lock = threading.Lock()


def test_modules_that_cannot_be_copied(at_once: list[int]) -> None:
    module, x = Locked().double(), torch.randn(9, 4, dtype=torch.float64)
    with pytest.raises(TypeError):
        deepcopy(module)
    torch.testing.assert_close(
        gram_within(nk.PseudoNTK(module), x, PARALLEL), nk.PseudoNTK(module, method="jacobian")(x)
    )
    assert set(at_once) == {1}


class Elsewhere(Shared):
    """A copy of it fails, or computes something else."""

    def __init__(self, scale: float | None) -> None:
        super().__init__()
        self.scale: float | None = 1.0
        self._copied = scale

    def __deepcopy__(self, memo: dict[int, Any]) -> nn.Module:
        copy = type(self)(self._copied)
        copy.scale = self._copied
        return copy.double()

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x) * torch.as_tensor(self.scale)


@pytest.mark.parametrize("scale", [None, 2.0])
def test_copies_that_are_none(scale: float | None, at_once: list[int]) -> None:
    module, x = Elsewhere(scale).double(), torch.randn(9, 4, dtype=torch.float64)
    torch.testing.assert_close(
        gram_within(nk.PseudoNTK(module), x, PARALLEL), nk.PseudoNTK(module, method="jacobian")(x)
    )
    assert set(at_once) == {1}


@pytest.mark.parametrize("kind", KINDS)
def test_a_call_of_the_module_itself(kind: Any, at_once: list[int]) -> None:
    """A copy would be watched while the module is called."""
    module, x = Shared().double(), torch.randn(9, 4, dtype=torch.float64)
    module.register_parameter("shift", nn.Parameter(torch.randn(3, dtype=torch.float64)))
    for forward in (lambda _, x: module(x) * module.shift, lambda own, x: own(x) * module.shift):
        expected = kind(module, forward=forward, method="jacobian")(x)
        at_once.clear()
        torch.testing.assert_close(gram_within(kind(module, forward=forward), x, PARALLEL), expected)
        assert set(at_once) == {1}


def test_a_module_that_changes_between_calls(at_once: list[int]) -> None:
    """Copies are of the module as it is."""
    module, x = nn.Sequential(nn.Linear(4, 6), nn.LeakyReLU(0.1), nn.Linear(6, 2)).double(), torch.randn(9, 4).double()
    kernel = nk.PseudoNTK(module)
    gram_within(kernel, x, PARALLEL)
    module[1].negative_slope = 0.7
    with torch.no_grad():
        module[0].weight *= 2
    torch.testing.assert_close(gram_within(kernel, x, PARALLEL), nk.PseudoNTK(module, method="jacobian")(x))
    assert max(at_once) == 3


def test_the_first_bad_example_is_named() -> None:
    module, x = nn.Sequential(nn.Linear(4, 3), nn.Tanh(), nn.Linear(3, 2)), torch.randn(30, 4)
    x[7], x[25] = torch.nan, torch.nan
    with pytest.raises(ValueError, match="number 7"):
        gram_within(nk.PseudoNTK(module), x, PARALLEL)


class Fragile(Shared):
    """Fails for some examples."""

    def forward(self, x: Tensor) -> Tensor:
        outputs = super().forward(x)
        if bool((x == 5).any()):
            raise ZeroDivisionError("by an example")
        return outputs


def test_a_failure_leaves_nothing_behind() -> None:
    module, x = Fragile(), torch.randn(30, 4)
    flags = {name: (p, p.requires_grad) for name, p in module.named_parameters()}
    x[20] = 5
    with pytest.raises(ZeroDivisionError, match="by an example"):
        gram_within(nk.PseudoNTK(module), x, PARALLEL)
    assert torch.get_num_threads() == 3
    for name, p in module.named_parameters():
        assert p is flags[name][0]
        assert p.requires_grad is flags[name][1]
        assert p.grad is None
    assert not any(part._forward_hooks for part in module.modules())
    assert gram_within(nk.PseudoNTK(module), x[:20], PARALLEL).isfinite().all()


def test_entries_do_not_depend_on_chance() -> None:
    """Which worker came first does not show."""
    module, x = build("resnet18, BatchNorm")
    first = gram_within(nk.EmpiricalNTK(module), x, PARALLEL)
    assert all(torch.equal(gram_within(nk.EmpiricalNTK(module), x, PARALLEL), first) for _ in range(5))
