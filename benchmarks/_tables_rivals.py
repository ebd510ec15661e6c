"""The rivals on tables, with the settings among which each is tuned."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import product
from typing import Any

import numpy as np
from _tables_tuning import Categories, Fitted, Method, Numbers, Part, Setting, Strings
from sklearn.ensemble import (
    HistGradientBoostingClassifier,
    HistGradientBoostingRegressor,
    RandomForestClassifier,
    RandomForestRegressor,
)
from sklearn.kernel_ridge import KernelRidge
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.neural_network import MLPClassifier, MLPRegressor
from sklearn.svm import SVC

ROUNDS, PATIENCE = 1000, 40  # of boosting


def drawn(first: Setting, one: Callable[[np.random.Generator], Setting]) -> Any:
    """The default and settings at random."""
    return lambda task, rng, count: [first, *(one(rng) for _ in range(count - 1))]


def log_uniform(rng: np.random.Generator, low: float, high: float) -> float:
    return float(np.exp(rng.uniform(np.log(low), np.log(high))))


def linear_settings(task: str, rng: np.random.Generator, count: int) -> Sequence[Setting]:
    return [{"strength": s} for s in np.logspace(-4, 4, 9).tolist()]


def fit_linear(task: str, setting: Setting, train: Part, held: Part | None, seed: int) -> Fitted:
    """Ridge or logistic regression."""
    strength = setting["strength"]
    if task == "regression":
        return Fitted(Ridge(alpha=strength).fit(train.x, train.y))
    return Fitted(LogisticRegression(C=1 / strength, max_iter=1000).fit(train.x, train.y))


def rbf_settings(task: str, rng: np.random.Generator, count: int) -> Sequence[Setting]:
    strengths = np.logspace(-5, 1, 7) if task == "regression" else np.logspace(-1, 4, 6)
    return [{"gamma": g, "strength": s} for g, s in product((0.01, 0.03, 0.1, 0.3, 1.0, 3.0), strengths.tolist())]


def fit_rbf(task: str, setting: Setting, train: Part, held: Part | None, seed: int) -> Fitted:
    """Kernel ridge, or a support vector machine whose probabilities (Platt) are fitted for the last model only."""
    gamma, strength = setting["gamma"] / train.x.shape[1], setting["strength"]
    if task == "regression":
        return Fitted(KernelRidge(kernel="rbf", gamma=gamma, alpha=strength).fit(train.x, train.y))
    kind: Any = SVC
    return Fitted(kind(gamma=gamma, C=strength, probability=held is None, random_state=seed).fit(train.x, train.y))


def one_forest(rng: np.random.Generator) -> Setting:
    return {"min_samples_leaf": int(rng.choice([1, 2, 3, 5, 10])), "max_features": float(rng.uniform(0.1, 1.0))}


def fit_forest(task: str, setting: Setting, train: Part, held: Part | None, seed: int) -> Fitted:
    kind: Any = RandomForestRegressor if task == "regression" else RandomForestClassifier
    return Fitted(kind(n_estimators=300, random_state=seed, **setting).fit(train.x, train.y))


def one_hist(rng: np.random.Generator) -> Setting:
    return {
        "learning_rate": log_uniform(rng, 0.02, 0.3),
        "max_leaf_nodes": int(rng.choice([4, 8, 16, 31, 63])),
        "min_samples_leaf": int(rng.choice([2, 5, 10, 20])),
        "l2_regularization": log_uniform(rng, 1e-4, 10.0),
        "max_features": float(rng.uniform(0.3, 1.0)),
    }


def fit_hist(task: str, setting: Setting, train: Part, held: Part | None, seed: int) -> Fitted:
    kind: Any = HistGradientBoostingRegressor if task == "regression" else HistGradientBoostingClassifier
    options = {"max_iter": ROUNDS, "random_state": seed, "categorical_features": "from_dtype"} | setting
    if held is None:
        return Fitted(kind(early_stopping=False, **options).fit(train.x, train.y))
    model = kind(early_stopping=True, n_iter_no_change=PATIENCE, **options)
    model.fit(train.x, train.y, X_val=held.x, y_val=held.y)
    best = int(np.argmax(model.validation_score_))  # of the rounds; entry 0 is before the first
    return Fitted(model, {"max_iter": max(best, 1)})


def one_lightgbm(rng: np.random.Generator) -> Setting:
    return {
        "learning_rate": log_uniform(rng, 0.02, 0.3),
        "num_leaves": int(rng.choice([4, 8, 16, 31, 63])),
        "min_child_samples": int(rng.choice([2, 5, 10, 20])),
        "reg_lambda": log_uniform(rng, 1e-4, 10.0),
        "colsample_bytree": float(rng.uniform(0.3, 1.0)),
        "subsample": float(rng.uniform(0.6, 1.0)),
        "subsample_freq": 1,
    }


def fit_lightgbm(task: str, setting: Setting, train: Part, held: Part | None, seed: int) -> Fitted:
    import lightgbm  # pyright: ignore[reportMissingImports]

    kind: Any = lightgbm.LGBMRegressor if task == "regression" else lightgbm.LGBMClassifier
    model = kind(**{"n_estimators": ROUNDS, "random_state": seed, "n_jobs": 1, "verbose": -1} | setting)
    if held is None:
        return Fitted(model.fit(train.x, train.y))
    stop = lightgbm.early_stopping(PATIENCE, verbose=False)
    model.fit(train.x, train.y, eval_set=[(held.x, held.y)], callbacks=[stop])
    return Fitted(model, {"n_estimators": max(int(model.best_iteration_ or ROUNDS), 1)})


def one_catboost(rng: np.random.Generator) -> Setting:
    return {
        "learning_rate": log_uniform(rng, 0.03, 0.3),
        "depth": int(rng.choice([3, 4, 5, 6, 7])),
        "l2_leaf_reg": log_uniform(rng, 0.5, 20.0),
        "random_strength": log_uniform(rng, 0.1, 5.0),
        "bagging_temperature": float(rng.uniform(0.0, 1.0)),
    }


def fit_catboost(task: str, setting: Setting, train: Part, held: Part | None, seed: int) -> Fitted:
    import catboost  # pyright: ignore[reportMissingImports]

    kind: Any = catboost.CatBoostRegressor if task == "regression" else catboost.CatBoostClassifier
    named = [column for column in train.x if train.x[column].dtype.kind not in "iufb"]
    quiet = {"verbose": 0, "allow_writing_files": False, "thread_count": 1, "random_seed": seed, "cat_features": named}
    model = kind(**{"iterations": ROUNDS} | quiet | setting)
    if held is None:
        return Fitted(model.fit(train.x, train.y))
    model.fit(train.x, train.y, eval_set=(held.x, held.y), early_stopping_rounds=PATIENCE)
    return Fitted(model, {"iterations": int(model.tree_count_) or 1})


def one_mlp(rng: np.random.Generator) -> Setting:
    widths = [(64,), (128,), (128, 128), (256, 256), (64, 64, 64)]
    return {
        "hidden_layer_sizes": widths[rng.integers(len(widths))],
        "alpha": log_uniform(rng, 1e-5, 10.0),
        "learning_rate_init": log_uniform(rng, 5e-4, 1e-2),
    }


def fit_mlp(task: str, setting: Setting, train: Part, held: Part | None, seed: int) -> Fitted:
    kind: Any = MLPRegressor if task == "regression" else MLPClassifier
    return Fitted(kind(max_iter=300, random_state=seed, **setting).fit(train.x, train.y))


def one_xrfm(rng: np.random.Generator) -> Setting:
    return {
        "bandwidth": log_uniform(rng, 1.0, 100.0),
        "reg": log_uniform(rng, 1e-6, 1.0),
        "exponent": float(rng.uniform(0.7, 1.4)),
        "diag": bool(rng.integers(2)),
    }


def fit_xrfm(task: str, setting: Setting, train: Part, held: Part | None, seed: int) -> Fitted:
    """XRFM by its own package. It needs validation rows, picks its iteration by them, and is not fitted again."""
    from xrfm import xRFM  # pyright: ignore[reportMissingImports]

    assert held is not None
    setting = dict(setting)
    reg = setting.pop("reg")
    parameters = {
        "model": {"kernel": "l2", "bandwidth_mode": "constant"} | setting,
        "fit": {"reg": reg, "iters": 5, "get_agop_best_model": True, "return_best_params": True, "verbose": False},
    }
    metric = "mse" if task == "regression" else "logloss"
    model = xRFM(rfm_params=parameters, device="cpu", tuning_metric=metric, random_state=seed, verbose=False)
    x, x_held = (part.x.astype(np.float32) for part in (train, held))
    if task == "regression":
        y, y_held = (part.y.astype(np.float32)[:, None] for part in (train, held))
    else:
        y, y_held = train.y, held.y
    model.fit(x, y, x_held, y_held)
    return Fitted(InSinglePrecision(model, int(train.y.max()) + 1 if task != "regression" else 0))


class InSinglePrecision:
    """A fitted xRFM that takes float64, with the names of scikit-learn."""

    def __init__(self, model: Any, classes: int) -> None:
        self._model = model
        if classes:
            self.classes_ = np.arange(classes)

    def predict(self, x: np.ndarray) -> np.ndarray:
        return np.asarray(self._model.predict(x.astype(np.float32)), dtype=np.float64)

    def predict_proba(self, x: np.ndarray) -> np.ndarray:
        if not hasattr(self, "classes_"):
            raise AttributeError("a regressor has no probabilities")
        return np.asarray(self._model.predict_proba(x.astype(np.float32)), dtype=np.float64)


HIST = {"learning_rate": 0.1, "max_leaf_nodes": 31, "min_samples_leaf": 20}
RIVALS = {
    "linear": Method(Numbers, linear_settings, fit_linear),
    "rbf": Method(Numbers, rbf_settings, fit_rbf),
    "forest": Method(Numbers, drawn({}, one_forest), fit_forest),
    "hist": Method(Categories, drawn(HIST, one_hist), fit_hist),
    "lightgbm": Method(Categories, drawn({"learning_rate": 0.1}, one_lightgbm), fit_lightgbm),
    "catboost": Method(Strings, drawn({"learning_rate": 0.05}, one_catboost), fit_catboost),
    "mlp": Method(Numbers, drawn({}, one_mlp), fit_mlp),
    "xrfm": Method(
        Numbers,
        drawn({"bandwidth": 10.0, "reg": 1e-3, "exponent": 1.0, "diag": True}, one_xrfm),
        fit_xrfm,
        again=False,
    ),
}
