"""What a learnt metric is worth on tables: `FeatureLearning` beside the kernel model it wraps; JSON lines.

The sets of uci_regression in the data folder with more than 150 rows that are no other version of another one (not
`gal_*`): up to 1.5 times `--rows`, two thirds of them to train, standardised by these. Both models are
``nk.NeuralKernelRegressor(nk.mlp(2, bias_var=0.1))`` with all defaults, alpha by leave-one-out; R^2 of test rows.
"seconds" are of the fit with the metric. Also the leave-one-out score that the choice rests on: it is optimistic.

Run: ``python benchmarks/feature_learning.py [--data FOLDER] [--rows 400] [--sets NAME ...]``
"""

from __future__ import annotations

import argparse
import json
import time
import warnings
from pathlib import Path
from typing import Any

import numpy as np
from _features import load_module
from sklearn.base import clone
from sklearn.preprocessing import StandardScaler

import neural_kernels as nk

MARGIN = 0.002  # of R^2, below which a set counts for neither


def compare(x: np.ndarray, y: np.ndarray, rows: int, full: bool) -> dict[str, Any]:
    """Both models on one set."""
    drawn = np.random.default_rng(0).permutation(len(x))[: rows * 3 // 2]
    train, test = drawn[: len(drawn) * 2 // 3], drawn[len(drawn) * 2 // 3 :]
    scaler = StandardScaler().fit(x[train])
    x_train, x_test = scaler.transform(x[train]), scaler.transform(x[test])
    plain = nk.NeuralKernelRegressor(nk.mlp(2, bias_var=0.1))
    start = time.perf_counter()
    learnt = nk.FeatureLearning(plain, diag=not full).fit(x_train, y[train])
    seconds = time.perf_counter() - start
    alone: Any = clone(plain)
    best = max(learnt.history_, key=lambda stage: stage["score"])
    return {
        "plain": round(float(alone.fit(x_train, y[train]).score(x_test, y[test])), 4),
        "learnt": round(float(learnt.score(x_test, y[test])), 4),
        "leave-one-out": round(best["score"], 4),
        "iteration": best["iteration"],
        "power": best["power"],
        "seconds": round(seconds, 2),
    }


def main() -> None:
    """Print a line a set, and how many were won and lost."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path(__file__).resolve().parents[2] / "shared" / "data")
    parser.add_argument("--rows", type=int, default=400, help="of training at most")
    parser.add_argument("--sets", nargs="+")
    parser.add_argument("--full", action="store_true", help="a full metric in place of a diagonal one")
    given = parser.parse_args()
    warnings.simplefilter("ignore", nk.ScaleWarning)
    data, won, lost = load_module(given.data), 0, 0
    for name in given.sets or data.names("uci_regression"):
        x, y = (np.asarray(part, dtype=np.float64) for part in data.uci_regression(name)[:2])
        if not given.sets and (name.startswith("gal_") or len(x) <= 150):
            continue
        found = compare(x, y.ravel(), given.rows, given.full)
        won += found["learnt"] > found["plain"] + MARGIN
        lost += found["learnt"] < found["plain"] - MARGIN
        print(json.dumps({"set": name, "n x d": list(x.shape)} | found), flush=True)
    print(json.dumps({"won": won, "lost": lost}))


if __name__ == "__main__":
    main()
