"""Log-loss and calibration of classifiers' probabilities on seventeen tables, all with their default settings.

The tables are the folder's eleven data frames with labels and six sets of ten classes and more. At most 1,500 rows are
drawn, in three stratified folds. Numbers are imputed and standardised, texts coded one-hot, on the training rows, the
same for all. Log-loss in nats: the mean over held-out rows, folds and then sets. Calibration error (ECE): of the top
class, 15 bins of equal width, over the held-out rows of all folds; "by chance" is what right probabilities would show,
on labels drawn from those of the first method.

CatBoost takes part where it is installed.

Run: ``python benchmarks/probabilities.py [--data FOLDER] [--methods NAME ...] [--rows N] [--json]``
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import time
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
from sklearn.compose import make_column_transformer
from sklearn.ensemble import RandomForestClassifier
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedKFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler
from sklearn.svm import SVC
from tqdm import tqdm
from uci import DATA, load_module

import neural_kernels as nk

MANY_CLASSES = ("libras", "soybean", "semeion", "optical", "pendigits", "chess-krvk")
FOLDS = 3
BINS = 15


def catboost() -> Any:
    from catboost import CatBoostClassifier  # pyright: ignore[reportMissingImports]

    return CatBoostClassifier(random_seed=0, verbose=0, allow_writing_files=False)


METHODS: dict[str, Callable[[], Any]] = {
    "ntk": nk.NeuralKernelClassifier,
    "logistic": lambda: LogisticRegression(max_iter=2000),
    "forest": lambda: RandomForestClassifier(random_state=0),
    "svc": lambda: SVC(probability=True, random_state=0),  # pyright: ignore[reportArgumentType]
    "catboost": catboost,
}


def table(load: ModuleType, name: str, most: int) -> tuple[Any, np.ndarray, Any]:
    """At most so many rows, their labels from 0 on, and what makes numbers of the rows."""
    if name in MANY_CLASSES:
        data = load.uci_classification(name)
        x, y, preparation = data.x.astype(np.float64), data.y, StandardScaler()
    else:
        x, y, _ = load.frame(name)
        texts = [column for column in x if x[column].dtype.kind not in "iufb"]
        x[texts] = x[texts].astype(object).where(x[texts].notna(), np.nan)
        preparation = make_column_transformer(
            (make_pipeline(SimpleImputer(strategy="median"), StandardScaler()), [c for c in x if c not in texts]),
            (
                make_pipeline(
                    SimpleImputer(strategy="constant", fill_value="missing"),
                    OneHotEncoder(handle_unknown="ignore", sparse_output=False),
                ),
                texts,
            ),
        )
    rows = np.random.default_rng(0).permutation(len(y))[:most]
    return (
        (x[rows] if isinstance(x, np.ndarray) else x.iloc[rows]),
        np.unique(y[rows], return_inverse=True)[1],
        preparation,
    )


def folds(x: Any, y: np.ndarray, preparation: Any) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]]:
    """Training rows and labels, held-out rows and labels."""
    for train, test in StratifiedKFold(FOLDS, shuffle=True, random_state=0).split(x, y):
        seen, new = (x[train], x[test]) if isinstance(x, np.ndarray) else (x.iloc[train], x.iloc[test])
        preparation.fit(seen)
        yield preparation.transform(seen), y[train], preparation.transform(new), y[test]


def log_loss(p: np.ndarray, y: np.ndarray) -> float:
    """As scikit-learn's, which cuts probabilities off at the precision of their floats."""
    return -float(np.log(np.clip(p[np.arange(len(y)), y], np.finfo(np.float64).eps, 1)).mean())


def calibration_error(p: np.ndarray, y: np.ndarray) -> float:
    """How far the top class's probability is from how often it is right, averaged over bins."""
    top, right = p.max(axis=1), p.argmax(axis=1) == y
    cell = (BINS * top).astype(int).clip(max=BINS - 1)
    return float(np.abs(np.bincount(cell, right - top, minlength=BINS)).sum() / len(y))


def by_chance(p: np.ndarray, draws: int = 20) -> float:
    """The calibration error of probabilities that are right."""
    rng, cumulative = np.random.default_rng(0), p.cumsum(axis=1)
    labels = [(rng.uniform(size=(len(p), 1)) * cumulative[:, -1:] > cumulative).sum(axis=1) for _ in range(draws)]
    return float(np.mean([calibration_error(p, y) for y in labels]))


def run_set(load: ModuleType, name: str, methods: list[str], most: int) -> dict[str, Any]:
    """All methods on one table."""
    x, y, preparation = table(load, name, most)
    splits = list(folds(x, y, preparation))
    truth = np.concatenate([held for *_, held in splits])
    result: dict[str, Any] = {"set": name, "rows": len(y), "classes": int(y.max()) + 1, "seconds": {}}
    for method in methods:
        start, parts = time.perf_counter(), []
        for seen, labels, new, _ in splits:
            model = METHODS[method]().fit(seen, labels)
            parts.append(np.zeros((len(new), y.max() + 1)))
            parts[-1][:, np.asarray(model.classes_, dtype=int)] = model.predict_proba(new)
        p = np.concatenate(parts)
        result["seconds"][method] = time.perf_counter() - start
        losses = [log_loss(part, held) for part, (*_, held) in zip(parts, splits, strict=True)]
        result[method] = {
            "log_loss": float(np.mean(losses)),
            "ece": calibration_error(p, truth),
            "accuracy": float(np.mean(p.argmax(axis=1) == truth)),
            "ece_by_chance": by_chance(p),
        }
    return result


def show(results: list[dict[str, Any]], methods: list[str]) -> None:
    line = "{:<16}{:>6}{:>9}" + "{:>11}" * len(methods)
    print(line.format("log-loss", "rows", "classes", *methods))
    for row in results:
        print(line.format(row["set"], row["rows"], row["classes"], *(f"{row[m]['log_loss']:.3f}" for m in methods)))
    for title, key in (("mean log-loss", "log_loss"), ("mean accuracy", "accuracy"), ("mean ECE", "ece")):
        print(line.format(title, "", "", *(f"{np.mean([row[m][key] for row in results]):.4f}" for m in methods)))
    chance = np.mean([row[methods[0]]["ece_by_chance"] for row in results])
    print(line.format("ECE by chance", "", "", f"{chance:.4f}", *[""] * (len(methods) - 1)))
    seconds = [sum(row["seconds"][m] for row in results) for m in methods]
    print(line.format("seconds", "", "", *(f"{s:.0f}" for s in seconds)))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=DATA, help="the folder that holds load.py")
    parser.add_argument("--methods", nargs="+", choices=METHODS, default=list(METHODS))
    parser.add_argument("--sets", nargs="+", help="default: all of them")
    parser.add_argument("--rows", type=int, default=1500, help="of each table, at most")
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")
    options = parser.parse_args()
    methods = [m for m in options.methods if m != "catboost" or importlib.util.find_spec("catboost")]
    if methods != options.methods:
        print("catboost is not installed, and left out")
    load = load_module(options.data)
    sets = options.sets or [*load.frame_names("classification"), *MANY_CLASSES]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of peers: small classes, deprecations
        results = [run_set(load, name, methods, options.rows) for name in tqdm(sets, unit="set", disable=None)]
    if options.json:
        print(json.dumps(results, indent=2))
    else:
        show(results, methods)


if __name__ == "__main__":
    main()
