"""How rivals on tables are tuned: settings drawn at random, judged by a held-out fifth of the training rows.

The first setting of each is its default, or near it. Methods that stop early do so by the same fifth. The best setting
is fitted again to all training rows, with the number of rounds that was best.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Self

import numpy as np
import pandas as pd
from _tables_data import texts
from _tables_results import LEAST
from sklearn.compose import make_column_transformer
from sklearn.impute import SimpleImputer
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler
from typing_extensions import override

Setting = dict[str, Any]


class Numbers:
    """Columns of numbers: standardised, medians for missing cells; texts one-hot, a missing one a level of its own."""

    def fit(self, x: pd.DataFrame) -> Self:
        named = texts(x)
        numeric = make_pipeline(SimpleImputer(strategy="median", keep_empty_features=True), StandardScaler())
        indicators = OneHotEncoder(handle_unknown="ignore", sparse_output=False)
        self._columns = make_column_transformer(
            (numeric, [column for column in x if column not in named]), (indicators, named)
        )
        self._columns.fit(_filled(x))
        return self

    def transform(self, x: pd.DataFrame) -> np.ndarray:
        return np.asarray(self._columns.transform(_filled(x)), dtype=np.float64)


class Strings:
    """The frame itself, texts as texts. Columns are numbered, since not every library takes every name."""

    def fit(self, x: pd.DataFrame) -> Self:
        return self

    def transform(self, x: pd.DataFrame) -> pd.DataFrame:
        return _filled(x).set_axis([f"column{i}" for i in range(x.shape[1])], axis=1)


class Categories(Strings):
    """The frame with categories of pandas for texts."""

    @override
    def fit(self, x: pd.DataFrame) -> Self:
        x = super().transform(x)
        self._levels = {column: sorted(x[column].unique()) for column in texts(x)}
        return self

    @override
    def transform(self, x: pd.DataFrame) -> pd.DataFrame:
        x = super().transform(x)
        return x.assign(**{c: pd.Categorical(x[c], categories=levels) for c, levels in self._levels.items()})


def _filled(x: pd.DataFrame) -> pd.DataFrame:
    """Numbers as float64, texts as such, a missing text as a level of its own."""
    named = texts(x)
    parts = {c: x[c].astype(object).where(x[c].notna(), "missing").astype(str).astype(object) for c in named}
    return pd.DataFrame({c: parts[c] if c in parts else x[c].astype(np.float64) for c in x}, index=x.index)


@dataclass(frozen=True)
class Part:
    """Rows as a method takes them; labels from 0 on, or targets with mean 0 and variance 1."""

    x: Any
    y: np.ndarray


@dataclass(frozen=True)
class Fitted:
    """What a fit gives: the model, and settings that replace those it was made with (rounds, after early stopping)."""

    model: Any
    instead: Setting = field(default_factory=dict)


@dataclass(frozen=True)
class Method:
    """A family of models: what it eats, its settings, and how one is fitted, with held-out rows or without.

    ``fit(task, setting, train, held, seed)``; `held` is None for the last fit.
    """

    view: Callable[[], Any]
    settings: Callable[[str, np.random.Generator, int], Sequence[Setting]]
    fit: Callable[[str, Setting, Part, Part | None, int], Fitted]
    again: bool = True  # whether the best setting is fitted to all training rows


class Tuned:
    """A method with its search, as an estimator of frames."""

    def __init__(self, method: Method, task: str, count: int, seed: int) -> None:
        self.method, self.task, self.count, self.seed = method, task, count, seed

    def fit(self, x: pd.DataFrame, y: np.ndarray) -> Tuned:
        self._view = self.method.view().fit(x)
        whole = Part(self._view.transform(x), self._coded(y))
        train, held = self._halves(whole)
        best = np.inf
        rng = np.random.default_rng(self.seed)
        for setting in self.method.settings(self.task, rng, self.count):
            tried = self.method.fit(self.task, setting, train, held, self.seed)
            loss = self._loss(tried.model, held)
            if loss < best or not hasattr(self, "chosen_"):
                best, self.chosen_, self._model = loss, setting | tried.instead, tried.model
        if self.method.again:
            self._model = self.method.fit(self.task, self.chosen_, whole, None, self.seed).model
        return self

    def _coded(self, y: np.ndarray) -> np.ndarray:
        if self.task == "classification":
            self.classes_, codes = np.unique(y, return_inverse=True)
            return codes
        self._mean, self._std = y.mean(), y.std() or 1.0
        return (y - self._mean) / self._std

    def _halves(self, whole: Part) -> tuple[Part, Part]:
        """Four fifths and one; a row of every class is in the larger part, so that all models know all classes."""
        order = np.random.default_rng(self.seed).permutation(len(whole.y))
        if self.task == "classification":
            first = np.unique(whole.y[order], return_index=True)[1]
            order = np.concatenate([order[first], np.delete(order, first)])
        border = max(len(order) * 4 // 5, len(self.classes_) if self.task == "classification" else 1)
        border = min(border, len(order) - 1)
        return _rows(whole, order[:border]), _rows(whole, order[border:])

    def _loss(self, model: Any, held: Part) -> float:
        """Mean square or log-loss; the share of errors where there are no probabilities while searching."""
        if self.task == "regression":
            loss = np.mean((np.ravel(model.predict(held.x)) - held.y) ** 2)
        elif hasattr(model, "predict_proba"):
            p = padded(model, held.x, len(self.classes_))
            loss = -np.log(p[np.arange(len(held.y)), held.y].clip(LEAST)).mean()
        else:
            loss = np.mean(model.predict(held.x) != held.y)
        return float(loss) if np.isfinite(loss) else np.inf

    def predict(self, x: pd.DataFrame) -> np.ndarray:
        found = np.ravel(self._model.predict(self._view.transform(x)))
        return found * self._std + self._mean

    def predict_proba(self, x: pd.DataFrame) -> np.ndarray:
        return padded(self._model, self._view.transform(x), len(self.classes_))


def _rows(part: Part, rows: np.ndarray) -> Part:
    return Part(part.x.iloc[rows] if isinstance(part.x, pd.DataFrame) else part.x[rows], part.y[rows])


def padded(model: Any, x: Any, classes: int) -> np.ndarray:
    """Probabilities of classes 0, 1, ..., with zeros for those that the model did not see."""
    p = np.zeros((len(x), classes))
    p[:, np.asarray(model.classes_, dtype=int)] = model.predict_proba(x)
    return p
