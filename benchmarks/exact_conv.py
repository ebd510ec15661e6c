"""Exact kernels of convolutional networks: milliseconds per pair of 32 x 32 x 3 images, float32, NNGP and NTK; JSON.

All are medians of interleaved rounds in one run. `--quick` takes sizes for a smoke test; `--neural-tangents PYTHON`
names an interpreter that can import neural-tangents (its own environment: it needs an old JAX), and adds its time for
the first kernels. `--deep` measures instead the networks of the table in neural-tangents' README: 21 convolutions with
ReLU, then a mean over all positions or `Flatten`.
"""

from __future__ import annotations

import argparse
import json
import subprocess
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


_OTHER = """
import sys, time
import jax, numpy as np
from neural_tangents import stax
size, pairs = int(sys.argv[1]), 2
layers = [layer for _ in range(3) for layer in (stax.Conv(1, (3, 3), padding="SAME"), stax.Relu())]
kernel = jax.jit(stax.serial(*layers, stax.GlobalAvgPool(), stax.Dense(1))[2], static_argnames="get")
x, z = (np.random.rand(pairs, size, size, 3).astype(np.float32) for _ in range(2))
times = []
for _ in range(4):
    start = time.perf_counter()
    jax.block_until_ready(kernel(x, z, get=("nngp", "ntk")))
    times.append(time.perf_counter() - start)
print(float(np.median(times[1:])) / pairs**2)
"""


def neural_tangents(python: str, size: int) -> float:
    """Seconds a pair of three convolutions, ReLU and global average pooling."""
    done = subprocess.run([python, "-c", _OTHER, str(size)], capture_output=True, text=True, check=True)
    return float(done.stdout.split()[-1])


def deep(n: int, many: int, rounds: int, size: int) -> dict[str, float]:
    """Milliseconds a pair of 21 convolutions with ReLU."""
    rng = np.random.default_rng(0)
    work: dict[str, Callable[[], object]] = {}
    counts = {"avg": n, "flatten": many}
    for pooling, count in counts.items():
        x, z = (rng.random((count, 3, size, size), np.float32) for _ in range(2))
        work[pooling] = partial(nk.kernels, nk.cnn(21, pooling=pooling), x, z)
    return {name: 1e3 * value / counts[name] ** 2 for name, value in medians(work, rounds).items()}


def main() -> None:
    """Run all and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--neural-tangents", metavar="PYTHON")
    parser.add_argument("--deep", action="store_true")
    options = parser.parse_args()
    quick = options.quick
    n, many, rounds, size = (4, 8, 1, 8) if quick else (16, 256, 5, 32)
    if options.deep:
        pairs = deep(n // 2, many, rounds, size)
        print(json.dumps({"threads": torch.get_num_threads(), "milliseconds_per_pair": pairs}, indent=1))
        return
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
    if options.neural_tangents is not None:
        other = neural_tangents(options.neural_tangents, size)
        results["neural_tangents"] = {"milliseconds_per_pair": 1e3 * other, "ratio": other * n**2 / seconds["relu"]}
    print(json.dumps(results, indent=1))


if __name__ == "__main__":
    main()
