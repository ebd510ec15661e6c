"""Neural kernels beside scikit-learn's own models, on data that ships with scikit-learn: one table, one figure.

Run: ``python examples/demo.py [--quick] [--figure demo.png]``

Every model is tuned on the training rows alone and scored on rows it never saw; "fit" includes the tuning. Depth and
alpha of the neural kernels are chosen by exact leave-one-out, which costs no refits.
"""

from __future__ import annotations

import argparse
import time
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
from sklearn.compose import TransformedTargetRegressor
from sklearn.datasets import load_breast_cancer, load_diabetes, load_digits, load_wine
from sklearn.ensemble import (
    HistGradientBoostingClassifier,
    HistGradientBoostingRegressor,
    RandomForestClassifier,
    RandomForestRegressor,
)
from sklearn.exceptions import ConvergenceWarning
from sklearn.kernel_ridge import KernelRidge
from sklearn.linear_model import LogisticRegression, RidgeCV
from sklearn.model_selection import GridSearchCV, train_test_split
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


@dataclass(frozen=True)
class Data:
    """A data set, split once."""

    name: str
    train: tuple[np.ndarray, np.ndarray]
    test: tuple[np.ndarray, np.ndarray]
    classify: bool


@dataclass(frozen=True)
class Result:
    """What one model did on one data set."""

    data: str
    model: str
    score: float
    fit_seconds: float
    predict_seconds: float


def load_data(quick: bool) -> list[Data]:
    loaders = {"wine": load_wine, "diabetes": load_diabetes}
    if not quick:
        loaders = {"digits": load_digits, "breast cancer": load_breast_cancer, **loaders}
    return [split(name, *loader(return_X_y=True), classify=name != "diabetes") for name, loader in loaders.items()]


def split(name: str, x: Any, y: Any, classify: bool) -> Data:
    """Half of the digits, a third of the smaller sets is held out."""
    size = 1 / 2 if name == "digits" else 1 / 3
    parts: Any = train_test_split(x, y, test_size=size, stratify=y if classify else None, random_state=0)
    x_train, x_test, y_train, y_test = parts
    return Data(name, (x_train, y_train), (x_test, y_test), classify)


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


def contenders(data: Data, quick: bool) -> dict[str, Callable[[], Any]]:
    """Functions that return a fitted model."""
    depths = (1, 3) if quick else DEPTHS
    models = classifiers() if data.classify else regressors()
    if quick:
        models = dict(list(models.items())[:1])
    fits: dict[str, Callable[[], Any]] = {
        "NTK (this library)": lambda: neural_kernel(data, "ntk", depths),
        "NNGP (this library)": lambda: neural_kernel(data, "nngp", depths),
    }
    return fits | {name: lambda model=model: model.fit(*data.train) for name, model in models.items()}


def measure(data: Data, name: str, fit: Callable[[], Any]) -> Result:
    start = time.perf_counter()
    model = fit()
    fitted = time.perf_counter()
    score = model.score(*data.test)
    return Result(data.name, name, score, fitted - start, time.perf_counter() - fitted)


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


def draw(path: Path, data: Data, depths: tuple[int, ...], errors: np.ndarray) -> None:
    figure, (matrix, spectrum, error) = plt.subplots(1, 3, figsize=(13, 4), layout="constrained")
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
    figure.savefig(path, dpi=150)
    plt.close(figure)


def show(results: list[Result]) -> None:
    line = "{:<15}{:<22}{:>8}{:>9}{:>11}"
    print(line.format("data", "model", "score", "fit, s", "predict, s"))
    previous = None
    for r in results:
        if r.data != previous:
            print("-" * 65)
        name = "" if r.data == previous else r.data
        print(line.format(name, r.model, f"{r.score:.4f}", f"{r.fit_seconds:.2f}", f"{r.predict_seconds:.3f}"))
        previous = r.data
    print("score: accuracy, or R^2 for diabetes, on held-out rows")


def run(figure: Path, quick: bool) -> list[Result]:
    sets = load_data(quick)
    tasks = [(data, *item) for data in sets for item in contenders(data, quick).items()]
    depths = (1, 3) if quick else (1, 2, 3, 5, 7, 10)
    digits = split("digits", *load_digits(n_class=3 if quick else 10, return_X_y=True), classify=True)
    results, errors = [], []
    with tqdm(total=len(tasks) + len(depths) + 1, unit="step") as bar:
        for data, name, fit in tasks:
            bar.set_description(f"{data.name}: {name}"[:34].ljust(34))
            results.append(measure(data, name, fit))
            bar.update()
        bar.set_description("figure".ljust(34))
        for pair in digits_depth_errors(digits, depths):
            errors.append(pair)
            bar.update()
        draw(figure, digits, depths, np.array(errors))
        bar.update()
    return results


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="a few seconds: fewer data, models and depths")
    parser.add_argument("--figure", type=Path, default=Path("demo.png"))
    options = parser.parse_args()
    start = time.perf_counter()
    warnings.simplefilter("ignore", ConvergenceWarning)  # an MLP that runs out of iterations is scored as it is
    with threadpool_limits(1, "blas"):  # matrices this small gain nothing from more
        results = run(options.figure, options.quick)
    show(results)
    print(f"figure: {options.figure}; {time.perf_counter() - start:.0f} s in all")


if __name__ == "__main__":
    main()
