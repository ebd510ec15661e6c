"""What a predictor is fitted to: numbers, or labels that are coded as numbers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from neural_kernels.estimators.calibration import per_class
from neural_kernels.estimators.linearized.expansion import as_array
from neural_kernels.runtime.types import Array


@dataclass(frozen=True)
class Targets:
    """Numbers for every example.

    Parameters
    ----------
    values : ndarray of shape (n, o)
    shape : tuple of int
        Of one example's prediction, as the user gave it.
    classes : ndarray of shape (K,) or None
        Labels in the order of the columns; two share one column, if there is but one.
    """

    values: Array
    shape: tuple[int, ...]
    classes: np.ndarray | None = None

    @classmethod
    def of(cls, y: Any, n: int, outputs: int | None) -> Targets:
        """Read n numbers, or rows of them, or labels, for a module with so many outputs (None: as many as it takes).

        Raises
        ------
        TypeError, ValueError
            What was got, what was expected, what to do.
        """
        array = as_array(y)
        if array.ndim == 0 or len(array) != n:
            raise ValueError(f"y has shape {array.shape}: expected {n} targets along the first axis, one per example")
        if array.ndim == 1 and array.dtype.kind != "f":
            return cls._of_labels(array, outputs)
        if array.dtype.kind not in "biuf":
            raise TypeError(f"y has dtype {array.dtype}: expected numbers, or labels of shape ({n},)")
        values = array.reshape(n, -1).astype(np.float64)
        if outputs not in (None, values.shape[1]):
            raise ValueError(
                f"y has shape {array.shape}, the module has {outputs} outputs: expected ({n}, {outputs}), or {n} labels"
                " (integers or strings). scale=math.inf leaves the module's outputs out, for any number of targets."
            )
        if bad := int((~np.isfinite(values)).sum()):
            raise ValueError(f"y: {bad} of {values.size} targets are NaN or infinite")
        return cls(values, array.shape[1:])

    @classmethod
    def _of_labels(cls, labels: np.ndarray, outputs: int | None) -> Targets:
        if labels.dtype.kind not in "biuUS" and not all(isinstance(label, str) for label in labels):
            raise TypeError(f"y has dtype {labels.dtype}: expected real numbers, or integers or strings as labels")
        classes = np.unique(labels)
        expected = 2 if outputs == 1 else outputs
        # In torch a label is the number of its output, also where some label does not occur.
        if expected and labels.dtype.kind in "iu" and classes[0] >= 0 and classes[-1] < expected:
            classes = np.arange(expected)
        k = len(classes)
        if k < 2 or expected not in (None, k):
            shown = ", ".join(map(repr, classes[:5].tolist())) + (", ..." if k > 5 else "")
            wanted = "2 or more" if expected is None else f"{expected} (the module has outputs={outputs})"
            raise ValueError(
                f"y holds {k} labels ({shown}): expected {wanted}; of integers those from 0 on, in the order of the "
                "outputs. Real numbers as targets must be of a floating dtype."
            )
        members = labels[:, None] == classes
        values = 2.0 * members[:, 1:] - 1 if outputs == 1 else members - 1 / k
        return cls(values, (), classes)

    @property
    def members(self) -> Array:
        """Labels as 0 and 1 for every class, shape (n, K), read back from the coded values."""
        scores = per_class(self.values)
        return np.eye(scores.shape[1])[scores.argmax(1)]

    def signed(self, outputs: Array) -> Array:
        """Outputs (m, K) or (m, 1) as scores for which 1 stands for the class and -1 for the rest."""
        k = outputs.shape[1]
        return outputs if k == 1 else 2 * (outputs + 1 / k) - 1

    def decode(self, outputs: Array) -> np.ndarray:
        """Predictions of the user's kind from outputs (m, o): numbers, or the labels of the largest."""
        if self.classes is None:
            return outputs.reshape(len(outputs), *self.shape)
        return self.classes[per_class(outputs).argmax(1)]
