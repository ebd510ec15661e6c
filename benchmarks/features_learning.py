"""Learning with feature maps beside RBF features, linear models and the exact kernel; JSON, tables to stderr.

Run: ``python benchmarks/features_learning.py --folder PATH --data fashion|a9a|news20|uci_regression``, PATH one that
holds load.py. Models and how they are tuned: benchmarks/_features_models.py.

- fashion: Fashion-MNIST, rows over 255, of norm 1; a9a: as it is, CSR; news20: tf-idf, CSR. Each model has a process
  of its own, after a fit of 64 columns to 256 rows for what compiles. "fixed": alpha 0.01; "path": the best of several
  by leave-one-out. "seconds" are of fit and predict, without what tuning took; "cpu" counts all threads; "MiB" is the
  process's peak during both, "MiB before" what it held when they began, data included.
- uci_regression: sets of 500 to 10,000 rows that are no other version of another set (not `gal_*`), or `--all`.
  Columns and targets are standardised by training rows; 5 random splits 80/20, 2 above 10,000 rows; R^2 of test rows.
  "exact" runs up to 5000 training rows. Ranks are means over the sets that all models did that did any.

Networks, except "tuned", are ``nk.mlp(depth, bias_var=...)``, without biases except on tables.
`--quick` takes sizes for a smoke test.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from _features import attempt, chosen, in_new_process, load_module, memory, show
from _features_models import CLASSIFIERS, REGRESSORS, SPARSE_CLASSIFIERS, Settings, model_for
from sklearn.base import clone
from sklearn.feature_extraction.text import TfidfTransformer
from sklearn.preprocessing import Normalizer, StandardScaler

DATA = {
    "fashion": CLASSIFIERS,
    "a9a": SPARSE_CLASSIFIERS,
    "news20": SPARSE_CLASSIFIERS,
    "uci_regression": REGRESSORS,
}
FIXED = (1e-2,)
PATH = (0.003, 0.01, 0.03, 0.1, 0.3, 1.0, 10.0, 100.0)  # smaller ones are near float32's rounding at many rows
TABLE_PATH = tuple(10.0 ** np.arange(-5, 3))
MODES = ("fixed", "path")
ROWS, EXACT_ROWS, MANY_ROWS = range(500, 10_001), 5000, 10_000


def classification_data(folder: Path, data: str, rows: int | None) -> tuple[Any, np.ndarray, Any, np.ndarray]:
    """Training and test rows."""
    split = getattr(load_module(folder), {"fashion": "fashion_mnist"}.get(data, data))()
    x, x_test, y = split.x_train, split.x_test, split.y_train
    if rows is not None and rows < x.shape[0]:
        picked = np.sort(np.random.default_rng(0).permutation(x.shape[0])[:rows])
        x, y = x[picked], y[picked]
    if data == "fashion":
        scale = Normalizer(copy=False)
        x, x_test = (scale.transform(part.reshape(len(part), -1).astype(np.float32) / 255) for part in (x, x_test))
    if data == "news20":
        weigh = TfidfTransformer().fit(x)
        x, x_test = weigh.transform(x), weigh.transform(x_test)
    return x, y, x_test, split.y_test


def warm_up(model: Any, x: Any, y: np.ndarray) -> None:
    """What compiles does it here."""
    small: Any = clone(model)
    if hasattr(small, "n_components"):
        small.set_params(n_components=64)
    picked = np.random.default_rng(1).permutation(x.shape[0])[:256]
    small.fit(x[picked], y[picked]).predict(x[picked])


def classify(folder: Path, data: str, rows: int | None, name: str, settings: Settings) -> dict:
    """Accuracy, time and memory of one model; for a process of its own."""
    x, y, x_test, y_test = classification_data(folder, data, rows)

    def work() -> dict:
        model, note = model_for(name, x, y, settings, classify=True)
        warm_up(model, x, y)
        before, wall, processor = memory(reset=True)[0], time.perf_counter(), time.process_time()
        model.fit(x, y)
        fitted = time.perf_counter()
        accuracy = float(np.mean(model.predict(x_test) == y_test))
        result = {
            "accuracy": accuracy,
            "seconds": time.perf_counter() - wall,
            "of which predict": time.perf_counter() - fitted,
            "cpu": time.process_time() - processor,
            "MiB": memory()[1] / 2**20,
            "MiB before": before / 2**20,
        }
        return result | note | ({"alpha": model.alpha_} if hasattr(model, "alpha_") else {})

    return attempt(work)


def classification(options: argparse.Namespace, names: list[str], modes: list[str]) -> dict:
    """All models on one set."""
    report: dict[str, dict] = {}
    for name in names:
        linear = name in SPARSE_CLASSIFIERS[len(CLASSIFIERS) :]
        for mode in modes[:1] if linear else modes:
            settings = settings_of(options, FIXED if mode == "fixed" else options.alphas or PATH)
            label = name if linear else f"{name}, {mode}"
            work = partial(classify, options.folder, options.data, options.rows, name, settings)
            report[label] = attempt(lambda work=work: in_new_process(work))
            show(label, {"": report[label]})
    show(options.data, report)
    return report


def set_names(folder: Path, everything: bool, largest: int | None) -> list[str]:
    load = load_module(folder)
    sizes = {name: len(load.uci_regression(name).y) for name in load.names("uci_regression")}
    ours = [name for name, n in sizes.items() if everything or (n in ROWS and not name.startswith("gal_"))]
    return [name for name in ours if largest is None or sizes[name] <= largest]


def regress(folder: Path, sets: list[str], splits: int, name: str, settings: Settings) -> dict:
    """R^2 and seconds of one model on all sets; for a process of its own."""
    load = load_module(folder)
    return {each: regress_set(load.uci_regression(each), splits, name, settings) for each in sets}


def regress_set(data: Any, splits: int, name: str, settings: Settings) -> dict:
    """Means over splits."""
    n = len(data.y)
    if name == "exact" and int(0.8 * n) > EXACT_ROWS:
        return {"left out": f"above {EXACT_ROWS} training rows"}
    x, y = data.x.astype(np.float64), data.y.astype(np.float64)[:, None]

    def split(seed: int) -> dict:
        order = np.random.default_rng(seed).permutation(n)
        train, test = order[: int(0.8 * n)], order[int(0.8 * n) :]
        scale, target = StandardScaler().fit(x[train]), StandardScaler().fit(y[train])
        rows, aims = scale.transform(x[train]), np.ravel(np.asarray(target.transform(y[train])))
        start = time.perf_counter()
        model, note = model_for(name, rows, aims, settings, classify=False)
        model.fit(rows, aims)
        seconds = time.perf_counter() - start
        truth, guess = np.ravel(np.asarray(target.transform(y[test]))), model.predict(scale.transform(x[test]))
        lost = np.square(truth - guess)
        found = {"r2": 1 - lost.sum() / np.square(truth - truth.mean()).sum(), "rmse": np.sqrt(lost.mean())}
        return found | {"seconds": seconds, "alpha": model.alpha_} | note

    def work() -> dict:
        found = [split(seed) for seed in range(min(splits, 2) if n > MANY_ROWS else splits)]
        return {key: float(np.mean([each[key] for each in found])) for key in found[0]}

    return attempt(work)


def regression(options: argparse.Namespace, names: list[str]) -> dict:
    """All models on all sets, and their mean ranks."""
    sets = options.sets.split(",") if options.sets else set_names(options.folder, options.all, options.rows)
    settings = settings_of(options, options.alphas or TABLE_PATH)
    by_model: dict[str, dict] = {}
    for name in names:
        start = time.perf_counter()
        work = partial(regress, options.folder, sets, options.splits, name, settings)
        by_model[name] = attempt(lambda work=work: in_new_process(work))
        show("seconds", {name: {"all sets": time.perf_counter() - start}})
    table = {each: {name: by_model[name].get(each, by_model[name]) for name in names} for each in sets}
    ranks, common = mean_ranks(table)
    shown = {each: {name: result.get("r2", "-") for name, result in row.items()} for each, row in table.items()}
    show("R^2", shown | {f"mean rank of {common} sets": ranks})
    for name in names:
        if words := [word for row in table.values() for word in row[name].values() if isinstance(word, str)]:
            print(f"{name}, {len(words)} of {len(sets)} sets: {words[0]}", file=sys.stderr)
    return {"sets": table, "mean_rank": ranks, "sets_of_mean_rank": common}


def mean_ranks(table: dict[str, dict[str, dict]]) -> tuple[dict[str, float], int]:
    """By R^2, 1 is best; over the sets that all models did that did any, and how many these are."""
    able = {name for row in table.values() for name, result in row.items() if "r2" in result}
    scores = [{name: row[name]["r2"] for name in able} for row in table.values() if all("r2" in row[m] for m in able)]
    ranks = [{name: 1 + sum(other > score for other in row.values()) for name, score in row.items()} for row in scores]
    order = [name for name in next(iter(table.values()), {}) if name in able] if ranks else []
    return {name: float(np.mean([row[name] for row in ranks])) for name in order}, len(ranks)


def numbers(text: str) -> tuple[float, ...]:
    return tuple(map(float, text.split(",")))


def settings_of(options: argparse.Namespace, alphas: tuple[float, ...]) -> Settings:
    tables = options.data == "uci_regression"
    bias_var = (0.1 if tables else 0.0) if options.bias_var is None else options.bias_var
    columns = options.columns or (2048 if tables else 8192)
    return Settings(options.depth, bias_var, columns, alphas, options.tuning_rows, options.seed)


def main() -> None:
    """Run all and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, required=True, help="one that holds load.py")
    parser.add_argument("--data", choices=tuple(DATA), required=True)
    parser.add_argument("--columns", type=int, help="default 8192; on tables 2048")
    parser.add_argument("--rows", type=int, help="so many training rows; on tables, no larger sets")
    parser.add_argument("--methods", help=f"of {', '.join(dict.fromkeys(n for names in DATA.values() for n in names))}")
    parser.add_argument("--modes", help="fixed, path; default both")
    parser.add_argument("--alphas", type=numbers, help="of a path, with commas")
    parser.add_argument("--depth", type=int, default=3)
    parser.add_argument("--bias-var", type=float, help="default 0; on tables 0.1")
    parser.add_argument("--tuning-rows", type=int, default=4000)
    parser.add_argument("--splits", type=int, default=5)
    parser.add_argument("--sets", help="names of tables")
    parser.add_argument("--all", action="store_true", help="all tables")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--quick", action="store_true")
    options = parser.parse_args()
    names = chosen(options.methods, DATA[options.data])
    if options.quick:
        options.columns, options.splits, options.tuning_rows = options.columns or 256, 1, 500
        options.rows = options.rows or (800 if options.data == "uci_regression" else 1500)
    tables = options.data == "uci_regression"
    report = regression(options, names) if tables else classification(options, names, chosen(options.modes, MODES))
    print(json.dumps({**vars(options), "folder": str(options.folder), options.data: report}, indent=1))


if __name__ == "__main__":
    main()
