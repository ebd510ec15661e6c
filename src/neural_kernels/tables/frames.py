"""Frames of pandas and polars, and arrays, as columns of few kinds."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from neural_kernels.runtime.boundary.makes import comes_from
from neural_kernels.tables.values import (
    HOUR,
    Column,
    as_objects,
    dates,
    durations,
    empty,
    infer,
    label,
    numbers,
)


def is_frame(X: Any) -> bool:
    """Whether X is a data frame of pandas or polars, and not one of their columns.

    Raises
    ------
    TypeError
        A dict, a column, a lazy or foreign frame: what to make of it is said.
    """
    kind = type(X).__name__
    if isinstance(X, Mapping) and not comes_from(X, "scipy"):
        kind = "Mapping"
    if kind in _ADVICE:
        raise TypeError(f"X: expected a data frame or an array of rows, got {type(X).__name__}: give {_ADVICE[kind]}")
    return hasattr(X, "columns") and (comes_from(X, "pandas") or comes_from(X, "polars"))


_ADVICE = {
    "Mapping": "pandas.DataFrame(X) or polars.DataFrame(X)",
    "LazyFrame": "X.collect()",
    "Series": "X.to_frame()",
    "Table": "X.to_pandas()",
    "RecordBatch": "X.to_pandas()",
}


def read_columns(X: Any, names: list[str]) -> list[Column]:
    """The columns of a frame or of a checked array, shape (n, d), in their order; names are for errors.

    Raises
    ------
    TypeError, ValueError
        Values that are no numbers, text, dates or categories; infinite numbers.
    """
    if comes_from(X, "pandas"):
        return [_read(name, _of_pandas, X.iloc[:, j]) for j, name in enumerate(names)]
    if comes_from(X, "polars"):
        return [_read(name, _of_polars, series) for name, series in zip(names, X.get_columns(), strict=True)]
    return [_read(name, _of_numpy, X[:, j]) for j, name in enumerate(names)]


def _read(name: str, read: Callable[[Any], Column], series: Any) -> Column:
    try:
        column = read(series)
    except (TypeError, ValueError) as error:
        raise type(error)(f"column {name!r}: {error}") from error
    if column.kind == "number" and np.isinf(column.values).any():
        raise ValueError(
            f"column {name!r} contains infinity: put NaN where the value is missing, or a large number in its place"
        )
    return column


def _of_numpy(values: np.ndarray) -> Column:
    kind = values.dtype.kind
    if kind in "fiu":
        return numbers(values)
    if kind == "b":
        return numbers(values, "boolean")
    if kind == "M":
        return dates(values)
    if kind == "m":
        return durations(values)
    return infer(values.astype(object))


def _of_pandas(series: Any) -> Column:
    import pandas as pd

    dtype, types = series.dtype, pd.api.types
    if isinstance(dtype, pd.CategoricalDtype):
        return _of_categories(series.cat.codes.to_numpy(), list(dtype.categories), bool(dtype.ordered))
    if types.is_complex_dtype(dtype):
        return infer(series.to_numpy(dtype=object))
    if types.is_bool_dtype(dtype) or types.is_numeric_dtype(dtype):
        single = getattr(dtype, "numpy_dtype", dtype) == np.float32
        floats = series.to_numpy(dtype=np.float32 if single else np.float64, na_value=np.nan)
        return numbers(floats, "boolean" if types.is_bool_dtype(dtype) else "number")
    if isinstance(dtype, pd.PeriodDtype):
        return dates(series.dt.start_time.to_numpy())
    if types.is_datetime64_any_dtype(dtype) and not isinstance(dtype, pd.ArrowDtype):
        clock = series.dt.tz_localize(None) if isinstance(dtype, pd.DatetimeTZDtype) else series
        return dates(clock.to_numpy())
    if types.is_timedelta64_dtype(dtype) and not isinstance(dtype, pd.ArrowDtype):
        return durations(series.to_numpy())
    return infer(series.astype(object).where(series.notna(), None).to_numpy())


def _of_categories(codes: np.ndarray, categories: list[Any], ordered: bool) -> Column:
    """Of codes of pandas, -1 for missing."""
    if (codes < 0).all():
        return empty(len(codes))
    labels = [label(category) for category in categories]
    values = as_objects([*labels, None])[codes]
    if ordered:
        return Column("ordered", values, tuple(dict.fromkeys(labels)))
    return Column("text" if all(isinstance(one, str) for one in categories) else "category", values)


def _of_polars(series: Any) -> Column:
    import polars as pl

    dtype = series.dtype
    if dtype == pl.Null:
        return empty(len(series))
    if dtype.is_numeric() or dtype == pl.Boolean:
        floats = series.cast(pl.Float32 if dtype == pl.Float32 else pl.Float64).to_numpy()
        return numbers(floats, "boolean" if dtype == pl.Boolean else "number")
    if dtype == pl.Date or dtype == pl.Datetime:
        clock = series.dt.replace_time_zone(None) if dtype == pl.Datetime else series
        return dates(clock.cast(pl.Datetime("us")).to_numpy())
    if dtype == pl.Duration:
        return durations(series.cast(pl.Duration("us")).to_numpy())
    if dtype == pl.Time:
        return numbers(series.cast(pl.Int64).cast(pl.Float64).to_numpy() / 1e3 / HOUR, "time")
    if dtype in (pl.Categorical, pl.Enum):
        series = series.cast(pl.String)
    return infer(as_objects(series.to_list()))
