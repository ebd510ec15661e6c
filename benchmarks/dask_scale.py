"""Ridge regression on features by a local Dask cluster: what a second worker brings, what is sent, a lost worker.

    python benchmarks/dask_scale.py --rows 400000 --components 2048
    python benchmarks/dask_scale.py --quick

Rows of 100 normal columns in float32, made by the workers, a smooth target with noise, `NeuralFeatureRegressor` with
its default method and alpha = 1e-3. Workers are processes of one thread each; every fit is the second one of its
workers, which have compiled by then. The processor's seconds of the busiest worker tell what a second one brings where
other programs run, too. Bytes are those that workers sent to each other during a fit, all together, in
units of the 8 m^2 bytes of one accumulation. For the last line a worker is killed (SIGKILL) after half of the time that
two workers take.
"""

from __future__ import annotations

import argparse
import os
import signal
import threading
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
from dask.delayed import delayed
from distributed import Client, LocalCluster

import neural_kernels as nk
from neural_kernels.dask import DaskNeuralFeatureRegressor

COLUMNS = 100
PARTITION = 5000  # rows


@dataclass
class Fit:
    """Of one fit: seconds, seconds of the processor of the busiest worker, bytes between workers, coefficients."""

    seconds: float
    busiest: float
    sent: int
    coefficients: np.ndarray


@contextmanager
def cluster(workers: int) -> Iterator[Any]:
    """A client of worker processes."""
    settings = {"n_workers": workers, "threads_per_worker": 1, "processes": True, "dashboard_address": ":0"}
    with LocalCluster(**settings) as local, Client(local) as client:
        yield client


def parts(rows: int, partition: int) -> list[Any]:
    """Delayed (X, y), the same rows however they are cut, as long as a partition divides or is a multiple of 1000."""

    @delayed
    def make(start: int, stop: int) -> tuple[np.ndarray, np.ndarray]:
        blocks = []
        for block in range(start // 1000, -(-stop // 1000)):
            rng = np.random.default_rng(block)
            x = rng.standard_normal((1000, COLUMNS), dtype=np.float32)
            y = np.sin(2 * x[:, 0]) + x[:, 1] * x[:, 2] + 0.3 * rng.standard_normal(1000)
            own = slice(max(0, start - 1000 * block), stop - 1000 * block)
            blocks.append((x[own], y[own]))
        xs, ys = zip(*blocks, strict=True)
        return np.concatenate(xs), np.concatenate(ys)

    return [make(start, min(start + partition, rows)) for start in range(0, rows, partition)]


def sent(client: Any) -> int:
    """Bytes that workers have written for each other so far; of one that was killed, they are forgotten."""
    logs = client.run(
        lambda dask_worker: [(one["who"], one["compressed"]) for one in dask_worker.transfer_outgoing_log]
    )
    return sum(written for log in logs.values() for who, written in log if who is not None)


def fit(client: Any, rows: int, partition: int, components: int) -> Fit:
    """One fit, measured."""
    before, busy, begun = sent(client), client.run(time.process_time), time.perf_counter()
    model = DaskNeuralFeatureRegressor(nk.mlp(3), n_components=components, alpha=1e-3, random_state=0, client=client)
    model.fit(parts(rows, partition))
    seconds = time.perf_counter() - begun
    busiest = max(spent - busy.get(worker, 0.0) for worker, spent in client.run(time.process_time).items())
    return Fit(seconds, busiest, max(0, sent(client) - before), model.coef_)


def fit_with_a_loss(client: Any, rows: int, components: int, after: float) -> Fit:
    """A fit during which one of the workers is killed."""
    victim = next(iter(client.run(os.getpid).values()))
    timer = threading.Timer(after, os.kill, (victim, signal.SIGKILL))
    timer.start()
    result = fit(client, rows, PARTITION, components)
    if timer.is_alive():
        timer.cancel()
        warnings.warn("the fit ended before a worker was killed", stacklevel=2)
    return result


def report(name: str, result: Fit, first: Fit, components: int) -> None:
    """One line of the table."""
    moments = result.sent / (8 * components**2)
    error = np.linalg.norm(result.coefficients - first.coefficients) / np.linalg.norm(first.coefficients)
    ratios = f"{first.seconds / result.seconds:5.2f} | {result.busiest:8.2f} | {first.busiest / result.busiest:5.2f}"
    print(f"{name:<25} | {result.seconds:8.2f} | {ratios} | {moments:6.2f} | {error:8.1e}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=400_000)
    parser.add_argument("--components", type=int, default=2048)
    parser.add_argument("--quick", action="store_true", help="30,000 rows, 512 features")
    options = parser.parse_args()
    rows, m = (30_000, 512) if options.quick else (options.rows, options.components)
    print(f"{rows:,} rows x {COLUMNS} in partitions of {PARTITION:,}, {m:,} features")
    print("workers                   |  seconds | ratio | busiest's | ratio | sent / 8 m^2 | coefficients differ by")
    with cluster(1) as client:
        fit(client, 2 * PARTITION, PARTITION, m)
        first = fit(client, rows, PARTITION, m)
    report("1", first, first, m)
    with cluster(2) as client:
        fit(client, 2 * PARTITION, PARTITION, m)
        second = fit(client, rows, PARTITION, m)
        report("2", second, first, m)
        report("2, partitions of 500 rows", fit(client, rows, 500, m), first, m)
        report("2, one killed", fit_with_a_loss(client, rows, m, second.seconds / 2), first, m)


if __name__ == "__main__":
    main()
