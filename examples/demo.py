"""Neural kernels on data that ships with scikit-learn: two tables, one figure.

Run: ``python examples/demo.py [--quick] [--figure demo.png]``

First the exact kernels beside scikit-learn's own models. Every model is tuned on the training rows alone and scored on
rows it never saw; "fit" includes the tuning. Depth and alpha of the neural kernels are chosen by exact leave-one-out,
which costs no refits. The table model is `nk.TableClassifier()` or `nk.TableRegressor()`, to which nothing is told.

Then feature maps beside the exact kernel of the same network, on digits and on nine times as many: half of the images,
each with its eight shifts by one pixel, to learn from, and the other half, not shifted, to test. No tuning there.

Two panels of the figure are on uncertainty: intervals of rows that were held out, and how many of these they cover.
"""

from __future__ import annotations

import argparse
import time
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
from _data_demo import Data, Result, Task, load_digit_sets, load_tables, measure, split
from _intervals_demo import draw_intervals
from matplotlib.axes import Axes
from sklearn.compose import TransformedTargetRegressor
from sklearn.datasets import load_diabetes, load_digits
from sklearn.ensemble import (
    HistGradientBoostingClassifier,
    HistGradientBoostingRegressor,
    RandomForestClassifier,
    RandomForestRegressor,
)
from sklearn.exceptions import ConvergenceWarning
from sklearn.kernel_ridge import KernelRidge
from sklearn.linear_model import LogisticRegression, RidgeCV
from sklearn.model_selection import GridSearchCV
from sklearn.neural_network import MLPClassifier, MLPRegressor
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC
from threadpoolctl import threadpool_limits
from tqdm import tqdm

import neural_kernels as nk

matplotlib.use("Agg")
import matplotlib.pyplot as plt

ALPHAS = np.logspace(-4, 2, 13)
DEPTHS = (1, 2, 3, 5)
PENALTIES = np.logspace(-3, 3, 7)
GAMMAS = np.logspace(-4, 0, 7)

SHARED_ALPHA = 1e-2  # of all models in the second table
COLUMNS = (128, 512, 2048)
METHODS = {"Nystrom (default)": None, "ZonalFeatures": nk.ZonalFeatures(), "RandomFeatures": nk.RandomFeatures()}


def neural_kernel(data: Data, kernel: str, depths: tuple[int, ...] = DEPTHS) -> Pipeline:
    """Fit every depth, with alpha by leave-one-out, and keep the depth of the best leave-one-out score."""
    estimator = nk.NeuralKernelClassifier if data.classify else nk.NeuralKernelRegressor
    fitted = [
        make_pipeline(StandardScaler(), estimator(nk.mlp(depth, bias_var=0.1), kernel=kernel, alpha=ALPHAS)).fit(
            *data.train
        )
        for depth in depths
    ]
    return max(fitted, key=loo_score)


def loo_score(pipeline: Pipeline) -> float:
    estimator: Any = pipeline[-1]
    return estimator.loo_scores_.max()


def search(model: Any, cv: int = 5, **grid: Any) -> GridSearchCV:
    """Cross-validate a model with scaled inputs."""
    step = type(model).__name__.lower()
    named = {f"{step}__{name}": values for name, values in grid.items()}
    return GridSearchCV(make_pipeline(StandardScaler(), model), named, cv=cv, n_jobs=-1)


def scaled_target(model: Any) -> TransformedTargetRegressor:
    return TransformedTargetRegressor(model, transformer=StandardScaler())


def classifiers() -> dict[str, Any]:
    return {
        "logistic regression": search(LogisticRegression(max_iter=1000), C=PENALTIES),
        "RBF SVM": search(SVC(), C=PENALTIES, gamma=GAMMAS),
        "random forest": make_pipeline(StandardScaler(), RandomForestClassifier(300, n_jobs=-1, random_state=0)),
        "gradient boosting": make_pipeline(StandardScaler(), HistGradientBoostingClassifier(random_state=0)),
        "MLP": search(
            MLPClassifier(hidden_layer_sizes=(128,), max_iter=500, random_state=0), cv=3, alpha=(1e-4, 1e-2, 1.0)
        ),
    }


def regressors() -> dict[str, Any]:
    mlp = MLPRegressor(hidden_layer_sizes=(128,), early_stopping=True, max_iter=500, random_state=0)
    return {
        "ridge": make_pipeline(StandardScaler(), RidgeCV(np.logspace(-3, 3, 13))),
        "RBF kernel ridge": scaled_target(search(KernelRidge(kernel="rbf"), alpha=PENALTIES, gamma=GAMMAS)),
        "random forest": make_pipeline(StandardScaler(), RandomForestRegressor(300, n_jobs=-1, random_state=0)),
        "gradient boosting": make_pipeline(StandardScaler(), HistGradientBoostingRegressor(random_state=0)),
        "MLP": scaled_target(search(mlp, cv=3, alpha=(1e-4, 1e-2, 1.0))),
    }


def contenders(data: Data, quick: bool) -> list[Task]:
    """The exact kernels and the models of scikit-learn."""
    depths = (1, 3) if quick else DEPTHS
    models = classifiers() if data.classify else regressors()
    if quick:
        models = dict(list(models.items())[:1])
    fits: dict[str, Callable[[], Any]] = {
        "NTK (this library)": lambda: neural_kernel(data, "ntk", depths),
        "NNGP (this library)": lambda: neural_kernel(data, "nngp", depths),
    }
    table = nk.TableClassifier if data.classify else nk.TableRegressor
    fits["table (this library)"] = lambda: table(time_budget=0 if quick else None).fit(*data.train)
    fits |= {name: lambda model=model: model.fit(*data.train) for name, model in models.items()}
    return [Task(data, name, fit) for name, fit in fits.items()]


def feature_maps(data: Data) -> list[Task]:
    """The exact kernel, and maps with fewer columns than there are rows."""
    net = nk.mlp(2)

    def task(name: str, model: Any, columns: int | None = None) -> Task:
        return Task(data, name, lambda: make_pipeline(StandardScaler(), model).fit(*data.train), columns)

    def features(method: Any, columns: int) -> nk.NeuralFeatureClassifier:
        return nk.NeuralFeatureClassifier(net, n_components=columns, method=method, alpha=SHARED_ALPHA, random_state=0)

    widths = [columns for columns in COLUMNS if columns < len(data.train[0])]
    maps = [task(name, features(method, m), m) for name, method in METHODS.items() for m in widths]
    return [task("exact NTK", nk.NeuralKernelClassifier(net, alpha=SHARED_ALPHA)), *maps]


def digits_depth_errors(data: Data, depths: tuple[int, ...]) -> Iterator[tuple[float, float]]:
    """Test errors in percent by depth, of the NTK and of the NNGP kernel."""
    for depth in depths:
        ntk, nngp = (neural_kernel(data, kernel, (depth,)).score(*data.test) for kernel in ("ntk", "nngp"))
        yield 100 * (1 - ntk), 100 * (1 - nngp)


def sorted_kernel(data: Data, depth: int) -> np.ndarray:
    """Compute the training kernel, with a mean diagonal of 1 and rows in the order of their classes."""
    x, y = data.train
    rows = StandardScaler().fit_transform(x)[np.argsort(y, kind="stable")]
    gram = nk.NTK(nk.mlp(depth, bias_var=0.1))(rows)
    return gram / np.diagonal(gram).mean()


def draw(path: Path, data: Data, depths: tuple[int, ...], errors: np.ndarray, maps: list[Result]) -> None:
    figure, axes = plt.subplots(2, 3, figsize=(16, 8.5), layout="constrained")
    matrix, spectrum, intervals, error, trade, coverage = axes.flat
    gram = sorted_kernel(data, 3)
    lengths = np.sqrt(np.diagonal(gram))
    cosines = gram / np.outer(lengths, lengths)
    image = matrix.imshow(cosines, cmap="magma", vmin=np.quantile(cosines, 0.005), vmax=np.quantile(cosines, 0.995))
    figure.colorbar(image, ax=matrix, shrink=0.8)
    matrix.set(title="NTK of digits as cosines, depth 3, by class", xlabel="image", ylabel="image")
    for depth in (1, 3, 10):
        values = np.linalg.eigvalsh(sorted_kernel(data, depth))[::-1]
        spectrum.loglog(np.arange(1, len(values) + 1), values.clip(1e-12), label=f"depth {depth}")
    spectrum.set(title="Eigenvalues of the NTK", xlabel="index", ylabel="eigenvalue")
    spectrum.legend()
    for column, name in zip(errors.T, ("NTK", "NNGP"), strict=True):
        error.plot(depths, column, "o-", label=name)
    error.set(title="Error on the held-out half", xlabel="depth", ylabel="%", ylim=(0, None), xticks=depths)
    error.legend()
    draw_trade(trade, [r for r in maps if r.task.data is maps[-1].task.data])
    draw_intervals(intervals, coverage, split("diabetes", *load_diabetes(return_X_y=True), classify=False))
    figure.savefig(path, dpi=150)
    plt.close(figure)


def draw_trade(axes: Axes, results: list[Result]) -> None:
    """Test error against time, of one data set; points are labelled by their columns."""
    for model in dict.fromkeys(r.task.model for r in results):
        own = [r for r in results if r.task.model == model]
        seconds, errors = [r.fit_seconds + r.predict_seconds for r in own], [r.error for r in own]
        axes.loglog(seconds, errors, "o-" if own[0].task.columns else "k*", label=model)
        for r, x, y in zip(own, seconds, errors, strict=True):
            axes.annotate(str(r.task.columns or ""), (x, y), xytext=(4, 4), textcoords="offset points", fontsize=8)
    data = results[0].task.data
    axes.set(
        title=f"Feature maps, {data.name}: {len(data.train[0])} rows", xlabel="fit and predict, s", ylabel="error, %"
    )
    axes.legend()


def show(results: list[Result]) -> None:
    line = "{:<15}{:<22}{:>8}{:>9}{:>11}"
    print(line.format("data", "model", "score", "fit, s", "predict, s"))
    for r, name in zip(results, headings(results, 65), strict=True):
        print(line.format(name, r.task.model, f"{r.score:.4f}", f"{r.fit_seconds:.2f}", f"{r.predict_seconds:.3f}"))
    print("score: accuracy, or R^2 for diabetes, on held-out rows\n")


def show_maps(results: list[Result]) -> None:
    line = "{:<15}{:>6} {:<20}{:>8}{:>9}{:>9}{:>11}"
    print(line.format("data", "rows", "model", "columns", "error, %", "fit, s", "predict, s"))
    for r, name in zip(results, headings(results, 78), strict=True):
        rows, columns = len(r.task.data.train[0]) if name else "", r.task.columns or ""
        seconds = f"{r.fit_seconds:.2f}", f"{r.predict_seconds:.3f}"
        print(line.format(name, rows, r.task.model, columns, f"{r.error:.2f}", *seconds))
    held_out = len(results[0].task.data.test[0])
    print(f"network: nk.mlp(2), alpha {SHARED_ALPHA} throughout; error on {held_out} other images")


def headings(results: list[Result], width: int) -> Iterator[str]:
    """The name of a data set for its first row, under a line, and nothing for the others."""
    previous = None
    for r in results:
        if r.task.data is not previous:
            print("-" * width)
        yield "" if r.task.data is previous else r.task.data.name
        previous = r.task.data


def run(figure: Path, quick: bool) -> tuple[list[Result], list[Result]]:
    """Measure all models for the two tables, and draw."""
    tasks = [task for data in load_tables(quick) for task in contenders(data, quick)]
    maps = [task for data in load_digit_sets(quick) for task in feature_maps(data)]
    depths = (1, 3) if quick else (1, 2, 3, 5, 7, 10)
    digits = split("digits", *load_digits(n_class=3 if quick else 10, return_X_y=True), classify=True)
    results, errors = [], []
    with tqdm(total=len(tasks) + len(maps) + len(depths) + 1, unit="step") as bar:
        for task in [*tasks, *maps]:
            bar.set_description(f"{task.data.name}: {task.model}"[:34].ljust(34))
            results.append(measure(task))
            bar.update()
        bar.set_description("figure".ljust(34))
        for pair in digits_depth_errors(digits, depths):
            errors.append(pair)
            bar.update()
        exact, mapped = results[: len(tasks)], results[len(tasks) :]
        draw(figure, digits, depths, np.array(errors), mapped)
        bar.update()
    return exact, mapped


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="a few seconds: fewer data, models and depths")
    parser.add_argument("--figure", type=Path, default=Path("demo.png"))
    options = parser.parse_args()
    start = time.perf_counter()
    warnings.simplefilter("ignore", ConvergenceWarning)  # an MLP that runs out of iterations is scored as it is
    with threadpool_limits(1):  # matrices this small gain little from more
        results, maps = run(options.figure, options.quick)
    show(results)
    show_maps(maps)
    print(f"figure: {options.figure}; {time.perf_counter() - start:.0f} s in all")


if __name__ == "__main__":
    main()
