"""Protein by the folds of the papers on sketched tangent kernels: mean squared errors in the target's units; JSON.

45,730 rows of 9 columns (CASP: properties of protein structures; the target is a distance in ångström) in the order of
the file, and four folds that are not shuffled, as in Zandieh et al. (2021, arXiv 2106.07880). Columns are standardised
by the training rows, and alpha is chosen by leave-one-out on them. "mean" predicts the training targets' mean.

Run: ``python benchmarks/protein_folds.py [--data FOLDER] [--methods NAME ...] [--columns M] [--depth L] [--quick]``
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.dummy import DummyRegressor
from sklearn.model_selection import KFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from uci import DATA, load_module

import neural_kernels as nk

ALPHAS = tuple(10.0 ** np.arange(-6, 1))
SETTINGS: dict[str, Callable[[], Any]] = {
    "landmarks": nk.Nystrom,
    "random": nk.RandomFeatures,
    "sketch": nk.PolynomialSketch,
}


def model(name: str, columns: int, depth: int) -> Any:
    """What is fitted in each fold."""
    if name == "mean":
        return DummyRegressor()
    net = nk.mlp(depth, bias_var=0.1)
    return nk.NeuralFeatureRegressor(net, n_components=columns, method=SETTINGS[name](), alpha=ALPHAS, random_state=0)


def main() -> None:
    """Print a line for each method."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=DATA, help="the folder that holds load.py")
    parser.add_argument("--methods", nargs="+", choices=["mean", *SETTINGS], default=["mean", *SETTINGS])
    parser.add_argument("--columns", type=int, default=8192)
    parser.add_argument("--depth", type=int, default=1)
    parser.add_argument("--quick", action="store_true", help="every twentieth row and 256 columns: a smoke test")
    options = parser.parse_args()
    rows = load_module(options.data).uci_regression("gal_protein-tertiary-structure")
    every, columns = (20, 256) if options.quick else (1, options.columns)
    x, y = rows.x[::every].astype(np.float32), rows.y[::every].astype(np.float64)
    for name in options.methods:
        start, errors = time.perf_counter(), []
        for train, test in KFold(4).split(x):
            fitted = make_pipeline(StandardScaler(), model(name, columns, options.depth)).fit(x[train], y[train])
            errors.append(float(np.mean((fitted.predict(x[test]) - y[test]) ** 2)))
        line = {"method": name, "depth": options.depth, "columns": columns, "mse": round(float(np.mean(errors)), 3)}
        folds = {"folds": [round(error, 2) for error in errors]}
        print(json.dumps(line | folds | {"seconds": round(time.perf_counter() - start, 1)}), flush=True)


if __name__ == "__main__":
    main()
