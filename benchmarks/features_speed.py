"""Microseconds per row and memory of the feature maps that know no data: 784 -> 4096 columns, float32; JSON.

- dense: n and 4 n rows, beside one dense product of that shape, all in turns, medians; "ratio" is the median over turns
  of the time per row over the product's. "reused" writes blocks of rows into an output that is there already
  (`BuiltMap.fill`), else each call makes its output. "4n_by_n" is the time per row at 4 n over that at n.
- memory: what one call on n and 4 n rows takes at its peak beside input and output, each in a process of its own.
- csr: rows of 50,000 columns with 10, 100 and 1000 non-zeros, output made by the call. "per_non_zero" is the time of a
  row over its non-zeros, "marginal" that of one more (between the fewest and the most).

Tables go to stderr. `--quick` takes sizes for a smoke test.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from _features import OBLIVIOUS, chosen, in_new_process, memory, show
from scipy import sparse
from timing import ratios

import neural_kernels as nk

WIDTH, COLUMNS, WIDE = 784, 4096, 50_000
NON_ZEROS = (10, 100, 1000)
BLOCK = 1024  # rows


def built(name: str, depth: int, x: Any) -> nk.FeatureMap:
    """A map of the NTK that has been called once."""
    phi = nk.feature_map(nk.mlp(depth), n_components=COLUMNS, method=OBLIVIOUS[name]())
    phi(x[:64])
    return phi


def fill(phi: nk.FeatureMap, x: torch.Tensor, out: torch.Tensor) -> None:
    """The features of rows, into memory that is there."""
    assert phi.map is not None
    with torch.no_grad():
        for start in range(0, len(x), BLOCK):
            phi.map.fill(x[start : start + BLOCK], out[start : start + BLOCK])


def dense(names: list[str], depths: list[int], n: int, rounds: int) -> dict:
    """Times of n and 4 n rows."""
    x, weights, out = torch.randn(4 * n, WIDTH), torch.randn(WIDTH, COLUMNS), torch.zeros(4 * n, COLUMNS)
    counts = {"n": n, "4n": 4 * n}
    work: dict[str, Callable[[], object]] = {"product, 4n": lambda: torch.mm(x, weights, out=out)}
    for name in names:
        for depth in depths:
            phi = built(name, depth, x)
            for label, k in counts.items():
                key = f"{name}, depth {depth}"
                work[f"{key}, {label}"] = lambda phi=phi, k=k: phi(x[:k])
                work[f"{key}, reused, {label}"] = lambda phi=phi, k=k: fill(phi, x[:k], out[:k])
    times = ratios(lambda: torch.mm(x[:n], weights, out=out[:n]), work, rounds)
    times["product, n"] = times.pop("baseline") | {"ratio": 1.0}
    table = {}
    for key in dict.fromkeys(key.rpartition(", ")[0] for key in ["product, n", *work]):
        few, many = times[f"{key}, n"], times[f"{key}, 4n"]
        table[key] = {
            "us_per_row": 1e6 * few["seconds"] / n,
            "ratio": few["ratio"],
            "us_per_row_4n": 1e6 * many["seconds"] / (4 * n),
            "4n_by_n": many["seconds"] / few["seconds"] / 4,
        }
    return table


def peak(name: str, depth: int, n: int, reused: bool) -> float:
    """Bytes beside input and output at the peak of one call; for a process of its own."""
    x = torch.randn(n, WIDTH)
    phi, out = built(name, depth, x), torch.zeros(n if reused else 1, COLUMNS)
    before = memory(reset=True)[0]
    result = fill(phi, x, out) if reused else phi(x)
    return float(memory()[1] - before - (0 if result is None else result.nbytes))


def memories(names: list[str], depths: list[int], n: int) -> dict:
    """MiB of all."""
    table: dict[str, dict[str, float]] = {}
    for name in names:
        for depth in depths:
            for reused in (False, True):
                row = table.setdefault(f"{name}, depth {depth}{', reused' if reused else ''}", {})
                for label, k in {"n": n, "4n": 4 * n}.items():
                    row[f"MiB, {label}"] = in_new_process(peak, name, depth, k, reused) / 2**20
                row["MiB of output, 4n"] = 4.0 * n * COLUMNS * 4 / 2**20
    return table


def sparse_rows(n: int, non_zeros: int, rng: np.random.Generator) -> sparse.csr_matrix:
    """Rows with `non_zeros` entries each, at random places."""
    data = rng.standard_normal(n * non_zeros).astype(np.float32)
    columns = np.concatenate([np.sort(rng.choice(WIDE, non_zeros, replace=False)) for _ in range(n)])
    return sparse.csr_matrix((data, columns.astype(np.int32), np.arange(n + 1) * non_zeros), (n, WIDE))


def csr(names: list[str], depths: list[int], n: int, rounds: int) -> dict:
    """Times by the number of non-zeros."""
    rng = np.random.default_rng(0)
    rows = {k: sparse_rows(n, k, rng) for k in NON_ZEROS}
    work: dict[str, Callable[[], object]] = {}
    for name in names:
        for depth in depths:
            phi = built(name, depth, rows[NON_ZEROS[0]])
            work |= {f"{name}, depth {depth}, {k}": lambda phi=phi, k=k: phi(rows[k]) for k in NON_ZEROS}
    weights = np.ones((WIDE, 8), np.float32)
    times = ratios(lambda: rows[NON_ZEROS[0]] @ weights, work, rounds)
    table: dict[str, dict[str, float]] = {}
    for key in dict.fromkeys(key.rpartition(", ")[0] for key in work):
        micro = {k: 1e6 * times[f"{key}, {k}"]["seconds"] / n for k in NON_ZEROS}
        row = {f"us_per_row, {k}": value for k, value in micro.items()}
        row |= {f"per_non_zero, {k}": value / k for k, value in micro.items()}
        few, many = NON_ZEROS[0], NON_ZEROS[-1]
        table[key] = row | {"marginal": (micro[many] - micro[few]) / (many - few)}
    return table


def main() -> None:
    """Run all and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--methods", help=f"of {', '.join(OBLIVIOUS)}; default all")
    parser.add_argument("--depths", default="1,3")
    parser.add_argument("--only", choices=("dense", "memory", "csr"))
    parser.add_argument("--quick", action="store_true")
    options = parser.parse_args()
    names, depths = chosen(options.methods, OBLIVIOUS), [int(depth) for depth in options.depths.split(",")]
    n, wide, rounds = (512, 64, 2) if options.quick else (4096, 1024, 5)
    torch.manual_seed(0)
    sections = {
        "dense": lambda: dense(names, depths, n, rounds),
        "memory": lambda: memories(names, depths[:1] if options.quick else depths, n),
        "csr": lambda: csr(names, depths, wide, rounds),
    }
    report: dict = {"threads": torch.get_num_threads(), "rows": n, "csr_rows": wide}
    for section, run in sections.items():
        if options.only in (None, section):
            report[section] = run()
            show(section, report[section])
    print(json.dumps(report, indent=1))


if __name__ == "__main__":
    main()
