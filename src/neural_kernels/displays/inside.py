"""The model inside a pipeline, a search or another estimator, and the rows and names that it sees."""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn.pipeline import Pipeline
from sklearn.utils.validation import check_is_fitted

from neural_kernels.estimators import FeatureLearning

_HOLD = (
    "best_estimator_",
    "estimator_",
    "regressor_",
    "pipeline_",
)  # attributes by which fitted estimators hold another


def find(estimator: Any, *names: str, expected: str) -> Any:
    """The outermost estimator that has one of the attributes.

    Parameters
    ----------
    estimator : estimator
        It, the last step of a pipeline, or what a search or another meta-estimator has fitted.
    *names : str
    expected : str
        For the message where there is none.

    Raises
    ------
    NotFittedError, TypeError
    """
    model = estimator
    while not any(hasattr(model, name) for name in names):
        held = _held(model)
        if held is None:
            _refuse(estimator, model, expected)
        model = held
    return model


def reach(estimator: Any, X: Any, *names: str, expected: str) -> tuple[Any, Any, list[str] | None]:
    """The same, with the rows as it sees them and the names of their columns, which are None where they are not known.

    Through pipelines, models of tables, searches and learnt metrics.
    """
    model, columns = estimator, getattr(X, "columns", None)
    while not any(hasattr(model, name) for name in names):
        if isinstance(model, Pipeline):
            check_is_fitted(model)
            columns = _columns_after(model[:-1])
            X = X if X is None else model[:-1].transform(X)
            model = model[-1]
        elif isinstance(model, FeatureLearning):
            check_is_fitted(model)
            X = X if X is None else model.mapped(X)
            model, columns = model.estimator_, None
        elif hasattr(model, "best_estimator_") or hasattr(model, "pipeline_"):
            model = _held(model)
        else:
            _refuse(estimator, model, expected)
    columns = getattr(model, "feature_names_in_", columns)
    return model, X, None if columns is None else [str(name) for name in columns]


def target(y: Any) -> np.ndarray:
    """Targets or labels, as an array."""
    return y.to_numpy() if hasattr(y, "to_numpy") else np.asarray(y)


def _held(model: Any) -> Any:
    if isinstance(model, Pipeline):
        return model[-1]
    return next((getattr(model, name) for name in _HOLD if hasattr(model, name)), None)


def _columns_after(steps: Pipeline) -> Any:
    try:
        return steps.get_feature_names_out()
    except (AttributeError, ValueError):  # a step that does not say what its columns are
        return None


def _refuse(estimator: Any, model: Any, expected: str) -> None:
    if not hasattr(model, "get_params"):
        raise TypeError(f"got {model!r}; expected {expected}")
    check_is_fitted(model)
    raise TypeError(f"got {estimator!r}; expected {expected}")
