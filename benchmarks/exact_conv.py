"""Exact kernels of convolutional networks: milliseconds per pair of 32 x 32 x 3 images, float32, NNGP and NTK; JSON.

All are medians of interleaved rounds in one run. `--quick` takes sizes for a smoke test.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable
from functools import partial

import numpy as np
import torch

import neural_kernels as nk


def medians(work: dict[str, Callable[[], object]], rounds: int) -> dict[str, float]:
    """Seconds of each, after one round that is not counted."""
    times: dict[str, list[float]] = {name: [] for name in work}
    for k in range(rounds + 1):
        for name, call in work.items():
            start = time.perf_counter()
            call()
            if k:
                times[name].append(time.perf_counter() - start)
    return {name: float(np.median(values)) for name, values in times.items()}


def on_threads(count: int, call: Callable[[], object]) -> Callable[[], object]:
    """The same on so many threads."""

    def run() -> None:
        before = torch.get_num_threads()
        torch.set_num_threads(count)
        call()
        torch.set_num_threads(before)

    return run


def main() -> None:
    """Run all and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true")
    quick = parser.parse_args().quick
    n, many, rounds, size = (4, 8, 1, 8) if quick else (16, 256, 5, 32)
    rng = np.random.default_rng(0)
    x, z = (rng.random((n, 3, size, size), np.float32) for _ in range(2))
    nets = {"relu": nk.cnn(3), "myrtle5": nk.myrtle(5), "erf": nk.cnn(3, nk.Erf()), "gelu": nk.cnn(3, nk.GELU())}
    work: dict[str, Callable[[], object]] = {name: partial(nk.kernels, net, x, z) for name, net in nets.items()}
    work["relu on one thread"] = on_threads(1, work["relu"])
    seconds = medians(work, rounds)
    flat = nk.cnn(3, pooling="flatten")
    u, v = (rng.random((many, 3, size, size), np.float32) for _ in range(2))
    w = rng.random((2 * n, 3, size, size), np.float32)
    flattened = medians({"flatten": lambda: nk.kernels(flat, u, v)}, rounds)["flatten"]
    squares = medians(
        {"symmetric": lambda: nk.kernels(nets["relu"], w), "full": lambda: nk.kernels(nets["relu"], w, w.copy())},
        rounds,
    )
    results = {
        "threads": torch.get_num_threads(),
        "milliseconds_per_pair": {name: 1e3 * value / n**2 for name, value in seconds.items()},
        "flatten_microseconds_per_pair": 1e6 * flattened / many**2,
        "by_relu": {name: seconds[name] / seconds["relu"] for name in ("erf", "gelu", "relu on one thread")},
        "symmetric_by_full_square": squares["symmetric"] / squares["full"],
    }
    print(json.dumps(results, indent=1))


if __name__ == "__main__":
    main()
