"""Tasks shared out to threads."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest
import torch

from neural_kernels.runtime.workers import even_shares, share_out


@pytest.fixture(autouse=True)
def four_threads() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(4)
    yield
    torch.set_num_threads(threads)


@pytest.mark.parametrize("workers", [None, 1, 2, 9])
def test_every_task_is_done_once(workers: int | None) -> None:
    found, told = [], []
    share_out(range(20), lambda task, memory: found.append(task), workers, told.append)
    assert sorted(found) == list(range(20))
    assert told == [1] * 20


@pytest.mark.parametrize(("workers", "each"), [(None, 1), (4, 1), (2, 2), (1, 4)])
def test_workers_share_the_threads(workers: int | None, each: int) -> None:
    together, found = threading.Barrier(workers or 4), []

    def work(task: int, memory: dict) -> None:
        together.wait(timeout=60)
        memory.setdefault("own", []).append(task)
        found.append((torch.get_num_threads(), len(memory["own"])))

    share_out(range(workers or 4), work, workers)
    assert found == [(each, 1)] * (workers or 4)
    assert torch.get_num_threads() == 4


def test_the_exception_of_the_earliest_task_is_raised() -> None:
    late = threading.Event()

    def work(task: int, memory: dict) -> None:
        if task == 0:
            late.wait(timeout=60)
            raise ZeroDivisionError("from the first task")
        late.set()
        raise ValueError("from another")

    with pytest.raises(ZeroDivisionError, match="from the first task"):
        share_out(range(2), work)
    assert torch.get_num_threads() == 4


def test_an_exception_stops_the_others() -> None:
    found = []

    def work(task: int, memory: dict) -> None:
        found.append(task)
        raise ValueError("at once")

    with pytest.raises(ValueError, match="at once"):
        share_out(range(1000), work)
    assert len(found) <= 4


@pytest.mark.parametrize(
    ("costs", "workers", "shares"),
    [
        ([5, 1, 4], 2, [[0], [1, 2]]),
        ([5, 1, 4], 1, [[0, 1, 2]]),
        ([9, 1, 1], 2, [[0, 1, 2]]),
        ([3, 3, 3, 3], 2, [[0, 2], [1, 3]]),
        ([7], 3, [[0]]),
    ],
)
def test_even_shares(costs: list[float], workers: int, shares: list[list[int]]) -> None:
    assert even_shares(costs, workers) == shares
