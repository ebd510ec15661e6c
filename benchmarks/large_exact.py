"""Exact NTK regression on more rows than their Gram matrix could be held for, by conjugate gradients.

Sections, all by default; each in a process of its own, whose peak memory (VmHWM) is given:

- protein: `ConjugateGradient` to a relative residual of 1e-6 within `memory_budget` 6 GiB on all 45,730 rows, and on
  80 % of them beside NTK features, a Gaussian kernel by 4,096 uniform Nystrom columns, and histogram boosting; root
  mean squared error of the other rows, in the targets' standard deviations.
- iterations: with and without preconditioner, three tables (at most 8,000 rows) at three alphas.
- cholesky: 10,000 rows of `protein` against a factorisation, in both precisions: predictions, time, memory.
- alphas: one run for four alphas against one for the smallest of them.
- lean: bytes of models, pickled and in files, and milliseconds of a one-row prediction, beside models on features and
  scikit-learn's kernel ridge; what a fitted model holds of its factor, and its deviations without; 1, 10 and 100 rows
  added and removed, against a fit.

Columns and targets are standardised by training rows; inputs are float32, in `cholesky` also float64. JSON to stdout,
a line a figure to stderr.

Run: ``python benchmarks/large_exact.py [--data FOLDER] [--section NAME] [--rank R] [--quick]``, FOLDER one that holds
load.py.
"""

from __future__ import annotations

import argparse
import json
import pickle
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

import neural_kernels as nk
from neural_kernels.solvers import Cholesky, ConjugateGradient, KernelOperator, RPCholesky

sys.path.insert(0, str(Path(__file__).parent))
from uci import DATA, load_module

NETWORK = nk.mlp(3, bias_var=0.1)
ALPHA = 1e-2
ALPHAS = (1e-1, 1e-2, 1e-3)
TABLES = ("protein", "kin40k", "elevators")
BUDGET = 6 * 2**30


def table(folder: Path, name: str, rows: int | None) -> tuple[np.ndarray, ...]:
    """Training and test rows (80/20, drawn by lot), standardised."""
    data = load_module(folder).uci_regression(name)
    order = np.random.default_rng(0).permutation(len(data.y))[:rows]
    x, y = data.x[order].astype(np.float64), data.y[order].astype(np.float64)
    n = int(0.8 * len(y))
    spread = x[:n].std(axis=0)
    x = (x - x[:n].mean(axis=0)) / np.where(spread > 0, spread, 1)
    y = (y - y[:n].mean()) / y[:n].std()
    return x[:n].astype(np.float32), y[:n], x[n:].astype(np.float32), y[n:]


def seconds(work: Callable[[], Any]) -> tuple[float, Any]:
    start = time.perf_counter()
    result = work()
    return time.perf_counter() - start, result


def peak_mib() -> float:
    status = Path("/proc/self/status").read_text()
    return int(status.split("VmHWM:")[1].split()[0]) / 1024


def of(model: nk.NeuralKernelRegressor) -> dict[str, Any]:
    done: Any = model.convergence_
    return {"residual": float(done.residuals.max()), "iterations": int(done.iterations.max())}


def protein(options: argparse.Namespace) -> dict[str, Any]:
    from sklearn.ensemble import HistGradientBoostingRegressor
    from sklearn.kernel_approximation import Nystroem
    from sklearn.linear_model import RidgeCV
    from sklearn.pipeline import make_pipeline

    x, y, x_test, y_test = table(options.data, "protein", 3000 if options.quick else None)
    columns = 256 if options.quick else 4096
    solver = ConjugateGradient(RPCholesky(options.rank), verbose=1)
    exact = nk.NeuralKernelRegressor(NETWORK, alpha=ALPHA, solver=solver, memory_budget=BUDGET)
    gaussian = Nystroem(gamma=1 / x.shape[1], n_components=columns, random_state=0)
    fit, _ = seconds(partial(exact.fit, np.vstack([x, x_test]), np.concatenate([y, y_test])))
    found: dict[str, Any] = {"all rows": {"rows": len(y) + len(y_test), "fit": fit, "peak_mib": peak_mib()} | of(exact)}
    models = {
        "exact": exact,
        "features": nk.NeuralFeatureRegressor(NETWORK, n_components=columns, random_state=0),
        "rbf-nystrom": make_pipeline(gaussian, RidgeCV(np.logspace(-4, 1, 6))),
        "boosting": HistGradientBoostingRegressor(max_iter=500, random_state=0),
    }
    for name, model in models.items():
        fit, _ = seconds(partial(model.fit, x, y))
        predict, predicted = seconds(partial(model.predict, x_test))
        error = float(np.sqrt(np.mean((predicted - y_test) ** 2)))
        found[name] = {"rmse": error, "fit": fit, "predict": predict, "peak_mib": peak_mib()}
        if name == "exact":
            found[name] |= of(exact)
    return found


def iterations(options: argparse.Namespace) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name in TABLES:
        x, y, _, _ = table(options.data, name, 1500 if options.quick else 10_000)
        kernel = nk.NTK(NETWORK)
        scale = float(np.mean(kernel.diag(x)))
        for label, preconditioner in (("with", RPCholesky(min(options.rank, len(y) // 4))), ("without", None)):
            solver = ConjugateGradient(preconditioner, max_iterations=3000)
            system = solver.system_of(KernelOperator(kernel, x, 2.0**32))
            for alpha in ALPHAS:
                taken, result = seconds(partial(system.solve_all, y, [alpha * scale]))
                found[f"{name} alpha {alpha:g} {label}"] = {
                    "iterations": int(result.iterations.max()),
                    "residual": float(result.residuals.max()),
                    "seconds": taken,
                }
    return found


def cholesky(options: argparse.Namespace) -> dict[str, Any]:
    x, y, x_test, _ = table(options.data, "protein", 2000 if options.quick else 12_500)
    found: dict[str, Any] = {"rows": len(y)}
    solvers = {"conjugate gradients": ConjugateGradient(RPCholesky(options.rank)), "cholesky": Cholesky()}
    predicted: dict[str, np.ndarray] = {}
    for name, solver in solvers.items():  # the one with the smaller peak first
        for dtype in ("float32", "float64"):
            model = nk.NeuralKernelRegressor(NETWORK, alpha=ALPHA, solver=solver)
            fit, _ = seconds(partial(model.fit, x.astype(dtype), y))
            predicted[f"{name}, {dtype}"] = model.predict(x_test.astype(dtype))
            found[f"{name}, {dtype}"] = {"fit": fit, "peak_mib": peak_mib()}
    exact = predicted["cholesky, float64"]
    for name, values in predicted.items():
        found[name]["largest difference"] = float(np.abs(values - exact).max() / np.abs(exact).max())
    both = predicted["conjugate gradients, float32"] - predicted["cholesky, float32"]
    return found | {"solvers differ in float32 by": float(np.abs(both).max() / np.abs(exact).max())}


def alphas(options: argparse.Namespace) -> dict[str, Any]:
    x, y, _, _ = table(options.data, "protein", 2000 if options.quick else 20_000)
    kernel = nk.NTK(NETWORK)
    scale, several = float(np.mean(kernel.diag(x))), (1.0, 0.1, 0.03, 0.01)
    found: dict[str, Any] = {"rows": len(y)}
    for chosen in ((0.01,), several, (0.01,)):  # the first also compiles
        system = ConjugateGradient(RPCholesky(options.rank)).system_of(KernelOperator(kernel, x))
        taken, result = seconds(partial(system.solve_all, y, np.array(chosen) * scale))
        found[f"{len(chosen)} alphas"] = {"seconds": taken, "iterations": int(result.iterations.max())}
    return found | {"ratio": found["4 alphas"]["seconds"] / found["1 alphas"]["seconds"]}


def lean(options: argparse.Namespace) -> dict[str, Any]:
    from sklearn.kernel_ridge import KernelRidge

    x, y, x_test, _ = table(options.data, "protein", 1000 if options.quick else 5000)
    found: dict[str, Any] = {"rows": len(y)}
    models = {
        "cholesky": nk.NeuralKernelRegressor(NETWORK, alpha=ALPHA, solver=Cholesky()),
        "conjugate gradients": nk.NeuralKernelRegressor(NETWORK, alpha=ALPHA, solver=ConjugateGradient()),
        "512 landmarks": nk.NeuralFeatureRegressor(NETWORK, n_components=512, random_state=0),
        "512 random features": nk.NeuralFeatureRegressor(
            NETWORK, n_components=512, method=nk.RandomFeatures(), random_state=0
        ),
        "sklearn.KernelRidge": KernelRidge(kernel="rbf"),
    }
    for name, model in models.items():
        model.fit(x, y)
        times = [seconds(partial(model.predict, x_test[k : k + 1]))[0] for k in range(100)]
        found[name] = {"pickle": len(pickle.dumps(model)), "one row, ms": 1e3 * float(np.median(times))}
        if not isinstance(model, KernelRidge):
            found[name]["file"] = file_size(model)
    for name, keep in (("kept", True), ("not kept", False)):
        model = nk.NeuralKernelRegressor(NETWORK, kernel="nngp", alpha=ALPHA, keep_factor=keep).fit(x, y)
        held = sum(getattr(value, "nbytes", 0) for system in [vars(model).get("_system")] for value in _parts(system))
        taken, _ = seconds(partial(model.predict, x_test[:100], return_std=True))
        found[f"factor {name}"] = {"bytes": held, "first deviations, s": taken}
    return found | {"edits": edits(x, y, x_test)}


def file_size(model: Any) -> int:
    """Bytes that `nk.save` writes."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.safetensors"
        nk.save(model, path)
        return path.stat().st_size


def _parts(system: Any) -> list[Any]:
    return [] if system is None else list(vars(system).values())


def edits(x: np.ndarray, y: np.ndarray, x_test: np.ndarray) -> dict[str, Any]:
    """Seconds of rows added and removed, and how far predictions are from those of a fit with the same ridge."""
    x, x_test = x.astype(np.float64), x_test.astype(np.float64)
    model = nk.NeuralKernelRegressor(NETWORK, alpha=ALPHA, solver=Cholesky(), keep_factor=True)
    fit, _ = seconds(partial(model.fit, x[:-100], y[:-100]))
    found: dict[str, Any] = {"fit, s": fit}
    n = len(y) - 100
    for count in (1, 10, 100):
        add, _ = seconds(partial(model.add, x[n : n + count], y[n : n + count]))
        remove, _ = seconds(partial(model.remove, np.arange(count)))
        refit = nk.NeuralKernelRegressor(NETWORK, alpha=model.alpha_, solver=Cholesky())
        rows = np.arange(count, n + count)
        expected = refit.fit(x[rows], y[rows]).predict(x_test)
        error = np.abs(model.predict(x_test) - expected).max() / np.abs(expected).max()
        found[f"{count} rows"] = {"add, s": add, "remove, s": remove, "largest difference": float(error)}
        model.fit(x[:-100], y[:-100])
    return found


SECTIONS = {"protein": protein, "iterations": iterations, "cholesky": cholesky, "alphas": alphas, "lean": lean}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=DATA)
    parser.add_argument("--section", choices=SECTIONS)
    parser.add_argument("--rank", type=int, default=1000)
    parser.add_argument("--quick", action="store_true")
    options = parser.parse_args()
    if options.section:
        warnings.simplefilter("ignore")
        print(json.dumps(SECTIONS[options.section](options)))
        return
    found = {}
    for name in SECTIONS:
        output = subprocess.check_output([sys.executable, __file__, "--section", name, *sys.argv[1:]], text=True)
        found[name] = json.loads(output)
        for key, value in found[name].items():
            print(f"{name}: {key}: {value}", file=sys.stderr)
    print(json.dumps(found))


if __name__ == "__main__":
    main()
