"""What a first look at rows in parts tells, by which a model of all of them begins: a sample, and labels."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import sparse
from sklearn.base import clone, is_classifier

from neural_kernels.estimators.accumulation import sample_size
from neural_kernels.estimators.class_weight import balance
from neural_kernels.estimators.feature_model import FeatureModel
from neural_kernels.estimators.labels import find_classes, union_of_labels
from neural_kernels.estimators.row_table import RowTable, joined
from neural_kernels.estimators.settings import as_budget
from neural_kernels.features.distinct import row_hashes
from neural_kernels.runtime.types import Array, Shape

_NOT_ALIKE = "the parts have rows of {}: expected the same columns in all of them"


@dataclass(frozen=True)
class Survey:
    """Of parts of the rows: surveys merge into that of all rows, whatever the parts and their order.

    The sample is uniform among the distinct rows, those of the smallest keys, so that methods that learn from data
    learn from it what they would from all rows: `Nystrom` has the same landmarks.

    Parameters
    ----------
    rows : RowTable
        The sample, each row once with the summed weight of its copies; targets are not in it.
    size : int
        Rows at most in it.
    names : tuple of str or None
        Of the columns.
    outputs : tuple of int
        Shape of one target; () for labels.
    labels : ndarray of shape (K,) or None
        All labels of rows of positive weight; None for a regression.
    totals : ndarray of shape (K,)
        Their weights.
    """

    rows: RowTable
    size: int
    names: tuple[str, ...] | None
    outputs: Shape
    labels: np.ndarray | None
    totals: Array

    @classmethod
    def of(cls, model: FeatureModel, X: Any, y: Any, sample_weight: Any) -> Survey:
        """Of one part, read as the model reads it.

        Parameters
        ----------
        model : estimator
            Whose `random_state` is a number; it stays as it is.
        X, y, sample_weight : array-like
            As for its `fit`; None where it takes none.
        """
        reader: Any = clone(model)
        X, y, weights = reader._read_rows(X, y, sample_weight, reset=True)
        example = 1 if sparse.issparse(X) else math.prod(X.shape[1:])
        size = sample_size(example, reader._widest, as_budget(getattr(reader, "memory_budget", None)))
        names = getattr(reader, "feature_names_in_", None)
        labels, totals = _labels(y, weights) if is_classifier(reader) else (None, np.empty(0))
        rows = RowTable.of(X, np.zeros((X.shape[0], 1)), weights, 0)
        keys = row_hashes(rows.data, reader._map_builder()[1], rounded=True)
        table = RowTable(rows.data, keys, rows.targets, rows.weights, rows.scatter).sample(size)
        outputs = () if y is None else np.shape(y)[1:]
        return cls(table, size, None if names is None else tuple(names), outputs, labels, totals)

    def merge(self, other: Survey) -> Survey:
        """Of these rows and others."""
        for mine, theirs in ((self.rows.data.shape[1:], other.rows.data.shape[1:]), (self.names, other.names)):
            if mine != theirs:
                raise ValueError(_NOT_ALIKE.format(f"{mine} and of {theirs}"))
        if self.outputs != other.outputs:
            raise ValueError(f"the parts have targets of shapes {self.outputs} and {other.outputs}")
        labels, totals = self.labels, self.totals
        if self.labels is not None and other.labels is not None:
            labels = union_of_labels(self.labels, other.labels)
            totals = np.zeros(len(labels))
            totals[np.searchsorted(labels, self.labels)] += self.totals
            totals[np.searchsorted(labels, other.labels)] += other.totals
        rows = joined((self.rows, other.rows)).sample(self.size)
        return Survey(rows, self.size, self.names, self.outputs, labels, totals)

    def begin(self, model: Any) -> Any:
        """A model with the map of the sample that has seen no rows, for the rows of any part.

        Class weights that are to be balanced are fixed: all labels are known.
        """
        if not len(self.rows):
            raise ValueError("no rows, or none of a sample_weight above zero: expected one at least")
        rows = self.rows.take(np.argsort(self.rows.keys))  # for methods that look at some rows by their place
        model, n = clone(model), len(rows)
        if not hasattr(model, "partial_fit"):
            return self._named(model.fit(rows.data))
        if self.labels is None:
            targets = np.zeros((n, *self.outputs))
        else:
            classes = find_classes(self.labels)
            targets = np.resize(classes, n)  # which label a row has does not matter to the map
            if isinstance(model.class_weight, str) and model.class_weight == "balanced":
                model.class_weight = dict(zip(classes.tolist(), balance(self.totals).tolist(), strict=True))
        model.partial_fit(rows.data, targets, sample_weight=rows.weights)
        return self._named(model).empty_copy()

    def _named(self, model: Any) -> Any:
        if self.names is not None:
            model.feature_names_in_ = np.array(self.names, dtype=object)
        return model


def _labels(y: np.ndarray, weights: Array) -> tuple[np.ndarray, Array]:
    labels, place = np.unique(y[weights > 0], return_inverse=True)
    return labels, np.bincount(place, weights[weights > 0], len(labels)).astype(np.float64)


def columns_of(model: Any) -> int:
    """How many columns the map of a model has that may have seen no rows."""
    return model._accumulation.built.map.columns
