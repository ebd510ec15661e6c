"""Accuracy of the NTK classifier beside an RBF SVM on ten small tables, each tuned on the training rows alone.

The tables are the first ten, by name, of the folder's classification sets that have 100 to 1500 rows and no separate
test file (so that the collection's four folds cover all rows). In each fold all methods choose among 48 settings by the
same inner cross-validation of the training rows; ties go to the setting that comes first, and grids start from the
smoothest. The columns are scaled by the training rows' mean and standard deviation.

- ntk: `NeuralKernelClassifier`, depth x alpha (4 x 12), every layer with the library's default `bias_var` of 0.1.
- ntk-bias: `NeuralKernelClassifier`, depth x bias_var x alpha (4 x 2 x 6).
- ntk-svc: a support vector machine on the kernels of ntk-bias, depth x bias_var x C (4 x 2 x 6).
- rbf-svc: a support vector machine with the Gaussian kernel, gamma x C (6 x 8).

Run: ``python benchmarks/uci.py [--data FOLDER] [--all] [--seed N] [--json]``
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import time
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
from joblib import Parallel, delayed
from sklearn.metrics.pairwise import rbf_kernel
from sklearn.model_selection import StratifiedKFold
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC
from tqdm import tqdm

import neural_kernels as nk
from neural_kernels.solvers import SpectralRidge

DATA = Path(__file__).resolve().parents[2] / "shared" / "data"
ROWS = range(100, 1501)
DEPTHS = (1, 2, 3, 5)
BIAS_VARS = (0.1, 1.0)
ALPHAS = tuple(np.logspace(1, -4, 12))
COARSE_ALPHAS = tuple(np.logspace(1, -4, 6))
NTK_C = tuple(np.logspace(-1, 4, 6))
RBF_C = tuple(np.logspace(-1, 4, 8))
GAMMAS = (0.03, 0.1, 0.3, 1.0, 3.0, 10.0)  # over the number of columns


@dataclass(frozen=True)
class Problem:
    """A Gram matrix among training rows, one against them, and the labels of both."""

    train: np.ndarray
    y_train: np.ndarray
    test: np.ndarray
    y_test: np.ndarray

    @classmethod
    def of(cls, gram: np.ndarray, y: np.ndarray, train: np.ndarray, test: np.ndarray) -> Problem:
        """Cut the Gram matrix of all rows."""
        return cls(gram[np.ix_(train, train)], y[train], gram[np.ix_(test, train)], y[test])

    def accuracy(self, model: Any) -> float:
        """Fit on the training rows, score on the others."""
        return float(model.fit(self.train, self.y_train).score(self.test, self.y_test))


@dataclass(frozen=True)
class Method:
    """A family of kernels and a grid of regularisations: `search` scores the grid, `model` is one setting of it."""

    grams: Callable[[np.ndarray], list[np.ndarray]]
    labels: Sequence[str]
    grid: Sequence[float]
    search: Callable[[Problem, Sequence[float]], list[float]]
    model: Callable[[float], Any]


def load_module(folder: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location("load", folder / "load.py")
    if spec is None or spec.loader is None or not (folder / "load.py").exists():
        raise SystemExit(f"{folder} holds no load.py; pass --data")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def names(load: ModuleType, count: int | None) -> list[str]:
    sets = ((name, load.uci_classification(name)) for name in load.names("uci_classification"))
    return [name for name, data in sets if len(data.y) in ROWS and len(data.y_test) == 0][:count]


def ntk_grams(x: np.ndarray, bias_vars: Sequence[float]) -> list[np.ndarray]:
    """Gram matrices with a mean diagonal of 1, so that one C serves all depths."""
    grams = (nk.NTK(nk.mlp(depth, bias_var=bias_var))(x) for bias_var in bias_vars for depth in DEPTHS)
    return [gram / np.diagonal(gram).mean() for gram in grams]


def ntk_labels(bias_vars: Sequence[float]) -> list[str]:
    return [f"depth {depth}, bias_var {bias_var}" for bias_var in bias_vars for depth in DEPTHS]


def rbf_grams(x: np.ndarray) -> list[np.ndarray]:
    return [rbf_kernel(x, gamma=gamma / x.shape[1]) for gamma in GAMMAS]


def ridge_search(problem: Problem, alphas: Sequence[float]) -> list[float]:
    """Score `NeuralKernelClassifier` for all alphas from one eigendecomposition."""
    classes = np.unique(problem.y_train)
    targets = 2.0 * (problem.y_train[:, None] == classes) - 1
    offset = targets.mean(axis=0)
    ridge, scale = SpectralRidge(problem.train), np.diagonal(problem.train).mean()
    predictions = (problem.test @ ridge.solve(targets - offset, alpha * scale) + offset for alpha in alphas)
    return [float(np.mean(classes[p.argmax(axis=1)] == problem.y_test)) for p in predictions]


def svc_search(problem: Problem, grid: Sequence[float]) -> list[float]:
    return [problem.accuracy(svc(C)) for C in grid]


def svc(C: float) -> SVC:
    return SVC(kernel="precomputed", C=C, cache_size=500)


def ntk_classifier(alpha: float) -> nk.NeuralKernelClassifier:
    return nk.NeuralKernelClassifier(kernel="precomputed", alpha=alpha)


METHODS = {
    "ntk": Method(
        partial(ntk_grams, bias_vars=BIAS_VARS[:1]), ntk_labels(BIAS_VARS[:1]), ALPHAS, ridge_search, ntk_classifier
    ),
    "ntk-bias": Method(
        partial(ntk_grams, bias_vars=BIAS_VARS), ntk_labels(BIAS_VARS), COARSE_ALPHAS, ridge_search, ntk_classifier
    ),
    "ntk-svc": Method(partial(ntk_grams, bias_vars=BIAS_VARS), ntk_labels(BIAS_VARS), NTK_C, svc_search, svc),
    "rbf-svc": Method(rbf_grams, [f"gamma {gamma}/d" for gamma in GAMMAS], RBF_C, svc_search, svc),
}


def run_fold(
    x: np.ndarray, y: np.ndarray, train: np.ndarray, test: np.ndarray, seed: int
) -> dict[str, tuple[float, str]]:
    """Accuracy on the test rows and the setting chosen, by method."""
    scaled: Any = StandardScaler().fit(x[train]).transform(x.astype(np.float64))
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "The least populated class", UserWarning)
        splits = list(StratifiedKFold(4, shuffle=True, random_state=seed).split(scaled[train], y[train]))
    inner = [(train[rows], train[held]) for rows, held in splits]
    return {name: run_method(method, scaled, y, (train, test), inner) for name, method in METHODS.items()}


def run_method(
    method: Method, x: np.ndarray, y: np.ndarray, outer: tuple[np.ndarray, np.ndarray], inner: list[Any]
) -> tuple[float, str]:
    grams = method.grams(x)
    scores = [
        np.mean([method.search(Problem.of(gram, y, *fold), method.grid) for fold in inner], axis=0) for gram in grams
    ]
    kernel, strength = np.unravel_index(np.argmax(np.round(scores, 12)), np.shape(scores))
    problem = Problem.of(grams[int(kernel)], y, *outer)
    label, value = method.labels[int(kernel)], method.grid[int(strength)]
    return problem.accuracy(method.model(value)), f"{label}, {value:.2g}"


def run(load: ModuleType, sets: list[str], seed: int, jobs: int) -> list[dict[str, Any]]:
    data = {name: load.uci_classification(name) for name in sets}
    tasks = [(name, fold) for name in sets for fold in range(4)]
    work = (delayed(run_fold)(data[name].x, data[name].y, *data[name].folds[fold], seed) for name, fold in tasks)
    parallel = Parallel(n_jobs=jobs, return_as="generator")
    results: list[Any] = list(tqdm(parallel(work), total=len(tasks), unit="fold", disable=None))
    return [
        {"set": name, "rows": len(data[name].y), "classes": len(np.unique(data[name].y))}
        | summarise([result for task, result in zip(tasks, results, strict=True) if task[0] == name])
        for name in sets
    ]


def summarise(folds: list[dict[str, tuple[float, str]]]) -> dict[str, Any]:
    return {
        "accuracy": {method: 100 * float(np.mean([fold[method][0] for fold in folds])) for method in METHODS},
        "chosen": {method: [fold[method][1] for fold in folds] for method in METHODS},
    }


def means(rows: list[dict[str, Any]]) -> dict[str, float]:
    return {method: float(np.mean([row["accuracy"][method] for row in rows])) for method in METHODS}


def show(rows: list[dict[str, Any]]) -> None:
    line = "{:<34}{:>6}{:>9}" + "{:>10}" * len(METHODS)
    print(line.format("set", "rows", "classes", *METHODS))
    for row in rows:
        print(line.format(row["set"], row["rows"], row["classes"], *(f"{row['accuracy'][m]:.2f}" for m in METHODS)))
    print(line.format("mean accuracy, %", "", "", *(f"{mean:.2f}" for mean in means(rows).values())))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=DATA, help="the folder that holds load.py")
    parser.add_argument("--all", action="store_true", help="all sets that fit the rule, not the first ten")
    parser.add_argument("--seed", type=int, default=0, help="of the inner cross-validation")
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")
    options = parser.parse_args()
    start = time.perf_counter()
    load = load_module(options.data)
    rows = run(load, names(load, None if options.all else 10), options.seed, options.jobs)
    seconds = time.perf_counter() - start
    if options.json:
        print(json.dumps({"seconds": seconds, "mean": means(rows), "sets": rows}, indent=2))
    else:
        show(rows)
        print(f"{seconds:.0f} s")


if __name__ == "__main__":
    main()
