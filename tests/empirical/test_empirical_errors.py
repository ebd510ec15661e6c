"""Modules, choices and examples that have no kernel: refused with what was got and what to do."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from scipy.sparse import csr_matrix
from test_empirical import off, oracle
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

import neural_kernels as nk
from empirical_modules import build, mlp

KINDS = (nk.EmpiricalNTK, nk.TraceNTK, nk.PseudoNTK)
every_kind = pytest.mark.parametrize("kind", KINDS)
every_method = pytest.mark.parametrize("method", ["factored", "jacobian"])


class Custom(nn.Module):
    """Two layers, and a function that uses them."""

    def __init__(self, function: Callable[..., Any], inside: int = 8) -> None:
        super().__init__()
        self.a, self.b, self.c = nn.Linear(6, 8), nn.Linear(6, inside), nn.Linear(8, 3)
        self.function = function
        self.draws = np.random.default_rng(0)  # random numbers that torch knows nothing of, the same in every run
        self.double().eval()

    def forward(self, x: Tensor) -> Any:
        return self.function(self, x)


def examples(n: int = 5) -> Tensor:
    return torch.randn(n, 6, dtype=torch.float64)


def refused(call: Callable[[], Any], kind: type[Exception], *words: str) -> None:
    with pytest.raises(kind) as raised:
        call()
    message = " ".join([str(raised.value), *getattr(raised.value, "__notes__", [])])
    for word in words:
        assert re.search(word, message), message


@every_kind
def test_modules_that_are_none(kind: Any) -> None:
    network = nk.Sequential(nk.Dense(), nk.ReLU(), nk.Dense())
    refused(lambda: kind(network), TypeError, "torch module; got Sequential", "to_torch", "nk.NTK")
    refused(lambda: kind(torch.tanh), TypeError, "torch module; got")
    refused(lambda: kind(nn.ReLU()), ValueError, "ReLU has no trainable parameters", "requires_grad")
    refused(lambda: kind(mlp().requires_grad_(False)), ValueError, "Sequential has no trainable parameters")
    refused(lambda: kind(nn.LazyLinear(3)), ValueError, "weight has no shape yet", r"module\(x\)")
    refused(lambda: kind(nn.Linear(3, 2, device="meta")), ValueError, "on meta", r"module.to\(device\)")


@pytest.mark.filterwarnings("ignore:Complex modules")
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.complex64])
def test_modules_of_other_precisions(dtype: torch.dtype) -> None:
    whole, mixed = mlp().to(dtype), mlp()
    mixed[4].to(dtype).requires_grad_(False)
    refused(lambda: nk.EmpiricalNTK(whole), TypeError, str(dtype), "float32", r"module.float\(\)")
    refused(lambda: nk.EmpiricalNTK(mixed), TypeError, f"{dtype}.* and |and {dtype}", r"module.float\(\)")


def test_modules_of_two_precisions() -> None:
    module = mlp()
    module[2].double()
    refused(lambda: nk.EmpiricalNTK(module), TypeError, "float32 and torch.float64", r"module.double\(\)")


@pytest.mark.parametrize(
    ("choice", "error", "words"),
    [
        ("x*", ValueError, ("'x\\*' matches no trainable", "0.weight, 0.bias, 4.weight")),
        ("2.weight", ValueError, ("'2.weight' matches no trainable", "4.bias")),  # frozen
        ([], ValueError, ("matches no trainable parameter", "0.weight")),
        (["0.*", "y*"], ValueError, ("'y\\*' matches no",)),
        (5, TypeError, ("name patterns", "LastLayers", "got int")),
        ([1, 2], TypeError, ("name patterns", "got list")),
        (lambda module: None, TypeError, ("gives names; got NoneType",)),
        (lambda module: ["z"], ValueError, ("z are no trainable", "0.weight")),
        (lambda module: module.parameters(), TypeError, ("gives names; got generator",)),
    ],
)
def test_parameters_that_are_none(choice: Any, error: Any, words: tuple[str, ...]) -> None:
    module = mlp()
    module[2].requires_grad_(False)
    refused(lambda: nk.EmpiricalNTK(module, parameters=choice), error, *words)
    wrong: Any = mlp().parameters()
    refused(lambda: nk.EmpiricalNTK(mlp(), parameters=wrong), TypeError, "got generator")


@every_kind
def test_parameters_add_up(kind: Any) -> None:
    for name, parts in (("mlp", ("0.*", "2.weight", "4.bias", "4.weight")), ("gpt", ("emb*", "pos*", "[amn]*"))):
        module, x = build(name)
        assert off(sum(kind(module, parameters=part)(x) for part in parts), kind(module)(x)) <= 1e-12


def test_tied_parameters_have_two_names() -> None:
    module, x = build("gpt")
    whole = oracle(module, x, names=["embedding.weight"])
    for chosen in ("embedding.weight", "head.weight", nk.LastLayers(1), ["head.weight", "embedding.*", "head.*"]):
        assert off(nk.EmpiricalNTK(module, parameters=chosen)(x), whole) <= 1e-12
    assert off(nk.EmpiricalNTK(module, parameters=nk.LastLayers(99))(x), oracle(module, x)) <= 1e-12


@pytest.mark.parametrize("count", [0, -1, True, 1.5, "2"])
def test_last_layers_that_are_none(count: Any) -> None:
    refused(lambda: nk.LastLayers(count), ValueError, "a number of layers, 1 or more")


@pytest.mark.parametrize(
    ("outputs", "error", "words"),
    [
        (3, ValueError, ("outputs=3", "expected 0 to 2")),
        (-4, ValueError, ("outputs=-4",)),
        (True, ValueError, ("expected a number, or combinations", r"shape \(\)")),
        (np.ones((2, 2)), ValueError, (r"shape \(3,\) or \(3, k\); got shape \(2, 2\)",)),
        (np.ones((3, 0)), ValueError, (r"got shape \(3, 0\)",)),
        (torch.ones(3, 1, 1), ValueError, (r"got shape \(3, 1, 1\)",)),
        ([1.0, np.nan, 0.0], ValueError, ("NaN",)),
        (np.ones(3) * 1j, TypeError, ("expected numbers; got ndarray of dtype complex128",)),
        ("first", TypeError, ("expected numbers; got str",)),
    ],
)
def test_outputs_that_are_none(outputs: Any, error: Any, words: tuple[str, ...]) -> None:
    kernel = nk.EmpiricalNTK(mlp(), outputs=outputs)
    refused(lambda: kernel(examples().float()), error, "^outputs", *words)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"memory_budget": 0}, ("memory_budget=0", "bytes")),
        ({"memory_budget": True}, ("memory_budget=True",)),
        ({"memory_budget": "1 GB"}, ("memory_budget='1 GB'", "bytes")),
        ({"method": "fast"}, ("method='fast'", "'factored' or 'jacobian'")),
    ],
)
def test_options_that_are_none(options: dict[str, Any], words: tuple[str, ...]) -> None:
    refused(lambda: nk.EmpiricalNTK(mlp(), **options), ValueError, *words)


WEIRD: dict[str, tuple[Callable[..., Any], type[Exception], tuple[str, ...]]] = {
    "tuple": (lambda m, x: (m.a(x), 1), TypeError, ("returns tuple", "forward=lambda")),
    "dict": (lambda m, x: {"logits": m.a(x)}, TypeError, ("returns dict", "logits")),
    "array": (lambda m, x: m.a(x).detach().numpy(), TypeError, ("returns ndarray",)),
    "nothing": (lambda m, x: None, TypeError, ("returns NoneType",)),
    "a loss": (lambda m, x: m.a(x).sum(), ValueError, (r"shape \(\) for 2 examples", "A loss")),
    "a mean": (lambda m, x: m.a(x).mean(0), ValueError, (r"shape \(8,\) for 2 examples",)),
    "examples last": (lambda m, x: m.a(x).T, ValueError, (r"shape \(8, 2\)", "examples first")),
    "no outputs": (lambda m, x: m.a(x)[:, :0], ValueError, (r"no outputs: shape \(2, 0\)",)),
    "classes": (lambda m, x: m.a(x).argmax(1), TypeError, ("int64", "logits")),
    "complex": (lambda m, x: m.a(x) * 1j, TypeError, ("complex128",)),
    "half": (lambda m, x: m.a(x).half(), TypeError, ("float16", "float32")),
    "detached": (lambda m, x: m.a(x).detach(), ValueError, ("no output has a gradient", "a.weight", "detach")),
    "without gradients": (torch.no_grad()(lambda m, x: m.a(x)), ValueError, ("no_grad",)),
    "constant": (lambda m, x: x, ValueError, ("no output has a gradient",)),
    "a batch's mean": (lambda m, x: m.a(x) - m.a(x).mean(0), ValueError, ("depend on the other examples",)),
    "inputs' mean": (lambda m, x: m.a(x - x.mean(0)), ValueError, ("depend on the other examples",)),
    "sorted examples": (lambda m, x: m.a(x.sort(0)[0]), ValueError, ("depend on the other examples",)),
    "dropout": (lambda m, x: F.dropout(m.a(x), 0.5), ValueError, ("chance", r"module.eval\(\)")),
    "rare dropout": (lambda m, x: F.dropout(m.a(x), 1e-3), ValueError, ("random numbers", "functional.dropout")),
    "faint noise": (lambda m, x: m.a(x) + 1e-9 * torch.randn(len(x), 1), ValueError, ("random numbers",)),
    "unseeded noise": (lambda m, x: m.a(x) + float(m.draws.normal()), ValueError, ("chance",)),
    "NaN": (lambda m, x: m.a(x) * float("nan"), ValueError, ("NaN or infinite for 3 examples", "number 0")),
    "infinite": (lambda m, x: m.a(x) / 0, ValueError, ("NaN or infinite",)),
}


@every_method
@every_kind
@pytest.mark.parametrize("name", WEIRD)
def test_outputs_without_a_kernel(name: str, kind: Any, method: Any) -> None:
    function, error, words = WEIRD[name]
    kernel, x = kind(Custom(function), method=method), examples()
    for call in (lambda: kernel(x), lambda: kernel.diag(x), lambda: kernel.matvec(torch.ones(5, 8).squeeze(), x)):
        refused(call, error, *words)


@pytest.mark.parametrize(
    ("layer", "words"),
    [
        (nn.BatchNorm1d(6), ("1 .BatchNorm1d. is in training mode", "couples", r"module.eval\(\)")),
        (nn.BatchNorm1d(6, track_running_stats=False).eval(), ("1 .BatchNorm1d. keeps no running statistics",)),
        (nn.Dropout(0.1), ("1 .Dropout. is in training mode", "at random", r"module.eval\(\)")),
        (nn.AlphaDropout(0.1), ("AlphaDropout",)),
        (nn.MultiheadAttention(6, 2, dropout=0.1), ("MultiheadAttention",)),
        (nn.LSTM(6, 6, 2, dropout=0.1), ("LSTM",)),
        (nn.TransformerEncoderLayer(6, 2, dropout=0.1), ("at random",)),
    ],
)
def test_layers_in_training_mode(layer: nn.Module, words: tuple[str, ...]) -> None:
    module = nn.Sequential(nn.Linear(6, 6), layer)
    refused(lambda: nk.EmpiricalNTK(module), ValueError, *words)
    if layer.training:
        kernel = nk.EmpiricalNTK(module.eval())
        layer.train()
        refused(lambda: kernel(examples()), ValueError, *words)  # at every call, not at the first alone


def test_layers_that_draw_unseen() -> None:
    rectifier = nn.Sequential(nn.Linear(6, 8), nn.RReLU()).double().train()
    refused(lambda: nk.EmpiricalNTK(rectifier)(examples()), ValueError, "chance")
    pooling = nn.Sequential(nn.Conv2d(1, 2, 1), nn.FractionalMaxPool2d(2, output_size=3), nn.Flatten())
    refused(lambda: nk.EmpiricalNTK(pooling.eval())(torch.randn(3, 1, 8, 8)), ValueError, "random numbers")
    harmless = nn.Sequential(nn.Linear(6, 8), nn.Dropout(0.0)).double().train()
    x = examples()
    assert off(nk.EmpiricalNTK(harmless)(x), oracle(harmless, x)) <= 1e-12


BAD: dict[str, tuple[Any, type[Exception], tuple[str, ...]]] = {
    "none at all": (np.zeros((0, 6)), ValueError, ("one example or more; got none",)),
    "a number": (3.0, ValueError, ("examples along the first axis",)),
    "None": (None, ValueError, ("examples along the first axis",)),
    "strings": (np.array(["a"]), TypeError, ("expected numbers; got ndarray of dtype <U1",)),
    "objects": (np.array([[None]]), TypeError, ("dtype object",)),
    "complex": (np.ones((2, 6)) * 1j, TypeError, ("dtype complex128",)),
    "sparse": (csr_matrix((2, 6)), TypeError, ("got csr_matrix",)),
    "sparse tensor": (torch.ones(2, 6).to_sparse(), TypeError, ("dense", "to_dense")),
    "another device": (torch.ones(2, 6, device="meta"), ValueError, ("is on meta, the module on cpu",)),
    "uneven": ((np.ones((2, 6)), np.ones((3, 6))), ValueError, (r"same number.*\(2, 6\), \(3, 6\)",)),
    "no batches": ([], ValueError, ("list of batches; got an empty one",)),
    "empty batches": ([np.zeros((0, 6))], ValueError, ("got none",)),
    "numbers": ([1.0, 2.0], TypeError, ("list of numbers",)),
    "rows of numbers": ([[1.0] * 6] * 3, ValueError, ("list of batches", "got shapes")),
    "a generator": ((b for b in [np.ones((2, 6))]), TypeError, ("more than once; got a generator", "list")),
    "an iterator": (iter([np.ones((2, 6))]), TypeError, ("DataLoader",)),
}


@pytest.mark.parametrize("name", BAD)
def test_examples_that_are_none(name: str) -> None:
    bad, error, words = BAD[name]
    kernel, x = nk.EmpiricalNTK(mlp().double()), examples()
    vector = np.ones((5, 3))
    if bad is not None:
        refused(lambda: kernel(x, bad), error, "^x2", *words)
        refused(lambda: kernel.matvec(vector, x, bad), error, "^x2", *words)
    refused(lambda: kernel(bad), error, "^x1", *words)
    refused(lambda: kernel.diag(bad), error, "^x", *words)


@every_method
@pytest.mark.parametrize("x", [torch.randn(3, 6).double(), np.ones((3, 6), np.uint8), torch.ones(3, 6).half()])
def test_examples_of_another_dtype(x: Any, method: Any) -> None:
    """Only the module knows which it wants; its own message comes with ours."""
    kernel, words = nk.EmpiricalNTK(mlp(), method=method), ("same dtype", "examples hold", r"x.to\(torch.float32\)")
    refused(lambda: kernel(x), RuntimeError, *words)
    refused(lambda: kernel.diag(x), RuntimeError, *words)
    refused(lambda: kernel.matvec(np.ones((3, 3)), x), RuntimeError, *words)
    cast = nk.EmpiricalNTK(mlp(), method=method, forward=lambda module, batch: module(batch.float()))
    assert torch.as_tensor(cast(x)).dtype == torch.float32


@every_method
@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_examples_that_spoil_outputs(bad: float, method: Any) -> None:
    """A saturated activation hides an infinite input from outputs, but not from derivatives."""
    x = examples(40).numpy()
    x[33, 2] = bad
    kernel = nk.PseudoNTK(mlp().double(), method=method)
    good, words = x[:4], ("NaN or infinite",)
    refused(lambda: kernel(x), ValueError, *words)
    refused(lambda: kernel(good, x), ValueError, *words)
    refused(lambda: kernel.diag(x), ValueError, *words)
    refused(lambda: kernel.matvec(np.ones(40), x), ValueError, *words)
    refused(lambda: kernel(torch.tensor(x, requires_grad=True)), ValueError, *words)
    if bad is np.nan:
        refused(lambda: kernel(x), ValueError, "for 1 examples, the first of them number 33")


def test_vectors_that_are_none() -> None:
    kernel, x = nk.EmpiricalNTK(mlp().double()), examples()
    for vector in (np.ones(5), np.ones((4, 3)), np.ones((5, 3, 2, 2))):
        refused(lambda vector=vector: kernel.matvec(vector, x), ValueError, r"vector: expected shape \(5, 3\)")
    refused(lambda: kernel.matvec(np.full((5, 3), np.nan), x), ValueError, "vector holds NaN")
    refused(lambda: kernel.matvec("abc", x), TypeError, "vector: expected numbers")
