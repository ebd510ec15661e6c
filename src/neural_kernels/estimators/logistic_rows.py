"""Rows of a logistic regression, read as often as it takes: their features, kept where there is room."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from sklearn.utils import column_or_1d

from neural_kernels.estimators import inputs
from neural_kernels.estimators.blocks import over_blocks
from neural_kernels.estimators.built import Built, blocks, features
from neural_kernels.estimators.class_weight import class_factors
from neural_kernels.estimators.labels import code_labels
from neural_kernels.features import FeatureMap
from neural_kernels.features.distinct import row_hashes
from neural_kernels.runtime.types import Array
from neural_kernels.solvers.system import require_scale
from neural_kernels.sources import Block, RowSource
from neural_kernels.sources.iterables import IterableRows

_FEW = 2**12  # rows, up to which each of them is held out once,
_FOLDS = 5  # in so many folds;
_JUDGES = 2**14  # of more a fifth, but so many at most
_LEAST = 0.2  # of the rows: if fewer are not learned from, the others are held out, too
_CHANGED = 1e-9  # of the sum of weights: more is no rounding


@dataclass(frozen=True)
class Folds:
    """Which rows are held out when alphas are compared: copies of a row together, however rows are cut and ordered.

    Parameters
    ----------
    count : int
        Of folds.
    share : float
        Of the rows that are in any of them.
    seed : int
    learned : ndarray of uint64
        Keys of rows that are in none: the map's columns are made of them.
    """

    count: int
    share: float
    seed: int
    learned: np.ndarray

    @classmethod
    def among(cls, rows: int, seed: int, learned: np.ndarray) -> Folds:
        """Of so many distinct rows."""
        share = min(1 / _FOLDS, _JUDGES / rows)
        count, share = (_FOLDS, 1.0) if rows <= _FEW else (1, share)
        return cls(count, share, seed, learned if rows - len(learned) >= _LEAST * rows else learned[:0])

    def of(self, X: Any) -> np.ndarray:
        """The fold of each row, shape (n,); -1: none."""
        keys = row_hashes(X, self.seed)
        place = keys.astype(np.float64) / 2.0**64 / self.share * self.count
        folds = np.where(place < self.count, place.astype(np.intp), -1)
        folds[np.isin(keys, self.learned)] = -1
        return folds


@dataclass(frozen=True)
class FeatureBlock:
    """Features of some rows.

    Parameters
    ----------
    phi : ndarray of shape (b, m)
    targets : ndarray of shape (b, k)
    weights : ndarray of shape (b,)
        Positive.
    folds : ndarray of shape (b,), int
    """

    phi: np.ndarray
    targets: Array
    weights: Array
    folds: np.ndarray


class LogisticData:
    """Rows as logistic regression takes them: one-hot labels, weights times the factors of the classes.

    Parameters
    ----------
    first : NeuralFeatureClassifier
        That has taken in the rows; what reads them.
    given : tuple
        X, y and weights, as for its `fit`.
    built : Built
        What it has summed.
    class_weight : None, "balanced" or dict

    Attributes
    ----------
    source : RowSource
        Of the rows; of arrays one block.
    scale : float
        The ridge that an alpha of 1 means.
    start : ndarray of shape (m + 1, k)
        Coefficients and intercepts that predict the frequencies of the classes.
    """

    def __init__(self, first: Any, given: tuple[Any, Any, Any], built: Built, class_weight: Any) -> None:
        self._first, self._classes = first, first.classes_
        blocks = first._source(*given)
        if blocks is None:
            X, y, weights = given
            y = column_or_1d(y)  # of a column `first` has warned
            blocks = IterableRows([Block(*first._read_rows(X, y, weights, reset=False))])
            blocks.names = getattr(first, "feature_names_in_", None)
        self.source: RowSource = blocks
        self.scale = require_scale(built.scale, "mean square of the features", inputs.NO_SCALE)
        totals = built.moments.weight * (1 + built.moments.target_mean) / 2
        label = np.arange(len(self._classes))
        factors = class_factors(class_weight, self._classes, label, totals)
        self._factors = dict(zip(self._classes.tolist(), factors.tolist(), strict=True))
        logs = np.log(totals * factors)
        priors = logs[1:] - logs[:1] if len(logs) == 2 else logs - logs.mean()
        self.start = np.zeros((built.map.columns + 1, len(priors)))
        self.start[-1] = priors

    def read(self, block: Block) -> tuple[Any, Array, Array]:
        """Rows, targets of shape (b, k) and weights of a block."""
        X, y, weights = self._first._read_rows(*block, reset=False)
        targets, weights = code_labels(y, self._classes, weights, self._factors)
        return X, (targets + 1) / 2, weights


class FeatureRows:
    """Features of all rows, block by block, again and again.

    Parameters
    ----------
    source : RowSource
    read : callable
        What makes validated rows, targets and weights of a block.
    fitted : FeatureMap
    folds : Folds
    room : float
        Bytes that features may take; where all fit, they are computed once.

    Attributes
    ----------
    passes : int
        Over the rows or, where they are kept, their features.
    """

    def __init__(
        self,
        source: RowSource,
        read: Callable[[Block], tuple[Any, Array, Array]],
        fitted: FeatureMap,
        folds: Folds,
        room: float,
    ) -> None:
        self._source, self._read, self._map, self._folds, self._room = source, read, fitted, folds, room
        self._kept: list[FeatureBlock] | None = None
        self._weight: float | None = None
        self.passes = 0

    def __iter__(self) -> Iterator[FeatureBlock]:
        self.passes += 1
        if self._kept is not None:
            yield from self._kept
            return
        kept: list[FeatureBlock] | None = []
        total, room = 0.0, self._room
        for block in self._computed():
            total += float(block.weights.sum())
            room -= block.phi.nbytes
            kept = None if kept is None or room < 0 else [*kept, block]
            yield block
        self._require_same(total)
        self._kept = kept

    def _computed(self) -> Iterator[FeatureBlock]:
        for parts in over_blocks(self._source, lambda block: self._parts(*self._read(block))):
            yield from parts

    def _parts(self, X: Any, targets: Array, weights: Array) -> Iterator[FeatureBlock]:
        used = np.flatnonzero(weights > 0)
        if len(used) < len(weights):
            X, targets, weights = X[used], targets[used], weights[used]
        for part in blocks(len(weights), self._map.columns, None) if len(weights) else ():
            phi = np.ascontiguousarray(features(self._map, X[part]))
            yield FeatureBlock(phi, targets[part], weights[part], self._folds.of(X[part]))

    def _require_same(self, weight: float) -> None:
        """Other rows than before would make another function of the same coefficients."""
        if self._weight is not None and abs(weight - self._weight) > _CHANGED * self._weight:
            raise ValueError(
                f"the rows changed between two passes over them: their weights sum to {weight:g}, before to "
                f"{self._weight:g}. Give blocks that are the same each time they are read"
            )
        self._weight = weight
