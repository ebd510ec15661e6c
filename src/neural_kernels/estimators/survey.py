"""What a first look at rows in parts tells, by which a model of all of them begins: a sample, and labels."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from sklearn.base import clone, is_classifier

from neural_kernels.estimators.class_weight import balance
from neural_kernels.estimators.feature_model import FeatureModel
from neural_kernels.estimators.labels import find_classes, union_of_labels
from neural_kernels.estimators.row_sample import RowSample
from neural_kernels.features import FeatureMap
from neural_kernels.runtime.types import Array, Shape

_NOT_ALIKE = "the parts have rows of {}: expected the same columns in all of them"


@dataclass(frozen=True)
class Survey:
    """Of parts of the rows: surveys merge into that of all rows, whatever the parts and their order.

    Parameters
    ----------
    sample : RowSample
        For the map.
    names : tuple of str or None
        Of the columns.
    outputs : tuple of int
        Shape of one target; () for labels.
    labels : ndarray of shape (K,) or None
        All labels of rows of positive weight; None for a regression.
    totals : ndarray of shape (K,)
        Their weights.
    """

    sample: RowSample
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
        sample = RowSample(reader._rows_kept(X), reader._map_builder()[1])
        sample.add(X, weights)
        names = getattr(reader, "feature_names_in_", None)
        labels, totals = _labels(y, weights) if is_classifier(reader) else (None, np.empty(0))
        outputs = () if y is None else np.shape(y)[1:]
        return cls(sample, None if names is None else tuple(names), outputs, labels, totals)

    def merge(self, other: Survey) -> Survey:
        """Of these rows and others."""
        for mine, theirs in ((self.sample.example, other.sample.example), (self.names, other.names)):
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
        return Survey(self.sample.merge(other.sample), self.names, self.outputs, labels, totals)

    def begin(self, model: Any) -> Any:
        """A model with the map of the sample that has seen no rows, for the rows of any part.

        Class weights that are to be balanced are fixed: all labels are known.
        """
        rows, model = self.sample.rows(), clone(model)
        if not len(rows):
            raise ValueError("no rows, or none of a sample_weight above zero: expected one at least")
        if not hasattr(model, "partial_fit"):
            return self._named(model.fit(rows.data))
        if self.labels is None:
            targets = np.zeros((len(rows), *self.outputs))
        else:
            classes = find_classes(self.labels)
            targets = np.resize(classes, len(rows))  # which label a row has does not matter to the map
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


def map_of(model: Any) -> FeatureMap:
    """The map of a model that has one, and may have seen no rows."""
    return model._accumulation.built.map
