"""Logistic regression on features, beside scikit-learn's on the same features and beside least squares; JSON.

Fashion-MNIST (pixels, rows of norm 1) and a9a (CSR, rows of norm 1) of the data folder, float32, features of the NTK of
three hidden layers, test rows held out. Lines of

- the library's: `NeuralFeatureLogisticClassifier` at single alphas (seconds of all, features and their moments
  included; passes over the rows' features) and at its own choice; `NeuralFeatureClassifier` with its defaults;
- scikit-learn's ``LogisticRegression`` at the same ridges on the same features in float64 (seconds without the
  features; iterations): "lbfgs", and "newton-cholesky" for two classes or few columns, for of more it makes a matrix of
  (K m)^2 numbers. `excess` is what its objective is above that of the library's model.

Run: ``python benchmarks/logistic.py [--data FOLDER] [--sets fashion a9a] [--columns 2048] [--rows N] [--quick]``
"""

from __future__ import annotations

import argparse
import json
import time
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from _features import load_module
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import accuracy_score, log_loss
from sklearn.preprocessing import normalize

import neural_kernels as nk

ALPHAS = (1e-1, 1e-2, 1e-3)
_LARGEST = 2560  # (K m) of Newton's method


def rows(name: str, folder: Path, most: int) -> tuple[Any, np.ndarray, Any, np.ndarray]:
    """Training rows and labels, and those of the test."""
    load = load_module(folder)
    data = load.fashion_mnist() if name == "fashion" else load.a9a()
    x, y, x_test, y_test = data
    if name == "fashion":
        x, x_test = (part.reshape(len(part), -1) for part in (x, x_test))
    x, x_test = (normalize(part.astype(np.float32)) for part in (x[:most], x_test))
    return x, y[:most], x_test, y_test


def scores(model: Any, x: Any, y: np.ndarray) -> dict[str, float]:
    """Accuracy and log-loss."""
    p = model.predict_proba(x)
    found = {"accuracy": accuracy_score(y, model.classes_[p.argmax(axis=1)]), "log_loss": log_loss(y, p)}
    return {name: round(float(value), 4) for name, value in found.items()}


def objective(p: np.ndarray, y: np.ndarray, classes: np.ndarray, ridge: float, coefficients: np.ndarray) -> float:
    """What is minimised, over the number of rows."""
    own = p[np.arange(len(y)), np.searchsorted(classes, y)]
    return float(-np.log(np.maximum(own, 1e-300)).mean() + ridge / 2 * np.square(coefficients).sum() / len(y))


def timed(model: Any, x: Any, y: np.ndarray) -> float:
    """Seconds of a fit."""
    start = time.perf_counter()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model.fit(x, y)
    return round(time.perf_counter() - start, 2)


def compared(x: Any, y: np.ndarray, x_test: Any, y_test: np.ndarray, columns: int) -> Iterator[dict[str, Any]]:
    """A line for each model."""
    chosen: dict[str, Any] = {"network": nk.mlp(3), "n_components": columns, "random_state": 0}
    least = nk.NeuralFeatureClassifier(**chosen)
    yield {
        "model": "least squares",
        "seconds": timed(least, x, y),
        "alpha": least.alpha_,
        **scores(least, x_test, y_test),
    }
    own = nk.NeuralFeatureLogisticClassifier(**chosen)
    line = {"model": "logistic", "seconds": timed(own, x, y), "alpha": own.alpha_, "passes": own.n_passes_}
    yield line | scores(own, x_test, y_test) | {"held out": np.round(own.held_out_scores_, 4).tolist()}
    phi, phi_test = (np.asarray(own.map_(part), dtype=np.float64) for part in (x, x_test))
    for alpha in ALPHAS:
        model = nk.NeuralFeatureLogisticClassifier(**chosen, alpha=alpha)
        line = {"model": "logistic", "alpha": alpha, "seconds": timed(model, x, y), "passes": model.n_passes_}
        best = objective(model.predict_proba(x), y, model.classes_, model.ridge_, model.coef_)
        yield line | {"gradient": float(f"{model.gradient_norm_:.1e}")} | scores(model, x_test, y_test)
        few = (len(own.classes_) if len(own.classes_) > 2 else 1) * columns <= _LARGEST
        for solver in ("lbfgs", *(["newton-cholesky"] if few else [])):
            theirs = LogisticRegression(C=1 / model.ridge_, solver=solver, max_iter=300)  # pyright: ignore[reportArgumentType]
            line = {
                "model": solver,
                "alpha": alpha,
                "seconds": timed(theirs, phi, y),
                "iterations": int(theirs.n_iter_[0]),
            }
            value = objective(theirs.predict_proba(phi), y, theirs.classes_, model.ridge_, theirs.coef_)
            yield line | {"excess": float(f"{value - best:.1e}")} | scores(theirs, phi_test, y_test)


def main() -> None:
    """Print a line for each set and model."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path(__file__).resolve().parents[2] / "shared" / "data")
    parser.add_argument("--sets", choices=["fashion", "a9a"], nargs="+", default=["fashion", "a9a"])
    parser.add_argument("--columns", type=int, default=2048)
    parser.add_argument("--rows", type=int, default=60_000, help="at most")
    parser.add_argument("--quick", action="store_true", help="5,000 rows, 256 columns")
    given = parser.parse_args()
    most, columns = (5_000, 256) if given.quick else (given.rows, given.columns)
    torch.set_num_threads(1 if given.quick else 2)
    for name in given.sets:
        data = rows(name, given.data, most)
        for line in compared(*data, columns):
            print(json.dumps({"set": name, "rows": len(data[1]), "columns": columns} | line), flush=True)


if __name__ == "__main__":
    main()
