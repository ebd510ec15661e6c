"""One task for each worker, which goes through its partitions, and results merged in pairs.

A sum over rows is as large for one partition as for all of them. With a task for each partition, one such sum for each
would go through the network; with a task for each worker, one for each worker.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Sequence
from typing import Any

import torch
from threadpoolctl import threadpool_limits

from neural_kernels.dask.partitions import Partition

Placed = list[tuple[str, Any]]  # addresses of workers, and futures of results there


def current_client(client: Any) -> Any:
    """The client given, else the current one; None where there is none, for which nothing is imported."""
    if client is not None or "distributed" not in sys.modules:
        return client
    from distributed import get_client

    try:
        return get_client()
    except ValueError:
        return None


def run_on_each(client: Any, work: Callable[..., Any], partitions: Sequence[Partition], *common: Any) -> Placed:
    """Have every worker do ``work(load, partitions, *common)`` for its share.

    A worker that is lost has its share done by another, from the start: whatever it had is lost with it.

    Parameters
    ----------
    client : distributed.Client
    work : callable
        ``load(partition)`` gives X, y and sample_weight.
    partitions : sequence of Partition
        Those in the memory of a worker are its own, as far as that is even.
    common : object
        Other arguments, also futures.
    """
    shares = _shares(client, partitions)
    return [(address, _submit(client, work, address, share, common)) for address, share in shares.items() if share]


def merge_in_pairs(client: Any, results: Placed, merge: Callable[..., Any], *common: Any) -> tuple[str, Any]:
    """Merge until one is left, by ``merge(one, other, *common)``; each but that one is sent once."""
    while len(results) > 1:
        pairs = zip(results[::2], results[1::2], strict=False)
        merged = [(place, submit_at(client, place, merge, one, other, *common)) for (place, one), (_, other) in pairs]
        results = merged + results[len(results) & ~1 :]
    return results[0]


def submit_at(client: Any, address: str, work: Callable[..., Any], *arguments: Any) -> Any:
    """Have a worker do something, or another where that one is gone."""
    return client.submit(_with_threads, work, *arguments, workers=[address], allow_other_workers=True, pure=False)


def require_memory(client: Any, needed: int, what: str) -> None:
    """Raise where a worker has less memory than its share of the work takes, in bytes."""
    for address, worker in workers_of(client).items():
        limit = worker["memory_limit"] or math.inf
        if needed > limit:
            raise MemoryError(
                f"{what} takes {needed:,} bytes on each worker; {address} has a memory_limit of {limit:,}. Give the "
                "workers more, or take fewer n_components or one alpha"
            )


def workers_of(client: Any) -> dict[str, Any]:
    """What the scheduler knows of its workers, by address."""
    workers = client.scheduler_info(n_workers=-1)["workers"]
    if not workers:
        raise RuntimeError(f"{client!r} has no workers: wait for some, client.wait_for_workers(1)")
    return dict(workers)


def _shares(client: Any, partitions: Sequence[Partition]) -> dict[str, list[Partition]]:
    """Partitions of each worker: where they are, but none gets many more than others."""
    shares: dict[str, list[Partition]] = {address: [] for address in workers_of(client)}
    most, places = math.ceil(len(partitions) / len(shares)), _places(client, partitions)
    elsewhere = []
    for partition in partitions:
        near = [address for address in places[partition.number] if address in shares and len(shares[address]) < most]
        (shares[near[0]] if near else elsewhere).append(partition)
    for partition in elsewhere:
        min(shares.values(), key=len).append(partition)
    return shares


def _places(client: Any, partitions: Sequence[Partition]) -> list[list[str]]:
    """Addresses that hold the most of each partition's values."""
    held = [future for partition in partitions for future in partition.held.values()]
    if not held:
        return [[] for _ in partitions]
    who = client.who_has(held)
    return [[a for key in partition.held for a in who.get(key, who.get(str(key), ()))] for partition in partitions]


def _submit(client: Any, work: Callable[..., Any], address: str, share: list[Partition], common: Sequence[Any]) -> Any:
    held = {key: future for partition in share for key, future in partition.held.items()}
    plain = [Partition(p.number, p.keys, p.graph, dict.fromkeys(p.held)) for p in share]
    return submit_at(client, address, _through, work, _Share(plain, list(held)), list(held.values()), *common)


class _Share:
    """Partitions of a worker, in which Dask does not look for keys and tasks."""

    def __init__(self, partitions: list[Partition], held: list[Any]) -> None:
        self.partitions, self.held = partitions, held


def _through(work: Callable[..., Any], share: _Share, values: list[Any], *common: Any) -> Any:
    """In a worker: the work, with the values of futures."""
    known = dict(zip(share.held, values, strict=True))

    def load(partition: Partition) -> Any:
        return partition.load({key: known[key] for key in partition.held})

    return work(load, share.partitions, *common)


def _with_threads(work: Callable[..., Any], *arguments: Any) -> Any:
    """With all threads of the worker, which Dask leaves at one for the libraries in its processes."""
    from distributed import get_worker

    threads, before = get_worker().state.nthreads, torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        with threadpool_limits(threads):
            return work(*arguments)
    finally:
        torch.set_num_threads(before)
