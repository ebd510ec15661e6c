"""Kernels on disk: equal to those in memory, resumed after any interruption, and never mixed with anything else."""

from __future__ import annotations

import json
import multiprocessing
import time
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
import polars as pl
import pytest
import torch
from scipy import sparse

import neural_kernels as nk
from neural_kernels.storage.journal import beside, read

NET = nk.mlp(3)
KERNEL = nk.NTK(NET)
X = np.random.default_rng(0).standard_normal((30, 5))
Z = np.random.default_rng(1).standard_normal((17, 5))
SPAWN = multiprocessing.get_context("forkserver")


def torch_csr(x: np.ndarray) -> torch.Tensor:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # "sparse CSR support is in beta"
        return torch.from_numpy(x).to_sparse_csr()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "kernel.npy"


def journalled(path: Path) -> list[int]:
    """Numbers of the blocks, one for each time that one was finished."""
    lines = [json.loads(line[9:]) for line in beside(path).read_text().splitlines()]
    return [value for what, value in lines if what == "block"]


def forbid(monkeypatch: pytest.MonkeyPatch, after: int = 0) -> list[int]:
    """Let calls of kernels fail after so many; the list grows by one with each."""
    calls: list[int] = []
    compute = nk.NTK.__call__

    def call(self: nk.NTK, *args: object) -> object:
        if len(calls) >= after:
            raise KeyboardInterrupt
        calls.append(1)
        return compute(self, *args)

    monkeypatch.setattr(nk.NTK, "__call__", call)
    return calls


def interrupt(path: Path, monkeypatch: pytest.MonkeyPatch, blocks: int = 3) -> None:
    """A run of X with blocks of 8 that ends after some; one call more finds the shape."""
    with monkeypatch.context() as patch:
        forbid(patch, blocks + 1)
        with pytest.raises(KeyboardInterrupt):
            KERNEL.to_disk(path, X, block=8)
    assert len(journalled(path)) == blocks


@pytest.mark.parametrize("kernel", [KERNEL, nk.NNGP(NET)])
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_equals_the_kernel_in_memory(path: Path, kernel: nk.NTK, dtype: type) -> None:
    x, z = X.astype(dtype), Z.astype(dtype)
    rtol = 1e-12 if dtype == np.float64 else 1e-5
    for name, other, block in (("square", None, 7), ("wide", z, 7), ("whole", z, None)):
        result = kernel.to_disk(path.with_name(name), x, other, block=block)
        assert isinstance(result, np.memmap)
        assert not result.flags.writeable
        assert result.dtype == dtype
        assert np.allclose(result, kernel(x, other), rtol=rtol)
        assert np.array_equal(np.load(path.with_name(name)), result)
    square = np.load(path.with_name("square"))
    assert np.array_equal(square, square.T)
    assert np.array_equal(np.diag(square), kernel.diag(x))


def test_kinds_of_data(path: Path) -> None:
    matrix = sparse.random_array((30, 5), density=0.5, random_state=0)
    frame = pd.DataFrame(X, index=[f"r{i}" for i in range(30)])
    cases = {"coo": matrix, "csr": matrix.tocsr(), "frame": frame, "tensor": torch.from_numpy(X).requires_grad_()}
    cases |= {"polars": pl.DataFrame(X), "torch csr": torch_csr(X)}
    for name, x in cases.items():
        for other in (None, Z):
            if name == "tensor" and other is not None:
                other = torch.from_numpy(Z)
            result = KERNEL.to_disk(path.with_name(f"{name}{other is None}"), x, other, block=8)
            expected = KERNEL(x.toarray() if sparse.issparse(x) else X, None if other is None else Z)
            assert np.allclose(result, expected, rtol=1e-12)
    half = KERNEL.to_disk(path.with_name("half"), X.astype(np.float16), block=8)
    assert half.dtype == np.float32


def test_data_are_known_by_their_content(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    KERNEL.to_disk(path, X)
    forbid(monkeypatch)
    for same in (X.tolist(), X.copy(order="F"), pd.DataFrame(X), torch.from_numpy(X), np.repeat(X, 2, 0)[::2]):
        KERNEL.to_disk(path, same)


def test_dropout_is_on_the_diagonal_of_the_whole(path: Path) -> None:
    net = nk.Sequential(nk.Dense(), nk.ReLU(), nk.Dropout(0.5), nk.Dense())
    x = np.concatenate([X, X[:4]])  # equal examples are not the same example
    result = nk.NNGP(net).to_disk(path, x, block=8)
    assert np.allclose(result, nk.NNGP(net)(x), rtol=1e-12)
    assert np.array_equal(np.diag(result), nk.NNGP(net).diag(x))


def test_positions_are_mirrored(path: Path) -> None:
    kernel, x = nk.NTK(nk.mlp(1)), X.reshape(15, 2, 5)
    result = kernel.to_disk(path, x, block=4)
    assert result.shape == (15, 15, 5, 5)
    assert np.allclose(result, kernel(x), rtol=1e-12)
    assert np.array_equal(result, result.transpose(1, 0, 3, 2))


def test_graphs(path: Path) -> None:
    kernel, x, edges = nk.NTK(nk.mlp(1)), X.reshape(15, 5, 2), np.ones((15, 5, 5))
    sizes = np.arange(15) % 5 + 1
    graphs = nk.Graphs(x, edges, sizes)
    assert np.allclose(kernel.to_disk(path, graphs, block=4), kernel(graphs), rtol=1e-12)
    kernel.to_disk(path, nk.Graphs(torch.from_numpy(x), edges.copy(), sizes.tolist()))
    for other in (nk.Graphs(x, edges), nk.Graphs(x, 2 * edges, sizes), nk.Graphs(x + 1, edges, sizes)):
        with pytest.raises(ValueError, match="what differs: x1: data"):
            kernel.to_disk(path, other)


def test_addresses_do_not_matter(path: Path) -> None:
    """A matrix product may round differently where its operands begin elsewhere in a cache line."""
    x = np.random.default_rng(0).standard_normal((24, 784))
    expected = KERNEL.to_disk(path, x, block=7)
    for offset in range(1, 8):
        shifted = np.empty(x.size + 8)[offset : offset + x.size].reshape(x.shape)
        shifted[...] = x
        assert np.array_equal(KERNEL.to_disk(path, shifted, block=7, resume=False), expected)


def test_killed_ten_times(path: Path) -> None:
    SPAWN.set_forkserver_preload(["neural_kernels.engine.vectors.rows", "numba.np.arraymath"])  # slow imports, once
    x = np.random.default_rng(0).standard_normal((100, 5))

    def start(path: Path) -> multiprocessing.process.BaseProcess:
        process = SPAWN.Process(target=KERNEL.to_disk, args=(path, x), kwargs={"block": 4})
        process.start()
        return process

    def finish(path: Path) -> None:
        process = start(path)
        process.join()
        assert process.exitcode == 0

    def written(what: str) -> int:
        return beside(path).read_text().count(f'"{what}"') if beside(path).exists() else 0

    rng = np.random.default_rng(0)
    for i in range(10):
        what = "block" if i % 2 else "run"  # at work, or anywhere from the start on
        before, process = written(what), start(path)
        while process.is_alive() and written(what) == before:
            time.sleep(0.001)
        time.sleep(rng.uniform(0, 0.03))
        process.kill()
        process.join()
        assert process.exitcode == -9
    assert 5 <= len(journalled(path)) < 325
    finish(path)
    assert sorted(journalled(path)) == list(range(325))
    finish(path.with_name("whole.npy"))
    assert path.read_bytes() == path.with_name("whole.npy").read_bytes()


def test_interruption_leaves_the_rest(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    interrupt(path, monkeypatch)
    calls = forbid(monkeypatch, 100)
    result = KERNEL.to_disk(path, X)
    assert len(calls) == 10 - 3
    assert np.array_equal(result, KERNEL.to_disk(path.with_name("whole.npy"), X, block=8))


def test_complete_file_is_not_computed_again(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = np.array(KERNEL.to_disk(path, X, Z, block=8))
    forbid(monkeypatch)
    assert np.array_equal(KERNEL.to_disk(path, X, Z), first)


def test_torn_line_is_ignored(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    interrupt(path, monkeypatch)
    content = beside(path).read_bytes()
    for torn in (content[:-1], content[:-4], content + b"01234567 [", content + b'00000000 ["block", 9]\n'):
        beside(path).write_bytes(torn)
        assert len(read(beside(path)).done) == (2 if len(torn) < len(content) else 3)
    KERNEL.to_disk(path, X)
    assert sorted(journalled(path)) == list(range(10))


def test_anew(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    interrupt(path, monkeypatch)
    result = nk.NTK(nk.mlp(1)).to_disk(path, Z, resume=False)
    assert np.allclose(result, nk.NTK(nk.mlp(1))(Z), rtol=1e-12)
    assert np.array_equal(nk.NTK(nk.mlp(1)).to_disk(path, Z), result)


def test_end_before_the_file_stands(path: Path) -> None:
    result = np.array(KERNEL.to_disk(path, X, block=8))
    lines = beside(path).read_bytes().splitlines(keepends=True)
    for size in (0, 1, 2):
        beside(path).write_bytes(b"".join(lines[:size]))
        path.unlink()
        assert np.array_equal(KERNEL.to_disk(path, X, block=8), result)
    beside(path).write_bytes(b"".join(lines[:2]))  # the file, but not yet that it stands
    assert np.array_equal(KERNEL.to_disk(path, X), result)
    beside(path).write_bytes(b"".join(lines[:2]))
    np.save(path, X)
    with pytest.raises(ValueError, match="its journal tells of one"):
        KERNEL.to_disk(path, X)
    assert np.array_equal(np.load(path), X)


def test_memory_budget_bounds_the_blocks(path: Path) -> None:
    nk.NTK(NET, memory_budget=1000).to_disk(path, X)
    assert len(journalled(path)) == 6  # 11 rows of float64, thrice


def test_progress_counts_from_what_is_done(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    interrupt(path, monkeypatch)
    bars = []
    monkeypatch.setattr("tqdm.auto.tqdm", lambda **options: bars.append(disk_bar(**options)) or bars[-1])
    nk.NTK(NET, progress=True).to_disk(path, X)
    assert (bars[0].total, bars[0].initial, bars[0].n, bars[0].disable) == (8, 2.5, 8, False)


class disk_bar:  # noqa: N801
    """A bar that only counts."""

    def __init__(self, total: float, initial: float, disable: bool, **_: object) -> None:
        self.total, self.initial, self.n, self.disable = total, initial, initial, disable

    def __enter__(self) -> disk_bar:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def update(self, n: float) -> None:
        self.n += n
