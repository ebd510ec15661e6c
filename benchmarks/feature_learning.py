"""What a learnt metric is worth on tables: `FeatureLearning` beside the kernel model it wraps; JSON lines.

The sets of uci_regression in the data folder with more than 150 rows that are no other version of another one (not
`gal_*`): up to 1.5 times `--rows`, two thirds of them to train, standardised by these. Both models are
``nk.NeuralKernelRegressor(nk.mlp(2, bias_var=0.1))`` with all defaults, alpha by leave-one-out; R^2 of test rows.
"seconds" are of the fit with the metric. Also the leave-one-out score that the choice rests on: it is optimistic. The
metric is diagonal, full, or what `FeatureLearning` makes of ``diag="auto"``; several are compared on the same rows.

Run: ``python benchmarks/feature_learning.py [--data FOLDER] [--rows 400] [--metrics diagonal full auto] [--sets ...]``
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
METRICS: dict[str, bool | str] = {"diagonal": True, "full": False, "auto": "auto"}


def compare(x: np.ndarray, y: np.ndarray, rows: int, metrics: list[str]) -> dict[str, Any]:
    """The plain model on one set, and one for each kind of metric."""
    drawn = np.random.default_rng(0).permutation(len(x))[: rows * 3 // 2]
    train, test = drawn[: len(drawn) * 2 // 3], drawn[len(drawn) * 2 // 3 :]
    scaler = StandardScaler().fit(x[train])
    x_train, x_test = scaler.transform(x[train]), scaler.transform(x[test])
    plain: Any = nk.NeuralKernelRegressor(nk.mlp(2, bias_var=0.1))
    found: dict[str, Any] = {}
    for metric in metrics:
        start = time.perf_counter()
        learnt = nk.FeatureLearning(plain, diag=METRICS[metric]).fit(x_train, y[train])
        seconds = time.perf_counter() - start
        best = max(learnt.history_, key=lambda stage: stage["score"])
        found[metric] = {
            "score": round(float(learnt.score(x_test, y[test])), 4),
            "leave-one-out": round(best["score"], 4),
            "diagonal": learnt.diag_,
            "iteration": best["iteration"],
            "power": best["power"],
            "seconds": round(seconds, 2),
        }
    alone: Any = clone(plain)
    return {"plain": round(float(alone.fit(x_train, y[train]).score(x_test, y[test])), 4)} | found


def main() -> None:
    """Print a line a set, then for each metric how many were won and lost, and its median score."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path(__file__).resolve().parents[2] / "shared" / "data")
    parser.add_argument("--rows", type=int, default=400, help="of training at most")
    parser.add_argument("--sets", nargs="+")
    parser.add_argument("--metrics", nargs="+", choices=METRICS, default=["diagonal"])
    given = parser.parse_args()
    warnings.simplefilter("ignore", nk.ScaleWarning)
    data, lines = load_module(given.data), []
    for name in given.sets or data.names("uci_regression"):
        x, y = (np.asarray(part, dtype=np.float64) for part in data.uci_regression(name)[:2])
        if not given.sets and (name.startswith("gal_") or len(x) <= 150):
            continue
        lines.append(compare(x, y.ravel(), given.rows, given.metrics))
        print(json.dumps({"set": name, "n x d": list(x.shape)} | lines[-1]), flush=True)
    plain = np.array([line["plain"] for line in lines])
    for metric in given.metrics:
        gain = np.array([line[metric]["score"] for line in lines]) - plain
        counts = {"won": int((gain > MARGIN).sum()), "lost": int((gain < -MARGIN).sum())}
        medians = {"median": round(float(np.median(plain + gain)), 4), "of plain": round(float(np.median(plain)), 4)}
        print(json.dumps({"metric": metric, "sets": len(lines)} | counts | medians), flush=True)


if __name__ == "__main__":
    main()
