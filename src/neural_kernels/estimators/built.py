"""A feature map and the sums over rows that solving needs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from tqdm import tqdm

from neural_kernels.estimators.row_table import RowTable
from neural_kernels.features import FeatureMap
from neural_kernels.runtime.types import Array
from neural_kernels.solvers.moments import Moments
from neural_kernels.solvers.system import largest_typical

_BLOCK = 2**24  # numbers in the features of one block of rows
_FEW = 0.2  # of the rows that were kept: fewer are no fair sample


@dataclass(frozen=True)
class Built:
    r"""A feature map, and sums over the rows it was given.

    Parameters
    ----------
    map : FeatureMap
    moments : Moments
    learned : ndarray of uint64
        Keys of the rows that the map's columns are made of.
    largest : float
        The largest :math:`|\phi|^2` that does not lie far outside that of the rows the map was built with.
    squares : float
        Weighted sum of :math:`\min(|\phi|^2, largest)`.
    """

    map: FeatureMap
    moments: Moments
    learned: np.ndarray
    largest: float = 0.0
    squares: float = 0.0

    @classmethod
    def of(cls, rows: RowTable, build: Callable[[Any], FeatureMap], verbose: bool) -> Built:
        """Build a map for rows, and take them in."""
        fitted = build(rows.data)
        moments = Moments(fitted.columns, rows.targets.shape[1])
        empty = cls(fitted, moments, rows.keys[fitted.learned])
        moments, squares = empty._taken(rows, verbose)
        return replace(empty, moments=moments, largest=largest_typical(squares, rows.weights))._counted(squares, rows)

    @classmethod
    def begun(cls, rows: RowTable, build: Callable[[Any], FeatureMap], verbose: bool) -> Built:
        """Build a map for rows, and take in none: the same as `emptied` of all, without their products."""
        fitted = build(rows.data)
        parts = blocks(len(rows), fitted.columns, "features" if verbose else None)
        squares = np.concatenate([squared_norms(features(fitted, rows.data[block])) for block in parts])
        moments = Moments(fitted.columns, rows.targets.shape[1])
        return cls(fitted, moments, rows.keys[fitted.learned], largest_typical(squares, rows.weights))

    def add(self, rows: RowTable, verbose: bool) -> Built:
        """Take in more rows; the moments are new, and those of before as they were."""
        moments, squares = self._taken(rows, verbose)
        return replace(self, moments=moments)._counted(squares, rows)

    def merge(self, other: Built) -> Built:
        """Take in the rows of another one with the same map."""
        moments = self.moments.copy().merge(other.moments)
        return replace(self, moments=moments, squares=self.squares + other.squares)

    def emptied(self) -> Built:
        """The same without rows."""
        return replace(self, moments=Moments(*self.moments.cross.shape), squares=0.0)

    @property
    def scale(self) -> float:
        r"""Robust mean of :math:`|\phi|^2`, the unit of ridges."""
        return self.squares / self.moments.weight

    def with_outputs(self, place: np.ndarray, outputs: int, value: float) -> Built:
        """With targets of more columns, those there are at new places; the others had one value in all rows."""
        return replace(self, moments=self.moments.with_outputs(place, outputs, value))

    def scaled(self, factor: float) -> Built:
        """As if all weights had been so many times as large."""
        return replace(self, moments=self.moments.scaled(factor), squares=factor * self.squares)

    def _taken(self, rows: RowTable, verbose: bool) -> tuple[Moments, Array]:
        """The moments with these rows, and the squares of their features' norms."""
        moments, squares = self.moments.copy(), np.empty(len(rows))
        # Fresh memory costs more than what is written to it: one block's serves all of them.
        room = np.empty((min(len(rows), 2 * block_rows(self.map.columns)), self.map.columns), rows.data.dtype)
        for block in blocks(len(rows), self.map.columns, "features" if verbose else None):
            phi = self.map.fill(rows.data[block], room[: block.stop - block.start])
            scatter = rows.scatter[block].sum(axis=0)
            squares[block] = squared_norms(phi)
            moments.update(phi, rows.targets[block], rows.weights[block], scatter, overwrite=True)
        return moments, squares

    def _counted(self, squares: Array, rows: RowTable) -> Built:
        return replace(self, squares=self.squares + float(rows.weights @ np.minimum(squares, self.largest)))

    def judges(self, rows: RowTable) -> RowTable:
        """Those of the rows whose leave-one-out residuals are computed: none that the map learned from.

        A landmark has a column that hardly any other row has a part in: left out, it says nothing of new rows. Where
        few others are left, all judge.
        """
        new = np.flatnonzero(np.isin(rows.keys, self.learned, invert=True))
        if len(new) == len(rows) or len(new) < _FEW * len(rows):
            return rows
        return rows.take(new)


@dataclass(frozen=True)
class ClassesApart:
    """Sums for each class of a classifier, so that the weights of classes may be chosen when all rows are there.

    Parameters
    ----------
    parts : tuple of Built
        One for each column of the targets, with the same map.
    """

    parts: tuple[Built, ...]

    @classmethod
    def of(cls, rows: RowTable, build: Callable[[Any], FeatureMap], verbose: bool) -> ClassesApart:
        """Build a map for rows, and take them in."""
        empty = Built.of(rows, build, verbose).emptied()
        return cls((empty,) * rows.targets.shape[1]).add(rows, verbose)

    @property
    def map(self) -> FeatureMap:
        """The map of all."""
        return self.parts[0].map

    def add(self, rows: RowTable, verbose: bool) -> ClassesApart:
        """Take in more rows, each among those of its class."""
        pairs = ((part, rows.of_class(k)) for k, part in enumerate(self.parts))
        return ClassesApart(tuple(part.add(some, verbose) if len(some) else part for part, some in pairs))

    def merge(self, other: ClassesApart) -> ClassesApart:
        """Take in the rows of another one with the same map and classes."""
        return ClassesApart(tuple(one.merge(two) for one, two in zip(self.parts, other.parts, strict=True)))

    def emptied(self) -> ClassesApart:
        """The same without rows."""
        return ClassesApart(tuple(part.emptied() for part in self.parts))

    def with_outputs(self, place: np.ndarray, outputs: int, value: float) -> ClassesApart:
        """With more classes, of which no row has come."""
        known = [part.with_outputs(place, outputs, value) for part in self.parts]
        parts = [known[0].emptied()] * outputs
        for k, part in zip(place, known, strict=True):
            parts[k] = part
        return ClassesApart(tuple(parts))

    @property
    def weights(self) -> Array:
        """Of the rows of each class."""
        return np.array([part.moments.weight for part in self.parts])

    def weighted(self, factors: Array) -> Built:
        """All classes together, with factors of their weights."""
        first, *others = (part.scaled(factor) for part, factor in zip(self.parts, factors, strict=True))
        for part in others:
            first = first.merge(part)
        return first


def block_rows(columns: int) -> int:
    """So many that passes over the moments, one a block, cost little beside products."""
    return max(256, min(4096, _BLOCK // columns))


def blocks(n: int, columns: int, title: str | None) -> Any:
    """Slices of n rows, of nearly the same size; a title is that of a progress bar."""
    count = max(1, round(n / block_rows(columns)))
    bounds = [n * k // count for k in range(count + 1)]
    slices = [slice(start, stop) for start, stop in pairwise(bounds)]
    return tqdm(slices, desc=title, unit="block", disable=title is None)


def features(fitted: FeatureMap, rows: Any) -> np.ndarray:
    """The columns that the map fills, (n, columns)."""
    return fitted(rows)[:, : fitted.columns]


def squared_norms(rows: np.ndarray) -> Array:
    """In float64, shape (n,), from norms in the rows' precision."""
    return torch.linalg.vector_norm(torch.from_numpy(rows), dim=1).double().square().numpy()
