"""Modules that do odd things, and random ones, against plain autograd."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from test_empirical import off, oracle
from test_empirical_errors import Custom, every_kind, every_method, examples, refused
from test_empirical_state import untouched
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

import neural_kernels as nk


def _residual(m: Any, x: Tensor) -> Tensor:
    y = m.a(x)
    y += m.c(y.tanh()).sum(1, keepdim=True)
    return y


def _written_over(m: Any, x: Tensor) -> Tensor:
    h = torch.zeros(len(x), 8, dtype=x.dtype)
    h[:, :4] = m.a(x)[:, 4:]
    h[:, 4:].add_(m.b(x)[:, :4]).tanh_()
    return m.c(h)


def _recurrent(m: Any, x: Tensor) -> Tensor:
    h = m.a(x)
    for _ in range(3):
        h = torch.tanh(m.a(h[:, :6]) + h)
    return m.c(h)


def _experts(m: Any, x: Tensor) -> Tensor:
    """A layer for every example, by its sign."""
    chosen, h = x[:, 0] > 0, x.new_zeros(len(x), 8)
    h[chosen], h[~chosen] = m.a(x[chosen]), m.b(x[~chosen])
    return m.c(torch.tanh(h))


ODD: dict[str, Callable[..., Tensor]] = {
    "another layer's weight": lambda m, x: F.linear(x, m.a.weight) + m.a(x),
    "a weight transposed": lambda m, x: torch.tanh(m.a(x)) @ m.a.weight,
    "a layer without its call": lambda m, x: m.c.forward(torch.tanh(m.a.forward(x))),
    "a keyword": lambda m, x: m.c(torch.tanh(m.a(input=x))),
    "rectified in place": lambda m, x: m.c(F.relu_(m.a(x))),
    "inputs rectified in place": lambda m, x: m.a(F.relu_(x)),
    "inputs scaled in place": lambda m, x: m.a(x.mul_(2)),
    "inputs scaled in place at last": lambda m, x: m.c(m.a(x.clone()).relu()) + x.mul_(2).sum(1, keepdim=True).detach(),
    "scaled behind autograd": lambda m, x: m.c(torch.tanh(m.a(x.data.mul_(3)))),
    "added in place": _residual,
    "written into slices": _written_over,
    "a layer many times": _recurrent,
    "a value read": lambda m, x: m.c(torch.tanh(m.a(x))) * (2.0 if float(m.a.weight.detach().sum()) > 0 else 1.0),
    "a layer unused": lambda m, x: m.a(x),
    "a layer's result dropped": lambda m, x: (m.b(x), m.a(x))[1],
    "numbers": lambda m, x: m.a(x).sum(1),
    "squeezed": lambda m, x: m.a(x)[:, :1].squeeze(),
    "tokens": lambda m, x: m.c(torch.tanh(m.a(x))[:, None].repeat(1, 3, 1)),
    "another precision": lambda m, x: m.c(torch.tanh(m.a(x))).float(),
    "partly detached": lambda m, x: m.c(torch.tanh(m.a(x)).detach()),
    "sorted": lambda m, x: m.c(m.a(x).sort(1)[0]),
}


@every_method
@pytest.mark.parametrize("name", ODD)
def test_modules_that_do_odd_things(name: str, method: Any) -> None:
    module, x = Custom(ODD[name]), examples(6)
    kept = x.clone()
    expected = oracle(module, x.clone())
    tolerance = 1e-6 if name == "another precision" else 1e-12
    kernel = nk.EmpiricalNTK(module, method=method)
    with untouched(module):
        assert off(kernel(x), expected) <= tolerance
        assert off(kernel(x[:2], x[2:]), expected[:2, 2:]) <= tolerance
        assert off(kernel.diag(x), expected[range(6), range(6)]) <= tolerance
        ones = torch.ones(6, expected.shape[2])
        assert off(kernel.matvec(ones, x), expected.sum((1, 3))) <= 10 * tolerance
    assert torch.equal(x, kept)


def _experts(m: Any, x: Tensor) -> Tensor:
    """For every example the layer that its sign says."""
    chosen, h = x[:, 0] > 0, x.new_zeros(len(x), 8)
    h[chosen], h[~chosen] = m.a(x[chosen]), m.b(x[~chosen])
    return m.c(torch.tanh(h))


def _branch(m: Any, x: Tensor) -> Tensor:
    return m.c(torch.tanh(m.a(x) if x[0, 0] > 0 else m.b(x)))


def _loop(m: Any, x: Tensor) -> Tensor:
    h = m.a(x)
    for _ in range(1 if x[0, 0] > 0 else 3):
        h = torch.tanh(m.c(h)).repeat(1, 3)[:, :8]
    return h


@pytest.mark.parametrize(
    ("function", "part"),
    [
        (_experts, "a.*"),
        (_branch, "a.*"),
        (_loop, "c.*"),
    ],
)
def test_calls_that_depend_on_the_examples(function: Callable[..., Tensor], part: str) -> None:
    """What was learnt from the first examples does not hold for all: said, never computed wrongly."""
    module, x = Custom(function), examples(5)
    x[:, 0] = -1
    x[2, 0] = 1
    first = x[[2, 2, 2]]
    expected = oracle(module, torch.cat([first, x]))[:3, 3:]
    slow = nk.EmpiricalNTK(module, method="jacobian")
    assert off(slow(first, x), expected) <= 1e-12
    for parameters in (None, part):
        kernel = nk.EmpiricalNTK(module, parameters=parameters)
        refused(lambda kernel=kernel: kernel(first, x), ValueError, "Pass method='jacobian'")


@every_kind
def test_coupling_of_equal_examples(kind: Any) -> None:
    """Equal examples are no reason to overlook that they see each other."""
    module, x = Custom(lambda m, x: m.c(m.a(x)) * m.c(m.a(x)).mean(0)), examples()
    kernel = kind(module)
    for call in (lambda: kernel(x[:1]), lambda: kernel(x[:1], x), lambda: kernel(x[[0, 0, 1]])):
        refused(call, ValueError, "depend on the other examples")


@every_kind
def test_numbers_that_overflow(kind: Any) -> None:
    """A saturated activation hides an infinite input from outputs, but not from derivatives."""
    saturated, x = kind(Custom(lambda m, x: m.c(torch.tanh(m.a(x))))), examples(40)
    x[33, 2] = torch.inf
    for call in (lambda: saturated(x), lambda: saturated(x[:4], x), lambda: saturated.diag(x)):
        refused(call, ValueError, "derivatives are NaN or infinite for 1 examples, the first of them number 33")
    large, x = kind(nn.Linear(6, 3)), examples().float() * 1e25
    for call in (lambda: large(x), lambda: large(x[:2], x), lambda: large.diag(x)):
        refused(call, ValueError, "overflow torch.float32", r"module.double\(\)")


class Merged(nn.Module):
    """Tokens as rows of one matrix."""

    def __init__(self) -> None:
        super().__init__()
        self.inside, self.norm, self.head = nn.Linear(4, 6), nn.LayerNorm(6), nn.Linear(6, 2)

    def forward(self, x: Tensor) -> Tensor:
        rows = torch.tanh(self.norm(self.inside(x.flatten(0, 1))))
        return self.head(rows.unflatten(0, x.shape[:2]).sum(1))


def test_lengths_of_merged_tokens() -> None:
    module = Merged().double()
    short, long, double = (torch.randn(n, t, 4, dtype=torch.float64) for n, t in ((4, 5), (3, 7), (7, 14)))
    fast, slow = nk.EmpiricalNTK(module), nk.EmpiricalNTK(module, method="jacobian")
    for one, other in ((short, long), (long, short), (long, double), (double, long)):
        assert off(fast(one, other), slow(one, other)) <= 1e-12
    assert off(fast([short, double, long]), slow([short, double, long])) <= 1e-12


def test_a_dropped_layer_beside_a_weight() -> None:
    module, x = Custom(lambda m, x: (m.b(x), x @ m.weight)[1]), examples()
    module.weight = nn.Parameter(torch.randn(6, 2, dtype=torch.float64))
    assert off(nk.EmpiricalNTK(module)(x), oracle(module, x)) <= 1e-12


def test_hooks_that_give_tuples() -> None:
    module, x = Custom(lambda m, x: m.c(m.a(x)[0])), examples()
    module.a.register_forward_hook(lambda module, args, output: (output, 1))
    assert off(nk.EmpiricalNTK(module)(x), oracle(module, x)) <= 1e-12


@every_method
@pytest.mark.parametrize("width", [1, 2, 4])
def test_operations_that_torch_batches_wrongly(width: int, method: Any) -> None:
    """`vmap` of PReLU's derivative is wrong in torch 2.13."""
    module = nn.Sequential(nn.PReLU(), nn.LayerNorm(width), nn.PReLU(width), nn.Linear(width, width)).double()
    for n in (1, width, 5):
        x = torch.randn(n, width, dtype=torch.float64)
        assert off(nk.EmpiricalNTK(module, method=method)(x), oracle(module, x)) <= 1e-8


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_scripts() -> None:
    module, x = nn.Sequential(nn.Linear(6, 5), nn.Tanh(), nn.Linear(5, 2)).double(), examples()
    for script in (torch.jit.script(module), torch.jit.trace(module, x)):
        assert off(nk.EmpiricalNTK(script)(x), oracle(module, x)) <= 1e-12


def _vectors(draw: Any, width: int) -> tuple[nn.Module, int]:
    out = draw(st.integers(1, 5))
    layers = [
        (nn.Linear(width, out, bias=draw(st.booleans())), out),
        (nn.LayerNorm(width, elementwise_affine=draw(st.booleans())) if width > 1 else nn.Tanh(), width),
        (nn.ReLU(inplace=draw(st.booleans())), width),
        (nn.ELU(inplace=draw(st.booleans())), width),
        (nn.Tanh(), width),
        (nn.BatchNorm1d(width), width),
        (nn.PReLU(), width),
    ]
    return layers[draw(st.integers(0, 6))]


def _images(draw: Any, width: int) -> tuple[nn.Module, int]:
    groups = draw(st.sampled_from([1, width]))
    out = groups * draw(st.integers(1, 2)) if width < 6 else groups
    conv = nn.Conv2d(
        width, out, draw(st.sampled_from([1, 3, (1, 3)])), draw(st.integers(1, 2)), draw(st.sampled_from([1, (1, 2)])),
        groups=groups, bias=draw(st.booleans()), padding_mode=draw(st.sampled_from(["zeros", "circular", "reflect"])),
    )  # fmt: skip
    layers = [
        (conv, out), (nn.GroupNorm(1, width), width), (nn.BatchNorm2d(width), width), (nn.SiLU(inplace=True), width),
        (nn.InstanceNorm2d(width, affine=True), width), (nn.Hardswish(inplace=draw(st.booleans())), width),
    ]  # fmt: skip
    return layers[draw(st.integers(0, 5))]


_SAVED = nn.ReLU, nn.ELU, nn.Tanh, nn.PReLU, nn.SiLU, nn.Hardswish  # what they wrote is needed for their derivatives


@st.composite
def networks(draw: Any) -> tuple[nn.Module, Tensor]:
    torch.manual_seed(draw(st.integers(0, 99)))
    width, images = draw(st.integers(2, 4)), draw(st.booleans())
    x = torch.randn(3, width, *((9, 8) if images else ()), dtype=torch.float64)
    layers: list[nn.Module] = []
    for _ in range(draw(st.integers(1, 5))):
        layer, width = (_images if images else _vectors)(draw, width)
        if layers and isinstance(layers[-1], _SAVED):
            layer.inplace = False  # plain autograd refuses it
        layers.append(layer)
    if images:
        layers.append(nn.Flatten())
    layers.append(nn.LazyLinear(draw(st.integers(1, 3))))
    module = nn.Sequential(*layers).double().eval()
    module(x.clone())
    return module, x


@given(networks())
def test_random_networks(case: tuple[nn.Module, Tensor]) -> None:
    module, x = case
    kept, expected = x.clone(), oracle(module, x.clone())
    with untouched(module):
        for kind, true in ((nk.EmpiricalNTK, expected), (nk.PseudoNTK, expected.sum((2, 3)) / expected.shape[2])):
            assert off(kind(module)(x), true) <= 1e-9
            assert off(kind(module).matvec(torch.ones(3, *true.shape[3:]), x), _summed(true)) <= 1e-9
    assert torch.equal(x, kept)


def _summed(entries: Tensor) -> Tensor:
    return entries.sum(1) if entries.ndim == 2 else entries.sum((1, 3))
