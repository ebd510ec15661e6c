"""The models of benchmarks/features_learning.py: ridge regression on feature maps and on RBF features, and linear ones.

All features meet the same code: `NeuralFeatureClassifier` or `NeuralFeatureRegressor`, with a scikit-learn transformer
in the place of the method for RBF features, so that blocks of rows, the unit of alpha and its choice by exact
leave-one-out are the same. What has a setting that the library's methods lack (gamma, C) gets it by 3-fold
cross-validation of training rows, on time that is counted apart; and so does "tuned", landmarks of a network chosen
by depth and by the variance of its first layer.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from _features import METHODS, Transformer
from scipy import sparse
from sklearn.base import clone, is_classifier
from sklearn.kernel_approximation import Nystroem, RBFSampler
from sklearn.linear_model import LogisticRegression, RidgeCV
from sklearn.model_selection import GridSearchCV, KFold, StratifiedKFold
from sklearn.svm import LinearSVC

import neural_kernels as nk

GAMMAS = (0.03, 0.1, 0.3, 1.0, 3.0, 10.0, 30.0)  # over the mean squared distance of rows
DEPTHS, VARIANCES = (1, 2, 3), (0.5, 1.0, 2.0, 4.0)
C_GRID = (0.01, 0.1, 1.0, 10.0, 100.0)
RBF: dict[str, Callable[[float], Transformer]] = {
    "rbf-sampler": lambda gamma: Transformer(lambda task, m: RBFSampler(gamma=gamma, n_components=task.n_components)),
    "rbf-nystroem": lambda gamma: Transformer(lambda task, m: Nystroem(kernel="rbf", gamma=gamma, n_components=m)),
}
LINEAR: dict[str, Callable[[int], Any]] = {
    "linear-svc": lambda seed: LinearSVC(random_state=seed),
    "logistic": lambda seed: LogisticRegression(max_iter=2000),
}
FEATURES = ("default", "zonal", "anchors", "random", "polynomial")
CLASSIFIERS = (*FEATURES, "tuned", *RBF)
SPARSE_CLASSIFIERS = (*CLASSIFIERS, "adaptive", *LINEAR)
REGRESSORS = ("exact", *FEATURES, *RBF, "linear")


@dataclass(frozen=True)
class Settings:
    """Of all models.

    Parameters
    ----------
    depth : int
    bias_var : float
    columns : int
        Features.
    alphas : tuple of float
        One is fixed; of several, leave-one-out takes the best.
    tuning_rows : int
        So many training rows serve to choose gamma, C or the network.
    seed : int
    """

    depth: int
    bias_var: float
    columns: int
    alphas: tuple[float, ...]
    tuning_rows: int
    seed: int

    @property
    def network(self) -> nk.Layer:
        """The description."""
        return nk.mlp(self.depth, bias_var=self.bias_var)


def model_for(name: str, x: Any, y: np.ndarray, settings: Settings, classify: bool) -> tuple[Any, dict]:
    """An unfitted model, its own settings chosen on these training rows; and what there is to say of the choice."""
    alpha = settings.alphas[0] if len(settings.alphas) == 1 else list(settings.alphas)
    if name == "exact":
        return nk.NeuralKernelRegressor(settings.network, alpha=alpha), {}
    if name == "linear":
        return RidgeCV(np.logspace(-3, 5, 17)), {}
    if name in LINEAR:
        return tuned(LINEAR[name](settings.seed), "C", dict.fromkeys(C_GRID), x, y, settings)
    make = nk.NeuralFeatureClassifier if classify else nk.NeuralFeatureRegressor
    model = make(settings.network, n_components=settings.columns, alpha=alpha, random_state=settings.seed)
    if name == "tuned":
        return tuned(model, "network", networks(x), x, y, settings)
    if name not in RBF:
        return model.set_params(method=None if name == "default" else METHODS[name]()), {}
    gammas = (gamma / mean_squared_distance(x) for gamma in GAMMAS)
    return tuned(model, "method", {gamma: RBF[name](gamma) for gamma in gammas}, x, y, settings)


def tuned(model: Any, parameter: str, grid: dict[Any, Any], x: Any, y: np.ndarray, settings: Settings) -> Any:
    """The model with the best value of a grid: labels, and what they stand for (None: themselves).

    Feature maps are narrower for it, by 8 but not below 512 columns, for the time it takes.
    """
    start = time.perf_counter()
    picked = np.random.default_rng(settings.seed).permutation(x.shape[0])[: settings.tuning_rows]
    narrow: Any = clone(model)
    if hasattr(narrow, "n_components"):
        narrow.set_params(n_components=min(settings.columns, max(512, settings.columns // 8)))
    values = {label: label if value is None else value for label, value in grid.items()}
    folds = (StratifiedKFold if is_classifier(model) else KFold)(3, shuffle=True, random_state=settings.seed)
    fail: Any = "raise"
    search = GridSearchCV(narrow, {parameter: list(values.values())}, cv=folds, refit=False, error_score=fail)
    search.fit(x[picked], y[picked])
    best = list(values)[search.best_index_]
    note = {"chosen": best, "tuning_seconds": time.perf_counter() - start}
    return model.set_params(**{parameter: values[best]}), note


def networks(x: Any) -> dict[str, nk.Layer]:
    """Fully connected ones by depth, and by the variance of a unit of the first layer at a row of mean squared length.

    Their activation is the one that makes the NNGP of one hidden layer the Gaussian kernel.
    """
    unit = x.shape[1] / moments(x)[0]
    return {
        f"depth {depth}, variance {variance}": nk.Sequential(
            nk.Dense(variance * unit), *nk.mlp(depth, nk.RBF(0.5)).layers[1:]
        )
        for depth in DEPTHS
        for variance in VARIANCES
    }


def mean_squared_distance(x: Any) -> float:
    """Of all pairs of rows."""
    square, mean = moments(x)
    return float(2 * (square - mean @ mean))


def moments(x: Any) -> tuple[float, np.ndarray]:
    """Mean squared length of rows, and the mean row."""
    if sparse.issparse(x):
        return float(x.multiply(x).sum() / x.shape[0]), np.asarray(x.mean(0)).ravel()
    return float(np.einsum("ij,ij->", x, x) / len(x)), x.mean(0)
