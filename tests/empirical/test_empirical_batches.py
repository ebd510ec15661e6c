"""Examples in every form that people have them in, results wherever they want them, cut into blocks of any size."""

from __future__ import annotations

from collections import UserDict, namedtuple
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from test_empirical import off, oracle
from test_empirical_errors import every_kind, every_method, refused
from torch import Tensor, nn
from torch.utils.data import (
    BatchSampler,
    DataLoader,
    Dataset,
    IterableDataset,
    RandomSampler,
    SubsetRandomSampler,
    TensorDataset,
)

import neural_kernels as nk
from empirical_modules import GPT, build, ids, mlp
from usual import others_are_slow

X = np.random.default_rng(0).normal(size=(5, 6))


def expected(kind: Any, whole: Tensor) -> Tensor:
    """From entries (n, m, o, o)."""
    if kind is nk.EmpiricalNTK:
        return whole
    return whole.diagonal(dim1=2, dim2=3).mean(-1) if kind is nk.TraceNTK else whole.sum((2, 3)) / whole.shape[2]


def read_only(x: np.ndarray) -> np.ndarray:
    x = x.copy()
    x.setflags(write=False)
    return x


ARRAYS = {
    "plain": X,
    "not contiguous": np.repeat(X, 2, 1)[:, ::2],
    "columns first": np.asfortranarray(X),
    "backwards": X[::-1].copy()[::-1],
    "mirrored": X[:, ::-1].copy()[:, ::-1],
    "big-endian": X.astype(">f8"),
    "read-only": read_only(X),
    "tensor": torch.from_numpy(X.copy()),
    "not contiguous tensor": torch.from_numpy(X.T.copy()).T,
    "parameter": nn.Parameter(torch.from_numpy(X.copy())),
    "tuple": (X,),
    "mapping": {"input": X},
    "UserDict": UserDict(input=X),
    "batches": [X[:2], X[2:4], X[4:]],
    "empty batches": [X[:0], X[:2], X[2:2], X[2:]],
    "batches of both kinds": [X[:2], torch.from_numpy(X[2:])],
    "tuples in batches": [(X[:4],), (X[4:],)],
    "DataLoader": DataLoader(TensorDataset(torch.from_numpy(X)), 2),
    "DataLoader in one": DataLoader(TensorDataset(torch.from_numpy(X)), 50),
    "DataLoader with workers": DataLoader(TensorDataset(torch.from_numpy(X)), 2, num_workers=1),
}


@pytest.mark.parametrize("name", ARRAYS)
def test_forms_of_examples(name: str) -> None:
    module, x = mlp().double(), ARRAYS[name]
    entries = oracle(module, torch.from_numpy(X))
    kernel = nk.EmpiricalNTK(module)
    vector = np.random.default_rng(1).normal(size=(5, 3))
    results = kernel(x), kernel(X[:2], x), kernel(x, X[:2]), kernel.diag(x), kernel.matvec(vector, x)
    wanted = Tensor if isinstance(x, Tensor | DataLoader) or "both" in name else np.ndarray
    assert all(isinstance(result, wanted) for result in results)
    product = torch.einsum("nmkl,ml->nk", entries, torch.from_numpy(vector))
    for result, true in zip(
        results, (entries, entries[:2], entries[:, :2], entries[range(5), range(5)], product), strict=True
    ):
        assert off(torch.as_tensor(result).detach(), true) <= 1e-12


@pytest.mark.parametrize("vector", [[1.0] * 5, np.ones(5)[::-1], np.ones(5, ">f4"), np.ones(5, int), torch.ones(5)])
def test_forms_of_vectors(vector: Any) -> None:
    kernel = nk.PseudoNTK(mlp().double())
    assert off(torch.from_numpy(kernel.matvec(vector, X)), torch.from_numpy(kernel(X).sum(1))) <= 1e-12
    assert kernel.matvec(np.ones((5, 0)), X).shape == (5, 0)


def test_arrays_take_the_precision_of_the_module() -> None:
    for module, dtype in ((mlp(), np.float32), (mlp().double(), np.float64)):
        results = [nk.PseudoNTK(module)(X.astype(other)) for other in (np.float16, np.float32, np.float64)]
        assert {result.dtype for result in results} == {np.dtype(dtype)}
        assert np.allclose(results[0], results[2], rtol=1e-2)


@pytest.mark.parametrize("integer", [np.int32, np.int64, np.uint8])
def test_numbers_of_rows(integer: Any) -> None:
    """As tokenizers give them: mappings that are no dict, integers, masks."""
    torch.manual_seed(0)
    module, tokens = GPT().double(), ids(6, 5, 9)
    encoding = UserDict(input_ids=tokens.numpy().astype(integer), attention_mask=np.ones((6, 5), np.int64))
    kernel = nk.EmpiricalNTK(module, forward=lambda module, batch: module(batch["input_ids"].long()))
    assert off(torch.from_numpy(kernel(encoding)), oracle(module, tokens)) <= 1e-12


class Arguments(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(6, 3, dtype=torch.float64)

    def forward(
        self, x: Tensor, scale: float, name: str, mask: Tensor | None, parts: Any, flag: bool = False
    ) -> Tensor:
        return self.layer(x) * scale * (2 if name == "two" and flag and mask is None else 1) + parts[0].sum(1)[:, None]


@every_method
def test_arguments_that_are_no_arrays(method: Any) -> None:
    module = Arguments()
    kernel = nk.EmpiricalNTK(module, method=method)
    x = torch.from_numpy(X)
    whole = oracle(module.layer, x) * 36
    keywords = {"x": X, "scale": 3.0, "name": "two", "mask": None, "parts": [X, X], "flag": True}
    assert off(torch.from_numpy(kernel(keywords)), whole) <= 1e-12
    assert off(torch.from_numpy(kernel((X, 3.0, "one", None, [X]))), whole / 4) <= 1e-12
    assert off(kernel([(x[:3], 3.0, "one", None, [X[:3]]), (x[3:], 3.0, "one", None, [X[3:]])]), whole / 4) <= 1e-12
    named = namedtuple("named", "image label")
    second = nk.EmpiricalNTK(module.layer, forward=lambda module, batch: module(batch.image), method=method)
    assert off(torch.from_numpy(second(named(X, np.arange(5)))), whole / 36) <= 1e-12


class Stream(IterableDataset):
    """Examples with labels; a second time only if asked."""

    def __init__(self, once: bool) -> None:
        self.items = [(x, 0.5) for x in torch.from_numpy(X)]
        self.stream = iter(self.items) if once else None

    def __iter__(self) -> Any:
        return self.stream or iter(self.items)


class Augmented(Dataset):
    def __len__(self) -> int:
        return 5

    def __getitem__(self, i: int) -> Any:
        return torch.from_numpy(X[i]) + 0.1 * torch.randn(6), 0


def test_labels_come_along() -> None:
    module, x = mlp().double(), torch.from_numpy(X)
    kernel = nk.EmpiricalNTK(module, forward=lambda module, batch: module(batch[0]))
    labelled = TensorDataset(x, torch.arange(5))
    for loader in (DataLoader(labelled, 2), DataLoader(Stream(once=False), 2)):
        for budget in (None, 1 << 12):
            few = nk.EmpiricalNTK(module, forward=kernel.forward, memory_budget=budget)
            assert off(few(loader), oracle(module, x)) <= 1e-12


def test_examples_that_change() -> None:
    """Nothing may come out whose rows are other examples than its columns."""
    labelled = TensorDataset(torch.from_numpy(X), torch.arange(5))
    shuffled = [
        DataLoader(labelled, 2, shuffle=True),
        DataLoader(labelled, 2, sampler=SubsetRandomSampler(range(5))),
        DataLoader(labelled, batch_sampler=BatchSampler(RandomSampler(labelled), 2, drop_last=False)),
        DataLoader(Augmented(), 2),
    ]
    kernel = nk.EmpiricalNTK(mlp().double(), forward=lambda module, batch: module(batch[0]))
    for loader in shuffled:
        refused(lambda loader=loader: kernel(loader), ValueError, "x1 gives other examples", "shuffle=False", "augment")
        refused(lambda loader=loader: kernel.diag(loader), ValueError, "x gives other examples|x1 gives other")
    stream = DataLoader(Stream(once=True), 2)
    refused(lambda: kernel(stream), ValueError, "5 examples in the first pass and 0 in a later", "list")


@every_kind
def test_one_example_copies_and_zeros(kind: Any) -> None:
    module = mlp().double()
    kernel = kind(module)
    x = torch.from_numpy(X[[0, 1, 0, 0, 2]])
    x[4] = 0
    result = kernel(x)
    assert off(result, expected(kind, oracle(module, x))) <= 1e-12
    assert torch.allclose(result[0], result[2], rtol=1e-13)
    assert torch.allclose(kernel(x[:1])[0, 0], result[0, 0], rtol=1e-13)
    assert torch.allclose(kernel(x[:1], x)[0], result[0], rtol=1e-13)


@pytest.mark.parametrize("scale", [1e-200, 1e-30, 1e15, 1e60])
def test_scales(scale: float) -> None:
    module, x = mlp().double(), torch.from_numpy(X) * scale
    assert off(nk.EmpiricalNTK(module)(x), oracle(module, x)) <= 1e-12
    if 1e-200 < scale < 1e60:
        single = nk.EmpiricalNTK(module.float())(x.float())
        assert off(single.double() / scale, oracle(module.double(), x) / scale) <= 1e-5


@every_kind
def test_lengths_that_differ(kind: Any) -> None:
    """Between x1 and x2, and between batches."""
    torch.manual_seed(0)
    module = nn.Sequential(nn.Embedding(9, 8), nn.GRU(8, 6, batch_first=True), Last(), nn.Linear(6, 3)).double()
    short, long = ids(3, 4, 9), ids(4, 7, 9)
    kernel = kind(module)
    cross = kernel(short, long)
    both = kernel([short, long])
    assert off(both[:3, 3:], cross) <= 1e-12
    assert off(both[3:, 3:], kernel(long)) <= 1e-12
    assert off(cross, kind(module, method="jacobian")(short, long)) <= 1e-12


class Last(nn.Module):
    def forward(self, x: tuple[Tensor, Tensor]) -> Tensor:
        return x[0][:, -1]


USUAL = "mlp", "cnn", "layers used twice"


@every_kind
@pytest.mark.parametrize("name", others_are_slow([*USUAL, "gpt", "lstm"], USUAL))
def test_symmetry_and_blocks(name: str, kind: Any) -> None:
    module, x = build(name, 9)
    result = kind(module)(x)
    assert torch.equal(result, result.transpose(0, 1) if result.ndim == 2 else result.permute(1, 0, 3, 2))
    matrix = result if result.ndim == 2 else result.transpose(1, 2).flatten(2).flatten(0, 1)
    values = torch.linalg.eigvalsh(matrix)
    assert values[0] >= -1e-12 * values[-1]
    for budget in (result.nbytes + 1, result.nbytes + (1 << 16), 1 << 30):
        few = kind(module, memory_budget=budget, progress=budget == 1 << 30)
        for again in (few(x), few(x, x.clone()), few([x[:4], x[4:5], x[5:]])):
            assert off(again, result) <= 1e-12
        assert torch.equal(few(x), few(x).transpose(0, 1) if result.ndim == 2 else few(x).permute(1, 0, 3, 2))
        assert off(few.diag(x), result[range(9), range(9)]) <= 1e-12


@every_kind
def test_out(kind: Any, tmp_path: Path) -> None:
    module, x = build("mlp", 7)
    kernel = kind(module)
    result = kernel(x).numpy()
    targets = [
        np.full_like(result, np.nan),
        np.full(result.shape[::-1], np.nan).T,
        np.full((2, *result.shape), np.nan)[1],
        np.lib.format.open_memmap(tmp_path / "k.npy", "w+", result.dtype, result.shape),
        torch.full(result.shape, torch.nan, dtype=torch.float64),
        torch.full(result.shape[::-1], torch.nan, dtype=torch.float64).permute(*range(result.ndim)[::-1]),
    ]
    for target in targets:
        for budget in (None, result.nbytes // 2):
            assert kind(module, memory_budget=budget)(x, out=target) is target
            assert off(torch.as_tensor(target), torch.as_tensor(result)) <= 1e-12
            assert kind(module, memory_budget=budget)(x.numpy(), x, out=target) is target
    assert np.allclose(np.load(tmp_path / "k.npy"), result, rtol=1e-12)
    refused(lambda: kernel(x, out=result.tolist()), TypeError, "out: expected a NumPy array, memmap or torch", "list")
    refused(lambda: kernel(x, out=result[1:]), ValueError, r"out: expected shape \(7, 7")
    refused(lambda: kernel(x, x[:2], out=result), ValueError, r"out: expected shape \(7, 2")
    for dtype in (np.float32, np.int64, ">f8"):
        refused(lambda dtype=dtype: kernel(x, out=result.astype(dtype)), TypeError, "out: expected dtype torch.float64")
    refused(lambda: kernel(x, out=read_only(result)), ValueError, "out is read-only")


def test_memory_that_does_not_suffice() -> None:
    module = mlp()
    kernel = nk.EmpiricalNTK(module, memory_budget=1000)
    refused(lambda: kernel(np.tile(X, (4, 1))), MemoryError, "14,400 bytes, memory_budget is 1,000", "out=")
    assert kernel(X).shape == (5, 5, 3, 3)
    assert kernel.diag(np.tile(X, (400, 1))).shape == (2000, 3, 3)


@every_kind
def test_derivatives(kind: Any) -> None:
    """By the examples, through every form of call that gives tensors."""
    for module, x in ((mlp_smooth(), torch.from_numpy(X)), (cnn_smooth(), torch.randn(3, 1, 4, 4).double())):
        kernel = kind(module)
        one, two = x[:2].clone().requires_grad_(), x[1:3].clone().requires_grad_()
        torch.autograd.gradcheck(lambda a, b, kernel=kernel: kernel(a, b).sum(), (one, two))
        torch.autograd.gradcheck(lambda a, kernel=kernel: kernel(a).square().sum(), (one,))
        torch.autograd.gradcheck(lambda a, kernel=kernel: kernel.diag(a).sum(), (one,))
        batches = kernel([one, two])
        assert batches.requires_grad
        assert off(batches.detach(), kernel(torch.cat([one, two]).detach())) <= 1e-12
        with torch.no_grad():
            assert not kernel(one).requires_grad


def mlp_smooth() -> nn.Module:
    return nn.Sequential(nn.Linear(6, 5), nn.Tanh(), nn.Linear(5, 2)).double()


def cnn_smooth() -> nn.Module:
    return nn.Sequential(nn.Conv2d(1, 3, 3), nn.GELU(), nn.Flatten(), nn.Linear(12, 2)).double()


def test_labels_in_a_loader_are_explained() -> None:
    module, x = build("mlp")
    loader = DataLoader(TensorDataset(x, torch.zeros(5)), batch_size=2)
    with pytest.raises(TypeError) as raised:
        nk.PseudoNTK(module)(loader)
    assert "batch[0]" in str(raised.value.__notes__)
