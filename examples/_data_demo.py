"""What the demo's models learn from, and how one of them is measured."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np
from sklearn.datasets import load_breast_cancer, load_diabetes, load_digits, load_wine
from sklearn.model_selection import train_test_split

SHIFTS = tuple(product((-1, 0, 1), repeat=2))


@dataclass(frozen=True)
class Data:
    """A data set, split once."""

    name: str
    train: tuple[np.ndarray, np.ndarray]
    test: tuple[np.ndarray, np.ndarray]
    classify: bool


@dataclass(frozen=True)
class Task:
    """A model to be fitted to a data set; `columns` are those of its feature map, if it has one."""

    data: Data
    model: str
    fit: Callable[[], Any]
    columns: int | None = None


@dataclass(frozen=True)
class Result:
    """What one model did on one data set."""

    task: Task
    score: float
    fit_seconds: float
    predict_seconds: float

    @property
    def error(self) -> float:
        """Test error in percent."""
        return 100 * (1 - self.score)


def load_tables(quick: bool) -> list[Data]:
    """The sets on which all models are compared."""
    loaders = {"wine": load_wine, "diabetes": load_diabetes}
    if not quick:
        loaders = {"digits": load_digits, "breast cancer": load_breast_cancer, **loaders}
    return [split(name, *loader(return_X_y=True), classify=name != "diabetes") for name, loader in loaders.items()]


def load_digit_sets(quick: bool) -> list[Data]:
    """Digits for the feature maps, and digits with eight shifted copies of every training image."""
    x, y = load_digits(return_X_y=True)
    digits = split("digits", x.astype(np.float32), y, classify=True)
    return [digits] if quick else [digits, with_shifts(digits)]


def split(name: str, x: Any, y: Any, classify: bool) -> Data:
    """Half of the digits, a third of the smaller sets is held out."""
    size = 1 / 2 if name == "digits" else 1 / 3
    parts: Any = train_test_split(x, y, test_size=size, stratify=y if classify else None, random_state=0)
    x_train, x_test, y_train, y_test = parts
    return Data(name, (x_train, y_train), (x_test, y_test), classify)


def with_shifts(digits: Data) -> Data:
    """Training images shifted by up to one pixel; test images as they are, so that none has a copy in training."""
    x, y = digits.train
    images = np.pad(x.reshape(-1, 8, 8), ((0, 0), (1, 1), (1, 1)))
    copies = [images[:, 1 + i : 9 + i, 1 + j : 9 + j].reshape(x.shape) for i, j in SHIFTS]
    return Data("shifted digits", (np.concatenate(copies), np.tile(y, len(copies))), digits.test, classify=True)


def measure(task: Task) -> Result:
    start = time.perf_counter()
    model = task.fit()
    fitted = time.perf_counter()
    score = model.score(*task.data.test)
    return Result(task, score, fitted - start, time.perf_counter() - fitted)
