"""A kernel leaves a module, its user's modes and torch's settings as they were; and modules that do odd things."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from typing import Any

import numpy as np
import pytest
import torch
from test_empirical import off, oracle
from test_empirical_errors import Custom, every_kind, every_method, examples, refused
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

import neural_kernels as nk
from empirical_modules import CASES, FORWARD, build, mlp


def settings() -> dict[str, Any]:
    """Of torch, in this process."""
    cuda = torch.backends.cuda
    return {
        "gradients": torch.is_grad_enabled(),
        "inference": torch.is_inference_mode_enabled(),
        "autocast": torch.is_autocast_enabled("cpu"),
        "fast attention": torch.backends.mha.get_fastpath_enabled(),
        "attention": (cuda.flash_sdp_enabled(), cuda.mem_efficient_sdp_enabled(), cuda.math_sdp_enabled()),
        "oneDNN": torch.backends.mkldnn.enabled,
        "dtype": torch.get_default_dtype(),
        "draws": (torch.get_rng_state().tolist(), np.random.get_state()[1].tolist()),
    }


def state(module: nn.Module) -> dict[str, Any]:
    """All that a user can see of a module."""
    return {
        "training": [part.training for part in module.modules()],
        "hooks": [{key: list(value) for key, value in vars(part).items() if "hook" in key and isinstance(value, dict)}
                  for part in module.modules()],
        "attributes": [sorted(vars(part)) for part in module.modules()],
        "requires_grad": [p.requires_grad for p in module.parameters()],
        "objects": [(id(p), p.data_ptr(), p._version) for p in module.parameters()],
        "gradients": [None if p.grad is None else p.grad.tolist() for p in module.parameters()],
        "values": [p.tolist() for p in module.parameters()],
        "buffers": [(id(b), b._version, b.tolist()) for b in module.buffers()],
    }  # fmt: skip


@contextmanager
def untouched(module: nn.Module) -> Iterator[None]:
    before = settings(), state(module)
    yield
    after = settings(), state(module)
    for old, new in zip(before, after, strict=True):
        for name in old:
            assert old[name] == new[name], name


@every_method
@pytest.mark.parametrize("name", CASES)
def test_nothing_is_left_behind(name: str, method: Any) -> None:
    module, x = build(name, 4)
    first, *_ = module.parameters()
    first.grad = torch.full_like(first, 7.0)
    list(module.children())[-1].train()
    kernel = nk.EmpiricalNTK(module, forward=FORWARD.get(name), method=method)
    with untouched(module):
        o = kernel(x).shape[2]
        kernel.diag(x)
        kernel.matvec(torch.ones(4, o), x)


CALLS: list[Callable[[Any, Tensor], Any]] = [
    lambda kernel, x: kernel([x[:6], x[6:]], x),
    lambda kernel, x: kernel.diag(x),
    lambda kernel, x: kernel.matvec(torch.ones(len(x), 3), x),
]


class Fails(nn.Module):
    """At the k-th call."""

    def __init__(self, error: type[BaseException]) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(6, 5), nn.Tanh(), nn.Linear(5, 3)).double()
        self.extra = nn.Parameter(torch.ones(6, dtype=torch.float64))
        self.left, self.error = [10**9], error

    def forward(self, x: Tensor) -> Tensor:
        z = self.layers[0](x * self.extra)
        self.left[0] -= 1
        if self.left[0] == 0:
            raise self.error("on purpose")
        return self.layers[2](torch.tanh(z))


@every_method
@pytest.mark.parametrize("error", [RuntimeError, ValueError, KeyboardInterrupt])
def test_nothing_is_left_behind_by_failures(error: type[BaseException], method: Any) -> None:
    """At every single call of the module: while it is explored, in the middle of a matrix, of a product."""
    module, x, failures = Fails(error), examples(20), 0
    for k in range(1, 40):
        for call in CALLS:
            with untouched(module):
                module.left[0] = k
                try:
                    call(nk.EmpiricalNTK(module, method=method), x)
                except error:
                    failures += 1
                module.left[0] = 10**9
    assert failures >= 6
    assert off(nk.EmpiricalNTK(module, method=method)(x), oracle(module, x)) <= 1e-12


class Breaks(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        return x.clone()

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        raise ArithmeticError("on purpose")


@every_method
def test_nothing_is_left_behind_by_failures_backward(method: Any) -> None:
    module, x = Custom(lambda m, x: m.c(Breaks.apply(m.a(x)))), examples()
    for call in CALLS:
        with untouched(module), pytest.raises((ArithmeticError, RuntimeError)):
            call(nk.EmpiricalNTK(module, method=method), x)


def test_nothing_is_left_behind_by_examples_that_fail() -> None:
    class Examples(torch.utils.data.Dataset):
        passes = 0

        def __len__(self) -> int:
            return 8

        def __getitem__(self, i: int) -> Tensor:
            Examples.passes += i == 7
            if Examples.passes == 2:
                raise OSError("the disk is gone")
            return torch.ones(6, dtype=torch.float64) * i

    module = mlp().double()
    rng = torch.get_rng_state()
    before = state(module)
    with pytest.raises(OSError, match="the disk"):
        nk.EmpiricalNTK(module)(torch.utils.data.DataLoader(Examples(), 3))
    assert state(module) == before
    torch.set_rng_state(rng)


def test_hooks_of_the_user() -> None:
    """They are called, what they change counts, and they stay."""
    module, x, calls = mlp().double(), examples(), []
    module[0].register_forward_hook(lambda module, args, output: calls.append(1) or 2 * output)
    module[2].register_forward_pre_hook(lambda module, args: (args[0] * 3,))
    module[4].register_full_backward_hook(lambda module, grads, out: calls.append(2))
    expected = oracle(module, x)
    calls.clear()
    for method in ("factored", "jacobian"):
        kernel = nk.EmpiricalNTK(module, method=method)
        with untouched(module):
            assert off(kernel(x), expected) <= 1e-12
            assert off(kernel.matvec(torch.ones(5, 3), x), expected.sum((1, 3))) <= 1e-12
    assert {1, 2} <= set(calls)


@every_kind
@pytest.mark.parametrize("mode", ["no_grad", "inference", "autocast", "all"])
def test_modes_of_the_user(mode: str, kind: Any) -> None:
    for module, x, tolerance in ((mlp().double(), examples(), 1e-12), (build("gpt")[0], build("gpt")[1], 1e-12)):
        kernel, vector = kind(module), torch.ones(5, dtype=torch.float64)
        results = [kernel(x), kernel.diag(x), nk.PseudoNTK(module).matvec(vector, x)]
        with (
            torch.no_grad() if mode == "no_grad" else nullcontext(),
            torch.inference_mode() if mode in ("inference", "all") else nullcontext(),
            torch.autocast("cpu", torch.bfloat16) if mode in ("autocast", "all") else nullcontext(),
            untouched(module),
        ):
            fresh, own = kind(module), x + 0
            again = [fresh(own), fresh.diag(x), nk.PseudoNTK(module).matvec(vector, own)]
        assert all(off(one, other) <= tolerance for one, other in zip(again, results, strict=True))


@pytest.mark.parametrize("reentrant", [False, True])
def test_checkpoints(reentrant: bool) -> None:
    module = Custom(lambda m, x: m.c(checkpoint(lambda z: torch.tanh(m.b(z)), m.a(x)[:, :6], use_reentrant=reentrant)))
    kernel, x = nk.EmpiricalNTK(module), examples()
    with untouched(module):
        if reentrant:  # torch's own message
            refused(lambda: kernel(x), RuntimeError, "use_reentrant=False")
        else:
            assert off(kernel(x), oracle(module, x)) <= 1e-12
            assert off(kernel.matvec(torch.ones(5, 3), x), oracle(module, x).sum((1, 3))) <= 1e-12


@pytest.mark.parametrize("used", [False, True])
def test_compiled_modules(used: bool) -> None:
    module, x = mlp().double(), examples()
    compiled = torch.compile(module, backend="eager")
    if used:
        compiled(x)
    assert off(nk.EmpiricalNTK(compiled)(x), oracle(module, x)) <= 1e-12


@every_method
def test_kernels_follow_their_module(method: Any) -> None:
    module, x = mlp().double(), examples()
    kernel = nk.EmpiricalNTK(module, method=method)
    optimizer = torch.optim.SGD(module.parameters(), 0.1)

    def train() -> None:
        module(x).square().sum().backward()
        optimizer.step()

    changes: list[Callable[[], Any]] = [
        train,
        lambda: setattr(module[0], "weight", nn.Parameter(torch.randn(16, 6).double())),
        lambda: module[2].requires_grad_(False),
        lambda: module.__setitem__(1, nn.Sigmoid()),
        lambda: module.__setitem__(4, nn.Linear(12, 2).double()),
        lambda: module.append(nn.Linear(2, 4).double()),
        lambda: module.register_forward_pre_hook(lambda module, args: args[0] ** 2),
        lambda: nn.utils.parametrizations.spectral_norm(module[0]).eval(),
    ]
    kernel(x)
    for change in changes:
        before = kernel(x)
        change()
        after = oracle(module, x)
        assert off(kernel(x), after) <= 1e-12
        assert before.shape != after.shape or off(before, after) > 1e-3
        twin = pickle.loads(pickle.dumps(copy.deepcopy(kernel))) if change is changes[0] else kernel
        assert off(twin(x), after) <= 1e-12
    other = torch.randn(3, 2, 6, dtype=torch.float64)
    assert off(kernel(other), oracle(module, other)) <= 1e-12


class Counts(nn.Module):
    """Calls and means, in buffers."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(6, 3).double()
        self.register_buffer("calls", torch.zeros((), dtype=torch.int64))
        self.register_buffer("mean", torch.zeros(6, dtype=torch.float64), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        self.calls += 1
        self.mean = 0.9 * self.mean + 0.1 * x.detach().mean(0)
        return self.layer(x)


@every_method
def test_buffers(method: Any) -> None:
    x = examples()
    normalised = nn.Sequential(nn.utils.parametrizations.spectral_norm(nn.Linear(6, 8)), nn.Linear(8, 3)).double()
    for module in (Counts(), normalised.train()):
        kernel = nk.EmpiricalNTK(module, method=method)
        with untouched(module):
            assert torch.equal(kernel(x), kernel(x))
            kernel.diag(x), kernel.matvec(torch.ones(5, 3), x)


def test_attention_keeps_its_own_forward() -> None:
    """It is replaced while a pass is watched, also if that fails."""
    module, x = build("transformer")
    nk.PseudoNTK(module)(x)
    parts = [part for part in module.modules() if isinstance(part, nn.MultiheadAttention)]
    assert parts
    module.head.register_forward_pre_hook(lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        nk.PseudoNTK(module)(x)
    assert all("forward" not in vars(part) for part in parts)
