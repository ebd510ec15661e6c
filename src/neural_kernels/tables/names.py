"""Names of columns, in and out."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np


def input_names(estimator: Any, given: Any = None) -> list[str]:
    """The names of an estimator's inputs: those of `fit`, or those that are given, or x0, x1, ..."""
    own = getattr(estimator, "feature_names_in_", None)
    if given is None:
        return list(own) if own is not None else [f"x{j}" for j in range(estimator.n_features_in_)]
    if own is not None and list(given) != list(own):
        raise ValueError("input_features is not equal to feature_names_in_")
    if len(given) != estimator.n_features_in_:
        raise ValueError(
            f"input_features should have length equal to number of features ({estimator.n_features_in_}), got "
            f"{len(given)}"
        )
    return list(given)


def distinct(names: Iterable[str]) -> np.ndarray:
    """Names as an array of objects, one that stands there already with underscores behind it."""
    taken: dict[str, None] = {}
    for name in names:
        while name in taken:
            name += "_"
        taken[name] = None
    return np.array(list(taken), dtype=object)
