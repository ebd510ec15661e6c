"""Models of tables beside tuned rivals: scores, mean ranks with their critical difference, seconds, intervals.

Sets: all of the data folder's `frame`, `uci_regression` and `uci_classification` with at least 50 rows and a target
that is not constant; of ``gal_*`` those that have no other version. Split number s permutes the rows by
``default_rng(s)``: the first three quarters train (``--rows`` at most), the last quarter tests (2,000 rows at most).
All choices are made inside the training rows, learnt metrics included. UCI classification comes standardised over all
rows, by its collection.

Rivals have ``--settings`` settings (the default and random ones), judged by a held-out fifth of the training rows;
``linear`` (ridge, logistic) and ``rbf`` (kernel ridge, support vector machine) have their whole grids. Boosting stops
early by the fifth, is then fitted to all training rows, and takes categories as such; for the others texts are one-hot
and columns standardised. xRFM (kernel 'l2') keeps its fifth for validation. Regression judges by mean squares,
classification by log-loss (``rbf``: by accuracy). Ours see the frames as they are and have nothing to tune: ``ours`` is
``nk.TableRegressor`` and ``nk.TableClassifier``, or what ``--model`` names; ``ntk`` is a table pipeline of
``nk.mlp(2, bias_var=0.1)``, and ``ntk-metric`` the same with `nk.FeatureLearning`.

Run: ``python benchmarks/tables.py [--data FOLDER] [--keep FOLDER] [--quick]``, then ``--keep FOLDER --table`` to print.
CatBoost, LightGBM and xRFM come with the extra ``benchmarks``; without them, name the others by ``--methods``.
"""

from __future__ import annotations

import argparse
import importlib
import sys
import time
import warnings
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from _features import load_module
from _tables_data import Split, split, tables
from _tables_results import Results, behind, classification_scores, draw, regression_scores, summary
from _tables_rivals import RIVALS
from _tables_tuning import Tuned

import neural_kernels as nk
from neural_kernels.tables import table_pipeline

TASKS = ["regression", "classification"]
SCORES = {"regression": ["r2"], "classification": ["log_loss", "accuracy"]}
QUICK = ["frame:Carseats", "uci_regression:autompg", "frame:OJ", "uci_classification:wine"]


def ntk(task: str) -> Any:
    kind = nk.NeuralKernelRegressor if task == "regression" else nk.NeuralKernelClassifier
    return kind(nk.mlp(2, bias_var=0.1))


def ours(task: str) -> Any:
    name = "TableRegressor" if task == "regression" else "TableClassifier"
    return getattr(nk, name)()


OURS: dict[str, Callable[[str], Any]] = {
    "ours": ours,
    "ntk-metric": lambda task: table_pipeline(nk.FeatureLearning(ntk(task))),
    "ntk": lambda task: table_pipeline(ntk(task)),
}


def named(model: str) -> Callable[[str], Any]:
    """Makes the models of ``module:Class``, called without arguments."""
    module, _, name = model.partition(":")
    kind = getattr(importlib.import_module(module), name)
    return lambda task: kind()


def run(model: Any, part: Split) -> dict[str, Any]:
    """Fit, predict, and what both were worth."""
    (x, y), (x_test, y_test) = part.seen, part.held
    start = time.perf_counter()
    model.fit(x, y)
    between = time.perf_counter()
    if part.table.task == "regression":
        found = np.ravel(model.predict(x_test))
        result: dict[str, Any] = regression_scores(y_test, found, float(y.mean()))
    else:
        result = classification_scores(y_test, model.classes_, model.predict_proba(x_test))
    end = time.perf_counter()
    result = {key: round(value, 6) for key, value in result.items()}
    result |= {"fit_seconds": round(between - start, 3), "predict_seconds": round(end - between, 4)}
    if part.table.task == "regression" and hasattr(model, "predict_interval"):
        result |= intervals(model, x_test, y_test)
    if hasattr(model, "chosen_"):
        result["chosen"] = str(model.chosen_)
    return result


def intervals(model: Any, x: Any, y: np.ndarray) -> dict[str, float]:
    """How many of the targets the intervals of 90 % hold, and those of the posterior deviation."""
    low, high = np.asarray(model.predict_interval(x, coverage=0.9)).T
    found = {"coverage": float(np.mean((low <= y) & (y <= high)))}
    try:
        mean, std = model.predict(x, return_std=True)
    except (TypeError, ValueError):  # no posterior deviation
        return found
    return found | {"gp_coverage": float(np.mean(np.abs(y - mean) < 1.645 * std))}


def run_all(given: argparse.Namespace, results: Results) -> None:
    """All methods on a set before the next set."""
    models = OURS | ({"ours": named(given.model)} if given.model else {})
    sets = given.sets or (QUICK if given.quick else None)
    for table in tables(load_module(given.data), given.tasks, sets):
        for number, method in ((s, m) for s in range(given.splits) for m in given.methods):
            label = given.label if method == "ours" else method
            key = {"set": table.name, "split": number, "rows": given.rows, "method": label}
            if key in results:
                continue
            part = split(table, number, given.rows)
            about = {"task": table.task, "train": len(part.train), "columns": table.x.shape[1]}
            about |= {"settings": given.settings} if method in RIVALS else {}
            rival = method in RIVALS
            model = Tuned(RIVALS[method], table.task, given.settings, 0) if rival else models[method](table.task)
            try:
                found = run(model, part)
            except ImportError:
                raise  # of a library that is not there, which says nothing about the method
            except Exception as error:  # one failure is a result, not the end
                found = {"error": f"{type(error).__name__}: {error}"[:300]}
            results.add(key | about | found)
            print(key | found, file=sys.stderr, flush=True)


def show(given: argparse.Namespace, results: Results) -> None:
    """Print a table for each task and score; draw the first of them."""
    sizes = Counter(line["rows"] for line in results.lines)
    if given.rows not in sizes and sizes:
        raise SystemExit(f"no results for --rows {given.rows}; there are some for {sorted(sizes)}")
    lines = [line for line in results.lines if line["rows"] == given.rows]
    for task in given.tasks:
        own = [line for line in lines if line["task"] == task and (not given.sets or line["set"] in given.sets)]
        there = {line["method"] for line in own}
        wanted = [given.label if method == "ours" else method for method in given.methods]
        methods = [method for method in wanted if method in there]
        for score in SCORES[task] if methods else []:
            first = given.label if given.label in methods else methods[0]
            print(summary(own, score, methods, first))
            print(behind(own, score, methods, first), end="\n\n")
            if given.figure and len(methods) > 1:
                file = given.figure.with_stem(f"{given.figure.stem}_{score}")
                draw(own, score, methods, file)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path(__file__).resolve().parents[2] / "shared" / "data")
    parser.add_argument("--methods", nargs="+", choices=[*OURS, *RIVALS], default=[*OURS, *RIVALS])
    parser.add_argument("--model", help="module:Class in the place of ours")
    parser.add_argument("--label", default="ours", help="the name under which ours, or --model, is kept")
    parser.add_argument("--tasks", nargs="+", choices=TASKS, default=TASKS)
    parser.add_argument("--sets", nargs="+", metavar="FOLDER:NAME")
    parser.add_argument("--splits", type=int, default=1)
    parser.add_argument("--rows", type=int, default=2000, help="of training at most")
    parser.add_argument("--settings", type=int, default=12, help="of a rival")
    parser.add_argument("--keep", type=Path, help="folder of results: what is there is not run again")
    parser.add_argument("--quick", action="store_true", help="four small sets, three settings, 200 rows")
    parser.add_argument("--table", action="store_true", help="print only, run nothing")
    parser.add_argument("--figure", type=Path, help="file of the picture, to whose name the score is added")
    given = parser.parse_args()
    if given.quick:
        given.rows, given.settings = 200, 3
    warnings.simplefilter("ignore")
    results = Results(given.keep)
    if not given.table:
        run_all(given, results)
    show(given, results)


if __name__ == "__main__":
    main()
