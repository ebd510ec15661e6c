"""Sketches against a copy of memory and against scikit-learn's, in turns; prints JSON.

The cost of a non-zero is the time of rows with k non-zeros less that of rows with none, over k: clearing the output
does not depend on them. Targets: Hadamard <= 6 copies, TensorSketch <= 1/10 of scikit-learn's time on dense rows and
<= 1/100 on sparse ones, the cost of a non-zero within 20 % of its median.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import torch
from scipy import sparse
from sklearn.kernel_approximation import PolynomialCountSketch

from neural_kernels.sketches import OSNAP, SRHT, CountSketch, PolySketch, TensorSketch, hadamard
from neural_kernels.sketches.sketch import Sketch

RNG = np.random.default_rng(0)


def sparse_rows(n: int, d: int, non_zeros: int) -> sparse.csr_matrix:
    """Rows with `non_zeros` entries each, at random places."""
    data = RNG.standard_normal(n * non_zeros).astype(np.float32)
    columns = RNG.integers(0, d, n * non_zeros, dtype=np.int32)
    return sparse.csr_matrix((data, columns, np.arange(n + 1) * non_zeros), (n, d))


def wall_and_processor(work: Callable[[], object]) -> tuple[float, float]:
    """Seconds of one call; those of the processor are of all threads together, and a busy machine changes them less."""
    start = time.perf_counter(), time.process_time()
    work()
    return time.perf_counter() - start[0], time.process_time() - start[1]


def compare(first: Callable[[], object], second: Callable[[], object], rounds: int) -> dict:
    """Seconds in turns, medians; ratios are the second's time over the first's in the same turn."""
    turns = [(wall_and_processor(first), wall_and_processor(second)) for _ in range(rounds)]
    table = {}
    for k, clock in enumerate(("wall", "processor")):
        pairs = [(one[k], other[k]) for one, other in turns]
        medians = [round(statistics.median(times), 4) for times in zip(*pairs, strict=True)]
        ratio = statistics.median(other / one for one, other in pairs)
        least = min(other for _, other in pairs) / min(one for one, _ in pairs)
        table[clock] = {"seconds": medians, "ratio": round(ratio, 2), "ratio of least": round(least, 2)}
    return table


def hadamard_against_copy(n: int, rounds: int) -> dict:
    x = torch.randn(n, 8192)
    out = torch.empty_like(x)
    hadamard(x, out=out)
    return compare(lambda: out.copy_(x), lambda: hadamard(x, out=out), rounds)


def against_scikit_learn(x: Any, m: int, rounds: int) -> dict:
    theirs = PolynomialCountSketch(degree=3, n_components=m, random_state=0).fit(x[:2])
    ours = TensorSketch(x.shape[1], m, degree=3)
    out = np.empty((x.shape[0], m), np.float32)
    ours(x, out=out)
    return compare(lambda: ours(x, out=out), lambda: theirs.transform(x), rounds)


def cost_of_non_zeros(sketch: Sketch, n: int, rounds: int) -> dict:
    """Nanoseconds of processor time of one, by their number in a row: minima over rounds, on one thread."""
    out, counts = np.empty((n, sketch.n_components), np.float32), (0, 10, 30, 100, 300, 1000)
    work = {k: partial(sketch, sparse_rows(n, sketch.in_features, k), out=out) for k in counts}
    threads = torch.get_num_threads()
    torch.set_num_threads(1)

    def repeated(one: Callable[[], object], calls: int) -> float:
        return wall_and_processor(lambda: [one() for _ in range(calls)])[1] / calls

    # calls repeated to measurements of a similar length
    times = [{k: repeated(one, 2000 // max(k, 10)) for k, one in work.items()} for _ in range(rounds)]
    torch.set_num_threads(threads)
    best = {k: min(t[k] for t in times) for k in counts}
    costs = {k: round(1e9 * (best[k] - best[0]) / (n * k), 3) for k in counts[1:]}
    middle = statistics.median(costs.values())
    return costs | {"worst deviation from the median": round(max(abs(t / middle - 1) for t in costs.values()), 3)}


def microseconds_a_row(n: int, m: int, rounds: int) -> dict:
    """Of wall-clock time (medians) and of processor time (minima); a matrix product of the same shape to compare."""
    x, out, dense = torch.randn(n, 784), torch.empty(n, m), torch.randn(784, m)
    work: dict[str, Callable[[], object]] = {"product": partial(torch.mm, x, dense, out=out)}
    work |= {make.__name__: partial(make(784, m), x, out=out) for make in (CountSketch, OSNAP, SRHT)}
    for degree in (2, 4, 8):
        tree, product = PolySketch(784, m, degree), TensorSketch(784, m, degree)
        work[f"PolySketch, degree {degree}"] = partial(tree, x, out=out)
        work[f"PolySketch, powers 1 to {degree}, fresh memory"] = partial(tree.powers, x)
        work[f"TensorSketch, degree {degree}"] = partial(product, x, out=out)
    for one in work.values():
        one()
    times = [{name: wall_and_processor(one) for name, one in work.items()} for _ in range(rounds)]
    return {
        name: {
            "wall": round(1e6 * statistics.median(t[name][0] for t in times) / n, 2),
            "processor": round(1e6 * min(t[name][1] for t in times) / n, 2),
        }
        for name in work
    }


def main() -> None:
    """All of it; with --quick, fewer rows."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true")
    quick = parser.parse_args().quick
    n, rounds = (512, 3) if quick else (4096, 7)
    dense = RNG.standard_normal((n, 784)).astype(np.float32)
    report = {
        "rows": n,
        "threads": torch.get_num_threads(),
        "copy, and Hadamard transform, of 8192 columns": hadamard_against_copy(n, 3 * rounds),
        "TensorSketch of degree 3, 784 -> 4096, and scikit-learn's": against_scikit_learn(dense, 4096, rounds),
        # scikit-learn's time there is one of columns rather than rows: few rows flatter ours
        "the same, CSR of 50,000 columns, 100 non-zeros": against_scikit_learn(sparse_rows(n, 50_000, 100), 4096, 1),
        "nanoseconds a non-zero, CountSketch": cost_of_non_zeros(CountSketch(50_000, 128), 2048, 2 * rounds),
        "nanoseconds a non-zero, OSNAP": cost_of_non_zeros(OSNAP(50_000, 128), 2048, 2 * rounds),
        "microseconds a row, 784 -> 4096": microseconds_a_row(n, 4096, rounds),
    }
    print(json.dumps(report, indent=1))


if __name__ == "__main__":
    main()
