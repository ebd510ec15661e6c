"""On the device against the CPU: exact kernels, feature maps and empirical kernels, float32; a table, then JSON.

Seconds of a call are medians of rounds after one that is not counted (it compiles, and moves what it needs); the device
is waited for at both ends. Beside them stands by how much the results differ, relative in the Frobenius norm. `--quick`
takes sizes for a smoke test. Without a CUDA device the script says so and ends; `--device cpu` runs it all the same, to
try the script out.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

import neural_kernels as nk

Job = Callable[[torch.device], Callable[[], Tensor]]


def numbers(*shape: int) -> Tensor:
    """The same on every device."""
    return torch.randn(*shape, generator=torch.Generator().manual_seed(0))


def exact(net: nk.Layer, x: Tensor) -> Job:
    """Both kernels of a network."""

    def prepared(device: torch.device) -> Callable[[], Tensor]:
        moved = x.to(device)
        return lambda: nk.kernels(net, moved)[1]

    return prepared


def mapped(net: nk.Layer, method: Any, x: Tensor, columns: int) -> Job:
    """Features by a map that is there; compared by their inner products, of the first rows."""

    def prepared(device: torch.device) -> Callable[[], Tensor]:
        phi = nk.feature_map(net, n_components=columns, method=method).fit(x[:2000])
        phi(x[:2])
        phi.to(device)
        moved = x.to(device)
        return lambda: phi(moved)

    return prepared


def empirical(kind: Callable[[nn.Module], Any], module: nn.Module, x: Tensor) -> Job:
    """The kernel of a module."""

    def prepared(device: torch.device) -> Callable[[], Tensor]:
        kernel, moved = kind(module.to(device)), x.to(device)

        def call() -> Tensor:
            module.to(device)
            return kernel(moved)

        return call

    return prepared


def jobs(quick: bool) -> dict[str, Job]:
    """By name; sizes of seconds on two cores, or of next to nothing."""
    rows, images, batch, columns = (200, 4, 20, 128) if quick else (4000, 40, 400, 4096)
    x, pixels = numbers(rows, 784), numbers(images, 3, 16, 16)
    torch.manual_seed(0)
    mlp = nn.Sequential(nn.Linear(784, 512), nn.ReLU(), nn.Linear(512, 512), nn.ReLU(), nn.Linear(512, 10)).eval()
    cnn = nn.Sequential(
        nn.Conv2d(3, 32, 3, padding=1), nn.ReLU(), nn.Conv2d(32, 32, 3, padding=1), nn.ReLU(),
        nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(32, 10),
    ).eval()  # fmt: skip
    small = numbers(batch, 3, 16, 16)
    return {
        f"NTK, ReLU mlp(3), {rows} rows": exact(nk.mlp(3), x),
        f"NTK, GELU mlp(3), {rows} rows": exact(nk.mlp(3, nk.GELU()), x),
        f"NTK, cnn(3), {images} images": exact(nk.cnn(3), pixels),
        f"Nystrom, {columns} columns": mapped(nk.mlp(3, bias_var=0.1), nk.Nystrom(), x, columns),
        f"ZonalFeatures, {columns} columns": mapped(nk.mlp(3), nk.ZonalFeatures(), x, columns),
        f"RandomFeatures, {columns} columns": mapped(nk.mlp(3, bias_var=0.1), nk.RandomFeatures(), x, columns),
        f"PolynomialSketch, {columns} columns": mapped(nk.mlp(3), nk.PolynomialSketch(), x, columns),
        f"PseudoNTK, MLP, {batch} examples": empirical(nk.PseudoNTK, mlp, x[:batch]),
        f"TraceNTK, MLP, {batch} examples": empirical(nk.TraceNTK, mlp, x[:batch]),
        f"PseudoNTK, CNN, {batch} examples": empirical(nk.PseudoNTK, cnn, small),
    }


def timed(call: Callable[[], Tensor], rounds: int) -> tuple[float, Tensor]:
    """Median seconds, and the result."""
    result, times = call(), []
    for _ in range(rounds):
        wait()
        start = time.perf_counter()
        result = call()
        wait()
        times.append(time.perf_counter() - start)
    return statistics.median(times), result


def wait() -> None:
    """For what was asked of the device."""
    if torch.cuda.is_available():
        torch.cuda.synchronize()


def difference(result: Tensor, expected: Tensor) -> float:
    """Relative, of matrices, or of the inner products of features."""
    a, b = (tensor[:500].detach().cpu().double() for tensor in (result, expected))
    if a.shape[1] != len(expected):
        a, b = a @ a.T, b @ b.T
    return float((a - b).norm() / b.norm())


def main() -> None:
    """Run all jobs on both."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    device, cpu = torch.device(options.device), torch.device("cpu")
    if device.type == "cuda" and not torch.cuda.is_available():
        print("There is no CUDA device: nothing is measured. `--device cpu` tries the script out.")
        return
    rounds = 1 if options.quick else options.rounds
    rows = []
    print(f"{'':<36} {'cpu, s':>9} {device.type + ', s':>9} {'ratio':>7} {'difference':>11}")
    for name, job in jobs(options.quick).items():
        slow, expected = timed(job(cpu), rounds)
        fast, result = timed(job(device), rounds)
        row = {
            "name": name,
            "cpu": slow,
            "device": fast,
            "ratio": slow / fast,
            "difference": difference(result, expected),
        }
        print(f"{name:<36} {slow:9.4f} {fast:9.4f} {row['ratio']:7.1f} {row['difference']:11.1e}", flush=True)
        rows.append(row)
    where = torch.cuda.get_device_name(device) if device.type == "cuda" else "the CPU again"
    print(json.dumps({"device": where, "threads": torch.get_num_threads(), "torch": torch.__version__, "rows": rows}))


if __name__ == "__main__":
    main()
