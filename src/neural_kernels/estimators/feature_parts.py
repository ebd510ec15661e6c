"""Models of parts of the rows: what was seen, with the map and no rows, and merged."""

from __future__ import annotations

from typing import Any

from sklearn.base import clone
from sklearn.utils.validation import check_is_fitted

from neural_kernels.estimators.accumulation import Accumulation
from neural_kernels.estimators.atomic import atomic
from neural_kernels.estimators.feature_model import FeatureModel

_DELETED = "moments_ was deleted, and with it all that more rows could be added to: call fit"


class PartsModel(FeatureModel):
    """Private base: what was seen of the rows, which adds up, beside a solution that is made from it."""

    _accumulation: Accumulation | None = None
    _solution: Any = None
    _region: Any = None  # where the rows lie

    def _solved(self) -> Any:
        """Solve, if rows were added since that was done."""
        raise NotImplementedError

    def empty_copy(self) -> Any:
        """Make a model with the map of this one that has seen no rows: for a part of them, on any machine.

        Returns
        -------
        model
            To be given its rows by `partial_fit`, and then to `merge`.
        """
        seen, solved = self._seen(), self._solution and self._solution.built
        copy: Any = clone(self)
        for name in ("n_features_in_", "feature_names_in_", "classes_", "_named", "kernel_", "network_", "_single"):
            if name in vars(self):
                setattr(copy, name, vars(self)[name])
        copy._accumulation, copy._region = seen.emptied(solved), self._region
        return copy

    @atomic
    def merge(self, *others: Any) -> Any:
        """Take in the rows that other models have seen, as if they had come to this one.

        Parameters
        ----------
        others : models
            Of the same class, the same columns and targets (or classes). Once one of them has seen so many rows that
            it has a map of its own, all others must have the same, as those made by `empty_copy`.

        Returns
        -------
        model
            This one; nothing is solved yet.
        """
        for other in others:
            if type(other) is not type(self):
                raise TypeError(f"expected models of class {type(self).__name__}, got {other!r}")
            mine, theirs = self._aligned(other)
            one, two = ((seen.shape, seen.kept[0].targets.shape[1:]) for seen in (mine, theirs))
            if one != two:
                raise ValueError(f"the models have seen other data, columns and targets of shapes {one} and {two}")
            self._accumulation, self._solution = mine.merge(theirs), None
            self._region = self._region.joined(other._region)
        return self

    def _aligned(self, other: Any) -> tuple[Accumulation, Accumulation]:
        """What this and another model have seen, with the same targets."""
        return self._seen(), other._seen()

    def _seen(self) -> Accumulation:
        check_is_fitted(self)
        if self._accumulation is None:
            raise ValueError(_DELETED)
        return self._accumulation

    def _started(self) -> bool:
        """Whether rows were seen, to which others can be added."""
        if self._accumulation is None and self._solution is not None:
            raise ValueError(_DELETED)
        return self._accumulation is not None
