"""Which library an array is of, and the names that frames of pandas carry."""

from __future__ import annotations

from typing import Any


def index_of(origin: Any) -> Any:
    """The names of an array's rows in pandas, None where they have none; lists have an `index` of another kind."""
    return getattr(origin, "index", None) if comes_from(origin, "pandas") else None


def columns_of(origin: Any) -> Any:
    """The names of an array's columns in pandas, None where they have none."""
    return getattr(origin, "columns", None) if comes_from(origin, "pandas") else None


def comes_from(x: Any, library: str) -> bool:
    """Whether an object's class, or one that it derives from, is of a library, which is not imported for that."""
    return any(base.__module__.partition(".")[0] == library for base in type(x).__mro__)
