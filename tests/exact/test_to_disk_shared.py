"""Several processes that fill one file: each a part, the same bits, and what is left of one that dies."""

from __future__ import annotations

import json
import multiprocessing
import time
from collections.abc import Callable, Iterator
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import neural_kernels as nk
from neural_kernels.storage.journal import beside

KERNEL = nk.NTK(nk.mlp(3))
X = np.random.default_rng(0).standard_normal((60, 5))
BLOCK, BLOCKS = 4, 120
SPAWN = multiprocessing.get_context("forkserver")
SPAWN.set_forkserver_preload(["neural_kernels.engine.vectors.rows", "numba.np.arraymath", "pytest"])


def work(path: Path, log: Path, pause: float = 0.0, stuck_after: int = BLOCKS, start: Any = None) -> None:
    """In a process of its own: fill the file, slowly; a line in the log for every block, and one for the result."""
    compute, calls = nk.NTK.__call__, []

    def call(self: nk.NTK, x: np.ndarray, *others: Any) -> np.ndarray:
        if len(x) > 1:  # another than that which tells the shape
            if len(calls) == stuck_after:
                log.with_suffix(".stuck").touch()
                time.sleep(600)
            calls.append(x)
            time.sleep(pause)
        return compute(self, x, *others)

    nk.NTK.__call__ = call
    if start is not None:
        start.wait()
    result = KERNEL.to_disk(path, X, block=BLOCK)
    log.write_text(json.dumps([len(calls), float(result.sum())]))


Start = Callable[..., BaseProcess]


@pytest.fixture
def start() -> Iterator[Start]:
    """Start `work` in a process, which ends with the test."""
    processes = []

    def begin(*args: Any, **options: Any) -> BaseProcess:
        process = SPAWN.Process(target=work, args=args, kwargs=options)
        process.start()
        processes.append(process)
        return process

    yield begin
    for process in processes:
        process.kill()
        process.join()


def wait_for(what: Callable[[], bool]) -> None:
    limit = time.monotonic() + 120
    while not what():
        assert time.monotonic() < limit
        time.sleep(0.01)


def journalled(path: Path) -> list[int]:
    """Numbers of the blocks, one for each time that one was finished."""
    if not beside(path).exists():
        return []
    lines = [json.loads(line[9:]) for line in beside(path).read_text().splitlines()]
    return [value for what, value in lines if what == "block"]


def alone(start: Start, path: Path) -> bytes:
    """What one process makes of it, in a file of its own."""
    process = start(path.with_name("alone.npy"), path.with_name("alone.log"))
    process.join()
    assert process.exitcode == 0
    return path.with_name("alone.npy").read_bytes()


def test_each_process_does_a_part(tmp_path: Path, start: Start) -> None:
    path, logs = tmp_path / "k.npy", [tmp_path / f"{i}.log" for i in range(3)]
    together = SPAWN.Barrier(3)
    processes = [start(path, log, 0.02, start=together) for log in logs]
    for process in processes:
        process.join()
    assert [process.exitcode for process in processes] == [0, 0, 0]
    parts, sums = zip(*[json.loads(log.read_text()) for log in logs], strict=True)
    assert sum(parts) == BLOCKS
    assert min(parts) > 10
    assert sorted(journalled(path)) == list(range(BLOCKS))
    assert path.read_bytes() == alone(start, path)
    assert sums == (float(np.load(path).sum()),) * 3  # nobody returned before all was done


def test_others_finish_what_a_killed_process_had(tmp_path: Path, start: Start) -> None:
    path, log = tmp_path / "k.npy", tmp_path / "last.log"
    first = start(path, tmp_path / "first.log", stuck_after=5)
    wait_for((tmp_path / "first.stuck").exists)
    last = start(path, log)
    wait_for(lambda: len(journalled(path)) == BLOCKS - 1)
    time.sleep(0.2)
    assert last.is_alive()  # the block may come yet
    first.kill()
    last.join()
    assert last.exitcode == 0
    assert json.loads(log.read_text())[0] == BLOCKS - 5
    assert sorted(journalled(path)) == list(range(BLOCKS))
    assert path.read_bytes() == alone(start, path)


def test_processes_that_come_and_go(tmp_path: Path, start: Start) -> None:
    path, rng = tmp_path / "k.npy", np.random.default_rng(0)
    for _ in range(4):
        start(path, tmp_path / "some.log", 0.005)
        killed = start(path, tmp_path / "killed.log", 0.005)
        before = len(journalled(path))
        wait_for(lambda before=before: len(journalled(path)) > before)
        time.sleep(rng.uniform(0, 0.1))
        killed.kill()
    last = start(path, tmp_path / "last.log")
    last.join()
    assert last.exitcode == 0
    assert sorted(journalled(path)) == list(range(BLOCKS))
    assert path.read_bytes() == alone(start, path)


def test_what_does_not_fit_is_refused_meanwhile(tmp_path: Path, start: Start) -> None:
    path = tmp_path / "k.npy"
    first = start(path, tmp_path / "first.log", stuck_after=5)
    wait_for((tmp_path / "first.stuck").exists)
    before = path.read_bytes(), beside(path).read_bytes()
    with pytest.raises(ValueError, match="what differs: x1: data"):
        KERNEL.to_disk(path, X + 1)
    with pytest.raises(ValueError, match="what differs: network"):
        nk.NTK(nk.mlp(2)).to_disk(path, X)
    with pytest.raises(ValueError, match="begun with block=4, not 5"):
        KERNEL.to_disk(path, X, block=5)
    with pytest.raises(BlockingIOError, match=rf"is being computed by process {first.pid} on "):
        KERNEL.to_disk(path, X, resume=False)
    assert (path.read_bytes(), beside(path).read_bytes()) == before
    first.kill()
    first.join()
    assert np.allclose(KERNEL.to_disk(path, X), KERNEL(X), rtol=1e-12)
