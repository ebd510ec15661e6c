"""Tasks shared out to threads."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from typing import Any, TypeVar

import torch

T = TypeVar("T")
_UNEVEN = 1.2  # times the mean: the most that one worker may have to do


def share_out(
    tasks: Sequence[T],
    work: Callable[[T, dict[str, Any]], object],
    workers: int | None = None,
    done: Callable[[int], object] = lambda n: None,
) -> None:
    """Do `work(task, memory)` for every task; `memory` is the worker's own. `done(1)` follows each.

    Workers share torch's threads; by default each has one. An exception, or an interruption, stops the others after the
    tasks in hand; of several exceptions that of the earliest task is raised.
    """
    threads = torch.get_num_threads()
    workers = min(workers or threads, len(tasks))
    if workers <= 1:
        memory: dict[str, Any] = {}
        for task in tasks:
            work(task, memory)
            done(1)
        return
    local, stop = threading.local(), threading.Event()

    def run(task: T) -> None:
        if stop.is_set():
            return
        try:
            work(task, local.__dict__)
            done(1)
        except BaseException:
            stop.set()
            raise

    share = max(1, threads // workers)
    try:
        with ThreadPoolExecutor(workers, initializer=torch.set_num_threads, initargs=(share,)) as pool:
            futures = [pool.submit(run, task) for task in tasks]
            try:
                wait(futures)
            finally:
                stop.set()
        for future in futures:
            future.result()
    finally:
        torch.set_num_threads(threads)


def even_shares(costs: Sequence[float], workers: int) -> list[list[int]]:
    """Tasks by number for every worker, about as much work for each; all in one share if some task is too large.

    Parameters
    ----------
    costs : sequence of float
        Of the tasks, in any unit.
    workers : int
    """
    loads, shares = [0.0] * workers, [list[int]() for _ in range(workers)]
    for task in sorted(range(len(costs)), key=lambda task: -costs[task]):
        least = loads.index(min(loads))
        loads[least] += costs[task]
        shares[least].append(task)
    even = max(loads) * workers <= _UNEVEN * sum(loads)
    return [sorted(share) for share in shares] if even else [list(range(len(costs)))]
