"""Columns of few kinds, and which one the values of Python in a column make."""

from __future__ import annotations

import datetime
from collections.abc import Hashable
from dataclasses import dataclass
from decimal import Decimal
from numbers import Complex, Real
from typing import Any

import numpy as np

DAY = 86_400_000_000  # microseconds
HOUR = DAY / 24


@dataclass(frozen=True)
class Column:
    """The values of a column in one representation.

    Parameters
    ----------
    kind : str
        "number", "boolean", "duration" (days) and "time" (hours of the day): floats, NaN being missing; "date":
        datetime64[us]; "text", "category" (of other values than text), "mixed" and "ordered": objects that are str, or
        None for missing; "empty": nothing but missing values, as floats.
    values : ndarray of shape (n,)
    categories : tuple of str
        Of ordered ones, in their order.
    """

    kind: str
    values: np.ndarray
    categories: tuple[str, ...] = ()

    @property
    def missing(self) -> np.ndarray:
        """Where values are missing."""
        if self.values.dtype == object:
            return self.values == None  # noqa: E711
        return np.isnat(self.values) if self.values.dtype.kind == "M" else np.isnan(self.values)

    def labels(self) -> np.ndarray:
        """The values as text, None for missing."""
        if self.values.dtype == object:
            return self.values
        pairs = zip(self.values.tolist(), self.missing, strict=True)
        return as_objects([None if missing else label(value) for value, missing in pairs])


def numbers(values: Any, kind: str = "number") -> Column:
    """A column of floats, "empty" where all of them are NaN."""
    values = np.asarray(values)
    values = values if values.dtype == np.float32 else values.astype(np.float64)
    return Column("empty" if np.isnan(values).all() else kind, values)


def dates(values: Any) -> Column:
    """A column of moments, "empty" where there are none."""
    values = np.asarray(values).astype("datetime64[us]")
    return empty(len(values)) if np.isnat(values).all() else Column("date", values)


def durations(values: Any) -> Column:
    """A column of timedelta64 as days."""
    values = np.asarray(values).astype("timedelta64[us]")
    return numbers(np.where(np.isnat(values), np.nan, values.astype(np.int64) / DAY), "duration")


def empty(length: int) -> Column:
    """A column of missing values."""
    return Column("empty", np.full(length, np.nan))


def infer(values: np.ndarray) -> Column:
    """The column that objects of Python make; None, NaN and the like are missing.

    Raises
    ------
    TypeError
        Lists, arrays and other values that cannot be compared.
    ValueError
        Complex numbers.
    """
    present = [value for value in values if not _is_missing(value)]
    if not present:
        return empty(len(values))
    types = set(map(type, present))
    for kind, bases in _KINDS.items():
        if all(issubclass(one, bases) for one in types):
            return _MADE[kind]([None if _is_missing(value) else value for value in values])
    if any(issubclass(one, Complex) and not issubclass(one, Real) for one in types):
        raise ValueError("Complex data not supported: give the real and the imaginary part as two columns")
    odd = sorted(one.__name__ for one in types if not issubclass(one, Hashable))
    if odd:
        raise TypeError(f"values of type {', '.join(odd)}: expected numbers, text, dates. Make columns of their parts")
    return Column("mixed", as_objects([None if _is_missing(value) else label(value) for value in values]))


def label(value: Any) -> str:
    """A value as the name of a level; whole numbers as integers, whatever their type."""
    if isinstance(value, float | np.floating) and value.is_integer():
        return str(int(value))
    return str(value)


def as_objects(values: list[Any]) -> np.ndarray:
    """A list as an array of objects, shape (n,), whatever they are."""
    array = np.empty(len(values), dtype=object)
    array[:] = values
    return array


def _is_missing(value: Any) -> bool:
    if value is None or type(value).__name__ == "NAType":  # of pandas, which may not be there
        return True
    return isinstance(value, float | Decimal | np.generic | datetime.datetime) and bool(value != value)


def _numbers(values: list[Any], kind: str = "number") -> Column:
    return numbers(np.array([np.nan if value is None else float(value) for value in values]), kind)


def _moment(value: Any) -> Any:
    if isinstance(value, datetime.datetime):
        return np.datetime64(value.replace(tzinfo=None), "us")  # as clocks there show it
    return np.datetime64("NaT") if value is None else np.datetime64(value, "us")


def _hours(value: Any) -> Any:
    return value.hour + value.minute / 60 + (value.second + value.microsecond / 1e6) / 3600


_KINDS: dict[str, Any] = {
    "boolean": (bool, np.bool_),
    "duration": (datetime.timedelta, np.timedelta64),  # before numbers: NumPy's are integers
    "number": (Real, Decimal, np.bool_),
    "date": (datetime.date, np.datetime64),
    "time": datetime.time,
    "text": str,
}
_MADE: dict[str, Any] = {
    "boolean": lambda values: _numbers(values, "boolean"),
    "duration": lambda values: durations(np.array(values, dtype="timedelta64[us]")),
    "number": _numbers,
    "date": lambda values: dates(np.array([_moment(value) for value in values], dtype="datetime64[us]")),
    "time": lambda values: _numbers([None if value is None else _hours(value) for value in values], "time"),
    "text": lambda values: Column("text", as_objects([None if value is None else str(value) for value in values])),
}
