"""One-pass ridge on streams: what small calls cost beside large ones, and what accumulating and solving take of it.

    python benchmarks/streams.py --rows 5000000

Rows of 20 normal columns in float32, a smooth target with noise, 256 Nystrom features, three alphas. Every size of
call gets the same rows, in turns of 100,000. Times are of the processor (set OMP_NUM_THREADS=1), and of `partial_fit`
and `finalize` alone, without making the rows.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator

import numpy as np

import neural_kernels as nk

COLUMNS = 20
ALPHAS = [1e-3, 1e-2, 1e-1]
CHUNK = 100_000


def chunks(rows: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """The stream, made anew chunk by chunk."""
    for k in range(-(-rows // CHUNK)):
        rng = np.random.default_rng(k)
        x = rng.standard_normal((min(CHUNK, rows - k * CHUNK), COLUMNS), dtype=np.float32)
        yield x, np.sin(2 * x[:, 0]) + x[:, 1] * x[:, 2] + 0.3 * rng.standard_normal(len(x))


def give(model: nk.NeuralFeatureRegressor, x: np.ndarray, y: np.ndarray, call: int) -> float:
    """Seconds of handing over rows in calls of a size."""
    begun = time.process_time()
    for start in range(0, len(x), call):
        model.partial_fit(x[start : start + call], y[start : start + call])
    return time.process_time() - begun


def streams(rows: int, calls: list[int], components: int) -> dict[int, tuple[float, float, float]]:
    """For each size of call: seconds of accumulating and of solving, and R2 on rows that were not in the stream."""
    models, spent = {}, dict.fromkeys(calls, 0.0)
    for k, (x, y) in enumerate(chunks(rows)):
        for call in calls[:: (-1) ** k]:
            if k == 0:
                models[call] = nk.NeuralFeatureRegressor(n_components=components, alpha=ALPHAS, random_state=0)
            spent[call] += give(models[call], x, y, call)
    rng = np.random.default_rng(2**31)
    x = rng.standard_normal((5000, COLUMNS), dtype=np.float32)
    results = {}
    for call, model in models.items():
        begun = time.process_time()
        model.finalize()
        solving = time.process_time() - begun
        results[call] = spent[call], solving, float(model.score(x, np.sin(2 * x[:, 0]) + x[:, 1] * x[:, 2]))
    return results


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=500_000)
    parser.add_argument("--components", type=int, default=256)
    parser.add_argument("--calls", type=int, nargs="+", default=[100_000, 1000])
    options = parser.parse_args()
    streams(20_000, [1000], options.components)  # compilation
    results = streams(options.rows, options.calls, options.components)
    print(f"{options.rows:,} rows x {COLUMNS}, {options.components} features")
    print("rows a call | partial_fit s | finalize s | of the first's | R2")
    whole = sum(results[options.calls[0]][:2])
    for call, (spent, solving, score) in results.items():
        print(f"{call:11,} | {spent:13.2f} | {solving:10.2f} | {(spent + solving) / whole:14.3f} | {score:.4f}")


if __name__ == "__main__":
    main()
