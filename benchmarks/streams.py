"""One-pass ridge on streams: what small calls cost beside large ones, and what accumulating and solving take of it.

    python benchmarks/streams.py --rows 5000000

Rows of 20 normal columns in float32, a smooth target with noise, 256 Nystrom features, three alphas; each size of call
gets the same rows. Times are of `partial_fit` and `finalize` alone, without making the rows.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator

import numpy as np

import neural_kernels as nk

COLUMNS = 20
CHUNK = 100_000


def chunks(rows: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """The stream, made anew chunk by chunk."""
    for k in range(-(-rows // CHUNK)):
        rng = np.random.default_rng(k)
        x = rng.standard_normal((min(CHUNK, rows - k * CHUNK), COLUMNS), dtype=np.float32)
        yield x, np.sin(2 * x[:, 0]) + x[:, 1] * x[:, 2] + 0.3 * rng.standard_normal(len(x))


def stream(rows: int, call: int, components: int) -> tuple[float, float, float]:
    """Seconds of accumulating and of solving, and the score on rows that were not in the stream."""
    model = nk.NeuralFeatureRegressor(n_components=components, alpha=[1e-3, 1e-2, 1e-1], random_state=0)
    spent = 0.0
    for x, y in chunks(rows):
        begun = time.perf_counter()
        for start in range(0, len(x), call):
            model.partial_fit(x[start : start + call], y[start : start + call])
        spent += time.perf_counter() - begun
    begun = time.perf_counter()
    model.finalize()
    solving = time.perf_counter() - begun
    rng = np.random.default_rng(2**31)
    x = rng.standard_normal((5000, COLUMNS), dtype=np.float32)
    return spent, solving, float(model.score(x, np.sin(2 * x[:, 0]) + x[:, 1] * x[:, 2]))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=500_000)
    parser.add_argument("--components", type=int, default=256)
    parser.add_argument("--calls", type=int, nargs="+", default=[100_000, 10_000, 1000])
    options = parser.parse_args()
    stream(20_000, 1000, options.components)  # compilation
    print(f"{options.rows:,} rows x {COLUMNS}, {options.components} features")
    print("rows a call | partial_fit s | finalize s | beside the first | R2")
    whole = None
    for call in options.calls:
        spent, solving, score = stream(options.rows, call, options.components)
        whole = whole or spent + solving
        print(f"{call:11,} | {spent:13.2f} | {solving:10.2f} | {(spent + solving) / whole:16.2f} | {score:.4f}")


if __name__ == "__main__":
    main()
