"""Exact kernels of dense networks against the matrix product of their inputs; prints JSON.

Every figure is a ratio within one run: seconds of the kernel by seconds of the one product X @ Z.T of the same shape,
float32, results into arrays touched before. `--quick` takes sizes for a smoke test.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import threading
import time

import numpy as np
import psutil
import torch
from timing import ratios

import neural_kernels as nk


def swish(x: torch.Tensor) -> torch.Tensor:
    """A callable of the user's own."""
    return x * torch.sigmoid(1.5 * x)


def symmetric(n: int, d: int, rounds: int) -> dict:
    """NTK(X) of one batch."""
    x, out, product = torch.randn(n, d), torch.zeros(n, n), torch.zeros(n, n)
    kernel = nk.NTK(nk.mlp(3))
    table = ratios(lambda: torch.mm(x, x.T, out=product), {"ntk": lambda: kernel(x, out=out)}, rounds)
    return {**table, "peak_memory_share_of_output": peak_memory(lambda: kernel(x, out=out)) / out.nbytes}


def rectangular(n: int, d: int, rounds: int) -> dict:
    """NTK(X, Z) of two batches, by activation; NNGP and NTK together."""
    x, z = torch.randn(n, d), torch.randn(n, d)
    out, other, product = torch.zeros(n, n), torch.zeros(n, n), torch.zeros(n, n)
    activations = [nk.ReLU(), nk.Erf(), nk.GELU(), nk.Sin(), nk.Tanh(), nk.Elementwise(swish)]
    work = {}
    for activation in activations:
        kernel = nk.NTK(nk.mlp(3, activation))
        work[repr(activation)] = lambda kernel=kernel: kernel(x, z, out=out)
    table = ratios(lambda: torch.mm(x, z.T, out=product), work, rounds)
    net = nk.mlp(3)
    both = ratios(
        lambda: nk.NTK(net)(x, z, out=out),
        {"nngp and ntk by ntk": lambda: nk.kernels(net, x, z, out=(other, out))},
        rounds,
    )
    return {**table, **{name: row for name, row in both.items() if name != "baseline"}}


def peak_memory(work) -> float:
    """Bytes of resident memory above the state before the call, sampled every millisecond."""
    process = psutil.Process()
    before = process.memory_info().rss
    peak, stop = [before], threading.Event()

    def watch() -> None:
        while not stop.is_set():
            peak[0] = max(peak[0], process.memory_info().rss)
            time.sleep(0.001)

    thread = threading.Thread(target=watch)
    thread.start()
    work()
    stop.set()
    thread.join()
    return float(peak[0] - before)


FIRST_CALL = """
import time, torch, neural_kernels as nk
x, out = torch.randn(1000, 784), torch.zeros(1000, 1000)
kernel, times = nk.NTK(nk.mlp(3)), []
for _ in range(2):
    start = time.perf_counter(); kernel(x, out=out); times.append(time.perf_counter() - start)
print(times[0] - times[1])
"""
IMPORTS = "import time; start = time.perf_counter(); import {}; print(time.perf_counter() - start)"


def in_new_process(code: str) -> float:
    """The number that a program prints."""
    return float(subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout)


def start_up(rounds: int) -> dict:
    """What a new process pays: importing, and the first call with kernels compiled before."""
    in_new_process(FIRST_CALL)
    imports = [
        in_new_process(IMPORTS.format("neural_kernels")) / in_new_process(IMPORTS.format("torch"))
        for _ in range(rounds)
    ]
    return {
        "first_call_minus_second_seconds": float(np.median([in_new_process(FIRST_CALL) for _ in range(rounds)])),
        "import_by_import_torch": float(np.median(imports)),
    }


def main() -> None:
    """Run all and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true")
    quick = parser.parse_args().quick
    torch.manual_seed(0)
    results = {
        "threads": torch.get_num_threads(),
        "symmetric": symmetric(500 if quick else 8000, 784, 2 if quick else 9),
        "rectangular": rectangular(300 if quick else 4000, 784, 2 if quick else 9),
        "start_up": start_up(1 if quick else 5),
    }
    print(json.dumps(results, indent=1))


if __name__ == "__main__":
    main()
