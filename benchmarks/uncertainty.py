"""How often held-out targets lie where they are said to lie, on fourteen tables, beside a fitted Gaussian process.

The tables are scikit-learn's diabetes and friedman1 (500 rows, noise 1), and the first twelve, by name, of the folder's
regression sets of 150 rows and more (of its two collections the one whose names have no prefix; ``--all``: all of
them), with 800 rows, drawn once, of larger ones. Three folds; columns scaled by the training rows, targets in their own
units. Coverage is the share of held-out targets within 1.645 and 1.96 deviations of the mean, or inside the interval;
NLPD the mean negative logarithm of the predictive density, of targets divided by the training targets' deviation.

- nngp: ``NeuralKernelRegressor(kernel="nngp")``, a Gaussian process with the amplitude fitted in closed form.
- ntk: ``NeuralKernelRegressor()``, the ensemble of trained networks.
- depths: as nngp, depth (1, 2, 3, 5) and alpha by the marginal likelihood.
- features: ``NeuralFeatureRegressor(kernel="nngp", n_components=256)``.
- jackknife+: ``NeuralKernelRegressor().predict_interval``, of which there is no density.
- gpr: scikit-learn's ``GaussianProcessRegressor``, amplitude, length scale and noise by marginal likelihood.

Run: ``python benchmarks/uncertainty.py [--data FOLDER] [--all] [--json]``
"""

from __future__ import annotations

import argparse
import json
import time
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from scipy.stats import norm
from sklearn.datasets import load_diabetes, make_friedman1
from sklearn.exceptions import ConvergenceWarning
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import RBF, ConstantKernel, WhiteKernel
from sklearn.model_selection import KFold
from sklearn.preprocessing import StandardScaler
from tqdm import tqdm
from uci import DATA, load_module

import neural_kernels as nk

LEVELS = (0.9, 0.95)
ALPHAS = np.logspace(-4, 1, 11)
LEAST, MOST, SETS = 150, 800, 12
Fold = tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]


def tables(folder: Path, every: bool) -> Iterator[tuple[str, np.ndarray, np.ndarray]]:
    load = load_module(folder)
    diabetes: Any = load_diabetes()
    yield "diabetes", diabetes.data, diabetes.target
    x, y = make_friedman1(500, noise=1.0, random_state=0)[:2]
    yield "friedman1", x, y
    found = ((name, load.uci_regression(name)) for name in load.names("uci_regression") if "gal_" not in name)
    large = [(name, data) for name, data in found if len(data.y) >= LEAST]
    for name, data in large if every else large[:SETS]:
        rows = np.random.default_rng(0).permutation(len(data.y))[:MOST]
        yield name, data.x[rows].astype(np.float64), data.y[rows].astype(np.float64)


def gaussian_process(x: np.ndarray, y: np.ndarray) -> Any:
    kernel = ConstantKernel() * RBF(np.sqrt(x.shape[1])) + WhiteKernel(0.1)
    return GaussianProcessRegressor(kernel, normalize_y=True, random_state=0).fit(x, y)


def likeliest_depth(x: np.ndarray, y: np.ndarray) -> Any:
    networks = (nk.mlp(depth, bias_var=0.1) for depth in (1, 2, 3, 5))
    fitted = [nk.NeuralKernelRegressor(net, kernel="nngp", selection="evidence").fit(x, y) for net in networks]
    return max(fitted, key=lambda model: model.log_marginal_likelihood_)


MODELS: dict[str, Callable[[np.ndarray, np.ndarray], Any]] = {
    "nngp": lambda x, y: nk.NeuralKernelRegressor(kernel="nngp").fit(x, y),
    "ntk": lambda x, y: nk.NeuralKernelRegressor().fit(x, y),
    "depths": likeliest_depth,
    "features": lambda x, y: nk.NeuralFeatureRegressor(
        kernel="nngp", n_components=256, alpha=ALPHAS, random_state=0
    ).fit(x, y),
    "gpr": gaussian_process,
}
METHODS = ("nngp", "ntk", "depths", "features", "jackknife+", "gpr")


def run_fold(fold: Fold) -> dict[str, list[float]]:
    """By method: coverage at each level, NLPD, R^2."""
    x, y, x_test, y_test = fold
    unit, result = y.std(), {}
    for name, fit in MODELS.items():
        model = fit(x, y)
        mean, std = model.predict(x_test, return_std=True)
        r2, z = 1 - np.mean((y_test - mean) ** 2) / y_test.var(), (y_test - mean) / std
        covered = [float(np.mean(np.abs(z) <= norm.ppf(0.5 + level / 2))) for level in LEVELS]
        density = float(np.mean(0.5 * z**2 + np.log(std / unit) + 0.5 * np.log(2 * np.pi)))
        result[name] = [*covered, density, float(r2)]
        if name == "ntk":
            intervals = [model.predict_interval(x_test, level).T for level in LEVELS]
            result["jackknife+"] = [float(np.mean((low <= y_test) & (y_test <= high))) for low, high in intervals]
    return result


def run(folder: Path, every: bool) -> dict[str, dict[str, list[float]]]:
    results = {}
    for name, x, y in tqdm(list(tables(folder, every)), unit="set"):
        folds = []
        for train, test in KFold(3, shuffle=True, random_state=0).split(x):
            scaler = StandardScaler().fit(x[train])
            rows, new = (np.asarray(scaler.transform(x[part])) for part in (train, test))
            folds.append(run_fold((rows, y[train], new, y[test])))
        results[name] = {method: np.mean([fold[method] for fold in folds], axis=0).tolist() for method in METHODS}
    return results


def show(results: dict[str, dict[str, list[float]]]) -> None:
    densities = [method for method in METHODS if method != "jackknife+"]
    print("coverage of 90 % / 95 %, in percent")
    line = "{:<14}" + "{:>13}" * len(METHODS)
    print(line.format("set", *METHODS))
    covered = {name: {m: 100 * np.array(row[m][:2]) for m in METHODS} for name, row in results.items()}
    for name, row in covered.items():
        print(line.format(name, *("{:.1f} / {:.1f}".format(*row[m]) for m in METHODS)))
    for label, over in (("mean", np.mean), ("least", np.min)):
        values = [over([row[m] for row in covered.values()], axis=0) for m in METHODS]
        print(line.format(label, *("{:.1f} / {:.1f}".format(*pair) for pair in values)))
    for title, column in (("NLPD", 2), ("R^2", 3)):
        print(f"\n{title}")
        line = "{:<14}" + "{:>11}" * len(densities)
        print(line.format("set", *densities))
        for name, row in results.items():
            print(line.format(name, *(f"{row[m][column]:.3f}" for m in densities)))
        for label, over in (("mean", np.mean), ("median", np.median)):
            values = [over([row[m][column] for row in results.values()]) for m in densities]
            print(line.format(label, *(f"{value:.3f}" for value in values)))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=DATA, help="the folder that holds load.py")
    parser.add_argument("--all", action="store_true", help="all regression sets of the folder, not the first twelve")
    parser.add_argument("--json", action="store_true", help="print JSON instead of tables")
    options = parser.parse_args()
    warnings.simplefilter("ignore", ConvergenceWarning)  # the peer's, of bounds that it reaches
    start = time.perf_counter()
    results = run(options.data, options.all)
    seconds = time.perf_counter() - start
    if options.json:
        print(json.dumps({"seconds": seconds, "columns": ["90 %", "95 %", "NLPD", "R^2"], "sets": results}, indent=2))
    else:
        show(results)
        print(f"{seconds:.0f} s")


if __name__ == "__main__":
    main()
