"""How many columns a map needs for a given error: found on rows that no map has learned from."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass, replace
from math import ceil, inf, sqrt
from typing import Any

import numpy as np
import torch
from torch import Tensor

from neural_kernels.features.distinct import distinct
from neural_kernels.features.fidelity import GramErrors, probe_count
from neural_kernels.features.flipped import build_map
from neural_kernels.features.method import Method, Task, UnsuitableError
from neural_kernels.sketches import derive_seed

WIDEST = 8192  # columns that are tried, unless more are asked for
ERROR = 0.05  # that "auto" stands for
_FIRST = 64  # columns of the first map
_FEWEST = 32  # distinct rows
_GROWTH = 4  # from one map to the next at most: errors often fall faster than they seem to
_CLOSE = 1.1  # ratio of a width that does to one that does not, at which the search ends


@dataclass(frozen=True)
class Width:
    """What a search found.

    Parameters
    ----------
    columns : int
    error : float
        The centred error with so many columns.
    target : float
        The error that was asked for.
    tried : int
        The most columns of a map that was tried.
    rows : int
        Distinct rows that maps could learn from, or 0 where it was not for want of rows that no more were tried.
    """

    columns: int
    error: float
    target: float
    tried: int
    rows: int

    @property
    def reached(self) -> bool:
        """Whether the error is as small as it was to be."""
        return self.error <= self.target

    @property
    def shortfall(self) -> str:
        """What to tell where it is not."""
        cause = (
            f"more columns need more rows: {self.rows:,} distinct ones were there to learn from. Give more, or take "
            "the exact kernel, which is quick for so few"
            if self.rows
            else "give a larger limit, take another method, or accept a larger error"
        )
        return (
            f"a centred kernel error of {self.target:g} was not reached with up to {self.tried:,} columns; the "
            f"smallest is {self.error:.3g}, with {self.columns:,}; {cause}"
        )


def fewest_columns(task: Task, method: Method, sample: Any, target: float) -> Width:
    r"""Search the fewest columns whose centred error on held-out rows is at most `target`.

    The error falls as :math:`m^{-1/2}` or faster, so that a map of few columns tells about how many are needed. Between
    a width that does not do and one that does the search goes on by bisection: within 10 %, each with two maps of its
    own; or to the very column, if the first columns of a map are maps themselves.

    Parameters
    ----------
    task : Task
        Its `n_components` are the most that may be tried.
    method : Method
    sample : Tensor or CSR matrix, shape (n, d) or (n, channels, *positions)
    target : float

    Returns
    -------
    Width
        Of the smallest error, if that is above the target.

    Raises
    ------
    ValueError
        Fewer than 32 distinct rows.
    """
    order = distinct(sample, task.seed)
    if len(order) < _FEWEST:
        raise ValueError(
            f"x: {len(order)} distinct rows are too few to tell how many columns a map needs; expected {_FEWEST} at "
            "least. Give more rows, or a number of columns"
        )
    held_out = min(probe_count(task.positions), len(order) // 4)
    learn = np.sort(order[:-held_out])
    most = method.used_columns(task.n_components, len(learn))
    measure = _HeldOutError(task, method, sample[learn], sample[order[-held_out:]])
    columns, error = _search(measure, target, most, 1.0 if method.nested else _CLOSE)
    return Width(columns, error, target, most, len(learn) if most < task.n_components else 0)


def _search(measure: Callable[[int], float], target: float, most: int, close: float) -> tuple[int, float]:
    """Bracket and bisect, on a logarithmic scale; where nothing reaches the target, what comes nearest to it."""
    errors: dict[int, float] = {}
    low, high, m = 0, 0, min(_FIRST, most)
    while not high:
        errors[m] = measure(m)
        if errors[m] <= target:
            high = m
        elif m == most:
            best = min(errors, key=lambda width: errors[width])
            return best, errors[best]
        else:
            low, expected = m, ceil(m * (errors[m] / target) ** 2)
            m = min(most, max(2 * m, min(expected, _GROWTH * m)))
    while high - low > 1 and high > close * low:
        m = min(max(round(sqrt(max(low, 1) * high)), low + 1), high - 1)
        try:
            errors[m] = measure(m)
        except UnsuitableError:  # too few columns for the method, which others served
            errors[m] = inf
        low, high = (low, m) if errors[m] <= target else (m, high)
    return high, errors[high]


def columns_for(task: Task, method: Method, sample: Any) -> int:
    """How many columns "auto" means; with a warning where they have a larger error than was to be."""
    if sample is None:
        raise ValueError('n_components="auto" is found on data: call fit(x) before the map, or give a number')
    found = fewest_columns(task, method, sample, ERROR)
    if not found.reached:
        warnings.warn(f'n_components="auto": {found.shortfall}', UserWarning, stacklevel=5)
    return found.columns


class _HeldOutError:
    """The centred error on held-out rows, of maps with so many columns that have learned from others.

    Where a map of fewer columns is another draw, it is the larger of two: the search takes the smallest number that
    does, so that of a single draw for each the luckiest would decide.
    """

    def __init__(self, task: Task, method: Method, sample: Any, held_out: Any) -> None:
        self._task, self._method, self._sample, self._held_out = task, method, sample, held_out
        task.values.diag(held_out[:1])  # refuses kernels of more than one number for two examples
        self._exact = task.values(held_out).double()
        self._features = self._exact.new_zeros((len(self._exact), 0))

    def __call__(self, columns: int) -> float:
        if self._method.nested:
            if columns > self._features.shape[1]:
                self._features = self._map(columns, self._task.seed)
            return GramErrors.of(self._exact, self._features[:, :columns]).centred
        seeds = self._task.seed, derive_seed(self._task.seed, "another map")
        return max(GramErrors.of(self._exact, self._map(columns, seed)).centred for seed in seeds)

    def _map(self, columns: int, seed: int) -> Tensor:
        """Features of the held-out rows."""
        built = build_map(self._method, replace(self._task, n_components=columns, seed=seed), self._sample)
        with torch.no_grad():
            return built.to(self._exact.device)(self._held_out)
