"""The sets of the comparison on tables: the rule that picks them, and their splits into training and test rows."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from types import ModuleType
from typing import Any

import numpy as np
import pandas as pd

LEAST_ROWS = 50
TEST_ROWS = 2_000
FOLDERS = ("frame", "uci_regression", "uci_classification")  # in the order of the runs
ONLY_THERE = {"gal_kin8nm", "gal_naval-propulsion-plant", "gal_power-plant"}  # other gal_* sets return without gal_


@dataclass(frozen=True)
class Table:
    """A table with a target: numbers, or labels as text."""

    name: str
    task: str
    x: pd.DataFrame
    y: np.ndarray


@dataclass(frozen=True)
class Split:
    """Training and test rows of a table, the same for all methods."""

    table: Table
    number: int
    train: np.ndarray
    test: np.ndarray

    @property
    def seen(self) -> tuple[pd.DataFrame, np.ndarray]:
        return self.table.x.iloc[self.train].reset_index(drop=True), self.table.y[self.train]

    @property
    def held(self) -> tuple[pd.DataFrame, np.ndarray]:
        return self.table.x.iloc[self.test].reset_index(drop=True), self.table.y[self.test]


def read(load: ModuleType, name: str) -> Table:
    """The table of a name such as "frame:ames" or "uci_regression:airfoil"."""
    folder, _, short = name.partition(":")
    if folder not in FOLDERS or not short:
        raise SystemExit(f"no set {name!r}: expected FOLDER:NAME with a folder of {', '.join(FOLDERS)}")
    if folder == "frame":
        x, y, task = load.frame(short)
        return Table(name, task, x, y)
    data = getattr(load, folder)(short)
    task = folder.removeprefix("uci_")
    x = pd.DataFrame(np.asarray(data.x, dtype=np.float64)).add_prefix("x")
    y = np.asarray(data.y).ravel()
    return Table(name, task, x, y.astype(np.float64) if task == "regression" else y.astype(str).astype(object))


def tables(load: ModuleType, tasks: list[str], sets: list[str] | None) -> Iterator[Table]:
    """All tables that fit the rule, regression first, or those that are named."""
    everything = [
        f"{folder}:{short}"
        for folder in FOLDERS
        for short in (load.frame_names() if folder == "frame" else load.names(folder))
        if not short.startswith("gal_") or short in ONLY_THERE
    ]
    found = (read(load, name) for name in sets or everything)
    fitting = [table for table in found if table.task in tasks and (sets or fits(table))]
    yield from sorted(fitting, key=lambda table: tasks.index(table.task))


def fits(table: Table) -> bool:
    """Whether a table has enough rows, and a target that varies."""
    return len(table.y) >= LEAST_ROWS and len(np.unique(table.y)) > 1


def split(table: Table, number: int, rows: int) -> Split:
    """Three quarters to train, `rows` of them at most, and the last quarter to test, `TEST_ROWS` at most.

    Test rows of a class that is not among the training rows are left out: no method can know it.
    """
    order = np.random.default_rng(number).permutation(len(table.y))
    border = len(order) * 3 // 4
    train, test = order[: min(border, rows)], order[border:][:TEST_ROWS]
    if table.task == "classification":
        test = test[np.isin(table.y[test], np.unique(table.y[train]))]
    return Split(table, number, train, test)


def texts(x: pd.DataFrame) -> list[Any]:
    """The columns that are no numbers."""
    return [column for column in x if x[column].dtype.kind not in "iufb"]
