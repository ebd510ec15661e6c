"""What `to_disk` refuses: other tasks, files that are not its own, and what cannot be compared between processes."""

from __future__ import annotations

import errno
import shutil
from functools import partial
from pathlib import Path

import dask.array as dask_array
import numpy as np
import pytest
import torch
from scipy import sparse
from test_to_disk import KERNEL, NET, X, Z, interrupt

import neural_kernels as nk
from neural_kernels.storage.fingerprint import describe
from neural_kernels.storage.journal import Journal, beside


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "kernel.npy"


@pytest.mark.parametrize("complete", [True, False])
def test_other_tasks_are_refused(path: Path, monkeypatch: pytest.MonkeyPatch, complete: bool) -> None:
    if complete:
        KERNEL.to_disk(path, X, block=8)
    else:
        interrupt(path, monkeypatch)
    before = path.read_bytes(), beside(path).read_bytes()
    changed = X.copy()
    changed[3, 2] += 1e-9
    cases = [
        (nk.NTK(nk.mlp(2)), (X,), "what differs: network. Use another path, or resume=False"),
        (nk.NNGP(NET), (X,), "kernel .was NTK, is NNGP"),
        (KERNEL, (changed,), "what differs: x1: data. Use"),
        (KERNEL, (X.astype(np.float32),), "x1: dtype .was float64, is float32"),
        (KERNEL, (X[:-1],), r"x1: shape .was \[30, 5\], is \[29, 5\]"),
        (KERNEL, (X, Z), "x2: kind .was None, is dense"),
        (KERNEL, (sparse.csr_array(X),), "x1: kind .was dense, is sparse"),
    ]
    for kernel, data, message in cases:
        with pytest.raises(ValueError, match=message):
            kernel.to_disk(path, *data)
    assert (path.read_bytes(), beside(path).read_bytes()) == before
    if not complete:
        with pytest.raises(ValueError, match="begun with block=8, not 9"):
            KERNEL.to_disk(path, X, block=9)


@pytest.mark.parametrize("resume", [True, False])
def test_foreign_files_are_refused(path: Path, resume: bool) -> None:
    np.save(path, X)
    with pytest.raises(ValueError, match="no journal beside it"):
        KERNEL.to_disk(path, X, resume=resume)
    beside(path).write_text("Dear diary,\n")
    with pytest.raises(ValueError, match="is not a journal"):
        KERNEL.to_disk(path, X, resume=resume)
    assert np.array_equal(np.load(path), X)


@pytest.mark.parametrize("complete", [True, False])
def test_damaged_file_is_refused(path: Path, monkeypatch: pytest.MonkeyPatch, complete: bool) -> None:
    if complete:
        KERNEL.to_disk(path, X, block=8)
    else:
        interrupt(path, monkeypatch)
    content = path.read_bytes()
    for damaged in (content[:-1], content + b" ", b"", content.replace(b"f8", b"f4")):
        path.write_bytes(damaged)
        with pytest.raises(ValueError, match="its journal tells of one"):
            KERNEL.to_disk(path, X)
        assert path.read_bytes() == damaged
    path.unlink()
    with pytest.raises(ValueError, match="missing"):
        KERNEL.to_disk(path, X)


def test_one_thread_of_a_process_at_a_time(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    interrupt(path, monkeypatch)
    with Journal(beside(path)):
        for resume in (True, False):
            with pytest.raises(BlockingIOError, match="is being computed by another thread of this process"):
                KERNEL.to_disk(path, X, resume=resume)
    KERNEL.to_disk(path, X)


def test_file_system_without_locks(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(pytest.importorskip("fcntl"), "lockf", refuse)
    with pytest.raises(OSError, match=r"no lock can be had .No locks available.*another file system"):
        KERNEL.to_disk(path, X)


def test_disk_that_is_too_small(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(100, 50, 50))
    with pytest.raises(OSError, match="the matrix takes 7,200 bytes, 7,200 more; 50 are free"):
        KERNEL.to_disk(path, X)
    assert not path.exists()


def test_bad_arguments(path: Path) -> None:
    with pytest.raises(ValueError, match="one example or more"):
        KERNEL.to_disk(path, X[:0])
    with pytest.raises(ValueError, match="one example or more"):
        KERNEL.to_disk(path, X, X[0])
    with pytest.raises(ValueError, match="NaN"):
        KERNEL.to_disk(path, np.where(np.arange(30)[:, None] == 29, np.nan, X), block=8)
    with pytest.raises(TypeError, match="lazy Dask array"):
        KERNEL.to_disk(path, dask_array.from_array(X))
    with pytest.raises(TypeError, match="x2: expected real numbers"):
        KERNEL.to_disk(path, X, X.astype(str))
    for block in (0, True, 2.5):
        with pytest.raises(ValueError, match="block"):
            KERNEL.to_disk(path, X, block=block)
    assert not list(path.parent.iterdir())


SCALE = 2.0


def elementwise(scale: float, inner: float = 1.0) -> nk.Elementwise:
    return nk.Elementwise(lambda x: torch.tanh(scale * x) * (lambda y: inner + 0 * y)(x) * SCALE)


def test_functions_are_known_by_their_code(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = describe(elementwise(1.0))
    assert describe(elementwise(1.0)) == first
    assert " at 0x" not in first
    others = [elementwise(2.0), elementwise(1.0, 2.0), nk.Elementwise(lambda x: x), nk.Elementwise(torch.tanh)]
    others += [nk.Elementwise(lambda x: x + 1), nk.Elementwise(partial(torch.add, other=1)), nk.Elementwise(torch.sin)]
    others += [
        nk.Elementwise(torch.nn.Tanh()),
        nk.Elementwise(torch.nn.Softplus(2)),
        nk.Elementwise(torch.nn.Softplus()),
    ]
    assert len({first, *map(describe, others)}) == 1 + len(others)
    monkeypatch.setitem(globals(), "SCALE", 3.0)
    assert describe(elementwise(1.0)) != first
    handle = open(__file__)  # noqa: SIM115
    held = nk.Elementwise(lambda x: x if handle else -x)
    handle.close()
    with pytest.raises(TypeError, match="Write that activation as a class"):
        nk.NTK(nk.mlp(1, activation=held)).to_disk(path, X)
