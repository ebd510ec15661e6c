"""What the exact estimators give without any setting, beside a tuned alpha and scikit-learn's defaults, on 24 tables.

Twelve classification tables (accuracy) and twelve regression tables (R^2): scikit-learn's and those of the data folder,
of each at most so many rows, drawn at random. Three folds; copies of a row lie in the same fold, so that no method is
asked for rows that it has seen (of titanic, whose 2,201 rows are copies of 14, folds are drawn by rows). Columns are
scaled by the training rows' mean and standard deviation.

- default: `NeuralKernelClassifier()`, `NeuralKernelRegressor()`;
- fixed: the same with alpha=0.01;
- tuned: the same by `GridSearchCV` over the eleven alphas that the default chooses from;
- SVC, SVR, GPR: scikit-learn's classes, without any setting; GPR too with normalize_y=True.

`--times` prints the processor time of a fit of the default, and of one alpha, instead.

Run: ``python benchmarks/defaults.py [--data FOLDER] [--rows N] [--times] [--only NAME ...] [--json FILE]``
"""

from __future__ import annotations

import argparse
import json
import time
import warnings
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from sklearn import datasets
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.model_selection import GridSearchCV, GroupKFold, StratifiedGroupKFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC, SVR
from uci import DATA, load_module

import neural_kernels as nk

ALPHAS = np.logspace(1, -4, 11)
FOLDS = 3
SPREAD = ("titanic",)  # of these, copies of a row may lie in several folds
Table = tuple[np.ndarray, np.ndarray]


def classification(load: Any) -> dict[str, Any]:
    stored = {
        "german": "statlog-german-credit",
        "pima": "pima",
        "vehicle": "statlog-vehicle",
        "wine-red": "wine-quality-red",
        "contraceptive": "contrac",
        "chess-krvkp": "chess-krvkp",
        "steel": "steel-plates",
        "titanic": "titanic",
    }
    synthetic = partial(datasets.make_classification, 1000, 40, n_informative=5, n_redundant=0, random_state=0)
    return {
        "digits": partial(datasets.load_digits, return_X_y=True),
        "breast cancer": partial(datasets.load_breast_cancer, return_X_y=True),
        "moons": partial(datasets.make_moons, 600, noise=0.3, random_state=0),
        "5 of 40 columns": synthetic,
    } | {name: partial(table, load.uci_classification, file) for name, file in stored.items()}


def regression(load: Any) -> dict[str, Any]:
    names = ("airfoil", "concrete", "energy", "housing", "stock", "pendulum", "servo", "autompg", "yacht")
    return {
        "diabetes": partial(datasets.load_diabetes, return_X_y=True),
        "friedman1": partial(datasets.make_friedman1, 500, noise=1.0, random_state=0),
        **{name: partial(table, load.uci_regression, name) for name in names},
        "wine-red (points)": partial(table, load.uci_regression, "gal_wine-quality-red"),
    }


def table(loader: Callable[[str], Any], name: str) -> Table:
    data = loader(name)
    return data.x, data.y


def models(labels: bool) -> dict[str, Any]:
    kind = nk.NeuralKernelClassifier if labels else nk.NeuralKernelRegressor
    own = {
        "default": kind(),
        "fixed": kind(alpha=0.01),
        "tuned": GridSearchCV(kind(alpha=1.0), {"alpha": list(ALPHAS)}, cv=3),
    }
    if labels:
        return own | {"SVC": SVC()}
    peers = {"GPR": GaussianProcessRegressor(), "GPR norm.": GaussianProcessRegressor(normalize_y=True)}
    return own | {"SVR": SVR()} | peers


def run(name: str, source: Callable[[], Table], labels: bool, rows: int) -> dict[str, Any]:
    x, y = source()
    chosen = np.random.default_rng(0).permutation(len(y))[:rows]
    x, y = np.asarray(x, dtype=np.float64)[chosen], y[chosen]
    groups = np.arange(len(y)) if name in SPREAD else np.unique(x, axis=0, return_inverse=True)[1].ravel()
    splitter = (StratifiedGroupKFold if labels else GroupKFold)(FOLDS, shuffle=True, random_state=0)
    scores: dict[str, list[float]] = {}
    for train, test in splitter.split(x, y, groups):
        for method, model in models(labels).items():
            fitted = make_pipeline(StandardScaler(), model).fit(x[train], y[train])
            scores.setdefault(method, []).append(float(fitted.score(x[test], y[test])))
    return {"set": name, "rows": len(y)} | {method: float(np.mean(values)) for method, values in scores.items()}


def run_all(sources: dict[str, Callable[[], Table]], labels: bool, rows: int) -> list[dict[str, Any]]:
    methods, results = list(models(labels)), []
    line = "{:<20}{:>6}" + "{:>11}" * len(methods)
    print(line.format("", "rows", *methods))
    for name, source in sources.items():
        results.append(run(name, source, labels, rows))
        scores = (f"{results[-1][method]:.3f}" for method in methods)
        print(line.format(name, results[-1]["rows"], *scores), flush=True)
    print(line.format("mean", "", *(f"{np.mean([result[m] for result in results]):.4f}" for m in methods)))
    return results


def show_times() -> None:
    """Seconds of processor time of the quickest of several fits."""
    kinds = {"regressor": nk.NeuralKernelRegressor, "classifier": nk.NeuralKernelClassifier}
    print(f"{'rows':>6}{'kernel':>9}" + "".join(f"{name:>13}{'one alpha':>11}{'ratio':>7}" for name in kinds))
    for n in (300, 500, 1000, 2000, 5000):
        rng = np.random.default_rng(0)
        x = rng.standard_normal((n, 20))
        y = np.sin(2 * x[:, 0]) + x[:, 1] * x[:, 2] + 0.1 * rng.standard_normal(n)
        repeats = 5 if n < 2000 else 2
        print(f"{n:>6}{quickest(partial(nk.NTK(nk.mlp(3, bias_var=0.1)), x), repeats):>9.3f}", end="")
        for kind, targets in zip(kinds.values(), (y, np.digitize(y, [0, 1])), strict=True):
            one, chosen = (quickest(partial(kind(alpha=a).fit, x, targets), repeats) for a in (0.01, None))
            print(f"{chosen:>13.3f}{one:>11.3f}{chosen / one:>7.1f}", end="", flush=True)
        print()


def quickest(call: Callable[[], Any], repeats: int) -> float:
    seconds = []
    for _ in range(repeats):
        start = time.process_time()
        call()
        seconds.append(time.process_time() - start)
    return min(seconds)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=DATA, help="the folder that holds load.py")
    parser.add_argument("--rows", type=int, default=1000, help="at most so many of each table")
    parser.add_argument("--only", nargs="*", help="names of tables")
    parser.add_argument("--times", action="store_true")
    parser.add_argument("--json", type=Path, help="a file to write the same as JSON to")
    options = parser.parse_args()
    if options.times:
        show_times()
        return
    warnings.filterwarnings("ignore", "The least populated class", UserWarning)
    load = load_module(options.data)
    found = []
    for labels, sources in ((True, classification(load)), (False, regression(load))):
        wanted = {name: source for name, source in sources.items() if not options.only or name in options.only}
        found += run_all(wanted, labels, options.rows) if wanted else []
    if options.json:
        options.json.write_text(json.dumps(found, indent=2))


if __name__ == "__main__":
    main()
