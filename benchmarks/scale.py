"""Regression on more rows than memory holds: seconds beside two bare products of matrices, and memory.

    python benchmarks/scale.py --rows 1000000                 # speed: memory map, fixed alpha
    python benchmarks/scale.py --section parquet --rows 1000000
    python benchmarks/scale.py --section budgets
    python benchmarks/scale.py --quick                        # all of them, small

`speed` and `parquet`: rows of 100 float32 columns in a memory map or in Parquet files, `NeuralFeatureRegressor(
nk.mlp(3), n_components=4096, alpha=1e-3)` with the default method, which is Nystrom's. The yardstick is two products
in float32 by torch into memory that is there, timed in the same process before and after the fit: (n, d) by (d, m), and
(m, n) by (n, m). Several numbers of rows tell whether time is linear. `budgets`: memory maps of several sizes, fit and
predict with a `memory_budget`, of features and of exact kernels; an exact model keeps the training rows.

Memory is what the process has for itself alone (`RssAnon` in /proc/self/status), polled every 20 ms: pages of
files do not count. Data are made in `--data`, default a temporary folder. Threads: OMP_NUM_THREADS, default all cores.
"""

from __future__ import annotations

import argparse
import ctypes
import multiprocessing
import tempfile
import threading
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch

import neural_kernels as nk

COLUMNS = 100
CHUNK = 2**16  # rows made at a time
BLOCK = 4096  # rows of the yardstick's products
WIDE = 1000  # rows of exact kernels
FEATURES: dict[str, Any] = {"regressor": nk.NeuralFeatureRegressor, "classifier": nk.NeuralFeatureClassifier}
EXACT: dict[str, Any] = {"exact regressor": nk.NeuralKernelRegressor, "exact classifier": nk.NeuralKernelClassifier}


def target(x: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    return np.sin(x[:, 0]) + x[:, 1] * x[:, 2] + 0.1 * rng.standard_normal(len(x), dtype=np.float32)


def chunks(rows: int, columns: int) -> Any:
    """The data, made anew chunk by chunk."""
    for k in range(-(-rows // CHUNK)):
        rng = np.random.default_rng(k)
        x = rng.standard_normal((min(CHUNK, rows - k * CHUNK), columns), dtype=np.float32)
        yield x, target(x, rng)


def memory_map(folder: Path, rows: int, columns: int = COLUMNS) -> tuple[np.ndarray, np.ndarray]:
    """Rows in a file, which is made once, and targets in memory."""
    path, targets = folder / f"x_{rows}_{columns}.npy", folder / f"y_{rows}_{columns}.npy"
    if not targets.exists():
        x, y = np.lib.format.open_memmap(path, "w+", np.float32, (rows, columns)), np.empty(rows, np.float32)
        for k, (part, values) in enumerate(chunks(rows, columns)):
            x[k * CHUNK :][: len(part)], y[k * CHUNK :][: len(part)] = part, values
        x.flush()
        np.save(targets, y)
    return np.load(path, mmap_mode="r"), np.load(targets)


def parquet(folder: Path, rows: int) -> Path:
    """A folder of Parquet files, made once, with the target in the column `y`."""
    import pyarrow as pa
    from pyarrow import parquet as pq

    path = folder / f"parquet_{rows}"
    for k, (x, y) in enumerate(chunks(rows, COLUMNS)):
        file = path / f"{k:05}.parquet"
        if not file.exists():
            path.mkdir(exist_ok=True)
            table = pa.table({**{f"x{j}": x[:, j] for j in range(COLUMNS)}, "y": y})
            pq.write_table(table, file.with_suffix(".part"))
            file.with_suffix(".part").rename(file)
    return path


def private() -> int:
    """Bytes of memory that this process has for itself and that belong to no file."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(1024 * int(line.split()[1]) for line in lines if line.startswith("RssAnon:"))


def trim() -> None:
    """Give back to the system what was freed."""
    libc = ctypes.CDLL(None)
    if hasattr(libc, "malloc_trim"):
        libc.malloc_trim(0)


class Peak:
    """The most private memory while a block of code runs, beyond what there was before."""

    def __enter__(self) -> Peak:
        self.before = self.most = private()
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._watch)
        self._thread.start()
        return self

    def _watch(self) -> None:
        while not self._done.wait(0.02):
            self.most = max(self.most, private())

    def __exit__(self, *_: object) -> None:
        self._done.set()
        self._thread.join()
        self.most = max(self.most, private())

    @property
    def beyond(self) -> int:
        """Beyond what there was before."""
        return self.most - self.before


def yardstick(columns: int, components: int, blocks: int) -> float:
    """Seconds a row of the two products."""
    x, phi = torch.randn(BLOCK, columns), torch.randn(BLOCK, components)
    weights, square, features = torch.randn(columns, components), torch.empty(components, components), phi.clone()

    def one() -> None:
        torch.mm(x, weights, out=features)
        torch.mm(phi.T, phi, out=square)

    one()
    begun = time.perf_counter()
    for _ in range(blocks):
        one()
    return (time.perf_counter() - begun) / (blocks * BLOCK)


def child(connection: Any, function: Callable[..., Any], arguments: tuple[Any, ...]) -> None:
    connection.send(function(*arguments))


def apart(function: Callable[..., Any], *arguments: Any) -> Any:
    """What a function gives in a new process, whose memory is its own."""
    context = multiprocessing.get_context("spawn")
    here, there = context.Pipe()
    process = context.Process(target=child, args=(there, function, arguments))
    process.start()
    there.close()
    result = here.recv()
    process.join()
    return result


def timed_fit(kind: str, folder: Path, rows: int, components: int, blocks: int) -> dict[str, float]:
    """Seconds and memory of a fit, and the yardstick's seconds for as many rows."""
    warm = np.random.default_rng(0).standard_normal((2000, COLUMNS), dtype=np.float32)
    nk.NeuralFeatureRegressor(nk.mlp(3), n_components=64, alpha=1e-3).fit(warm, warm[:, 0])  # compilation
    data = memory_map(folder, rows) if kind == "memory map" else (nk.read_blocks(parquet(folder, rows), target="y"),)
    model = nk.NeuralFeatureRegressor(nk.mlp(3), n_components=components, alpha=1e-3, random_state=0)
    bare = yardstick(COLUMNS, components, blocks)
    with Peak() as peak:
        begun = time.perf_counter()
        model.fit(*data)
        seconds = time.perf_counter() - begun
    bare = rows * (bare + yardstick(COLUMNS, components, blocks)) / 2
    rng = np.random.default_rng(2**31)
    x = rng.standard_normal((5000, COLUMNS), dtype=np.float32)
    warnings.filterwarnings("ignore", "X does not have valid feature names")  # those of files have
    error = float(np.mean((model.predict(x) - target(x, rng)) ** 2))
    return {"seconds": seconds, "bare": bare, "peak": peak.most, "beyond": peak.beyond, "error": error}


def speed(kind: str, folder: Path, options: argparse.Namespace) -> None:
    sizes = [options.rows // 4, options.rows // 2, options.rows]
    print(f"\n{kind}: rows x {COLUMNS}, {options.components} features, {torch.get_num_threads()} threads")
    print("     rows | fit s | bare s | ratio | us a row beyond the first size | peak MiB | test error")
    first = None
    for rows in sizes:
        found = apart(timed_fit, kind, folder, rows, options.components, options.blocks)
        first = first or (rows, found["seconds"])
        slope = (found["seconds"] - first[1]) / (rows - first[0]) * 1e6 if rows > first[0] else float("nan")
        print(
            f"{rows:9,} | {found['seconds']:5.1f} | {found['bare']:6.1f} | {found['seconds'] / found['bare']:5.2f} | "
            f"{slope:30.1f} | {found['peak'] / 2**20:8.0f} | {found['error']:.4f}",
            flush=True,
        )


def measured_budget(estimator: str, folder: Path, megabytes: int, budget: int, components: int) -> dict[str, float]:
    """Private memory of fit and of predict, beyond what the process had, for a budget in MB."""
    settings: dict[str, Any] = {"memory_budget": budget * 10**6}
    if estimator in FEATURES:
        kind, columns = FEATURES[estimator], COLUMNS
        settings |= {"n_components": components, "alpha": 1e-3, "random_state": 0}
        some = slice(budget * 10**6 // 128 // COLUMNS * 4)  # rows that make a few blocks
    else:
        kind, columns, some = EXACT[estimator], megabytes * 10**6 // (4 * WIDE), slice(100)
    x, y = memory_map(folder, megabytes * 10**6 // (4 * columns), columns)
    y = (y > 0).astype(np.int8) if estimator.endswith("classifier") else y
    kind(nk.mlp(3), **settings).fit(x[some], y[some]).predict(x[some])  # what compiles and loads does so now
    model = kind(nk.mlp(3), **settings)
    trim()
    with Peak() as fit:
        model.fit(x, y)
    trim()
    kept = private() - fit.before
    with Peak() as predict:
        model.predict(x)
    return {"fit": fit.beyond / 1e6, "kept": kept / 1e6, "predict": predict.beyond / 1e6}


def budgets(folder: Path, options: argparse.Namespace) -> None:
    print(f"\nbudget of {options.budget} MB, {options.budget_components} features, {WIDE:,} rows of exact kernels")
    print("MB beyond what the process had, which had fitted to a few rows before")
    print("estimator        | memory map |  fit | kept | predict, its result included")
    for estimator in (*FEATURES, *EXACT):
        for megabytes in options.megabytes:
            found = apart(measured_budget, estimator, folder, megabytes, options.budget, options.budget_components)
            print(
                f"{estimator:16} | {megabytes:7} MB | {found['fit']:4.0f} | {found['kept']:4.0f} | "
                f"{found['predict']:4.0f}",
                flush=True,
            )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--section", choices=["speed", "parquet", "budgets", "all"], default="speed")
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--components", type=int, default=4096)
    parser.add_argument("--blocks", type=int, default=20, help="of 4,096 rows, that the yardstick is timed on")
    parser.add_argument("--budget", type=int, default=40, help="MB")
    parser.add_argument("--budget-components", type=int, default=256)
    parser.add_argument("--megabytes", type=int, nargs="+", default=[50, 200, 1000])
    parser.add_argument("--data", type=Path, default=None, help="a folder for the data, which are kept there")
    parser.add_argument("--quick", action="store_true", help="all sections, small")
    options = parser.parse_args()
    if options.quick:
        options.section, options.rows, options.components, options.blocks = "all", 80_000, 1024, 5
        options.megabytes = [10, 50]
    with tempfile.TemporaryDirectory() as temporary:
        folder = options.data or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        for section, kind in (("speed", "memory map"), ("parquet", "parquet")):
            if options.section in (section, "all"):
                speed(kind, folder, options)
        if options.section in ("budgets", "all"):
            budgets(folder, options)


if __name__ == "__main__":
    main()
