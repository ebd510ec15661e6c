"""Checks of parameters, in one wording: ``Dense(weight_var=-1.0): expected a finite number, at least 0``.

A value of the wrong type raises `TypeError`, one of the right type that does not serve `ValueError`. NumPy's numbers
are numbers and its integers integers; booleans are neither. ``owner`` is the object whose parameters they are, or its
name.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from numbers import Integral, Real


def require_finite(owner: object, /, **parameters: object) -> None:
    """Raise unless every parameter is a finite real number.

    Raises
    ------
    TypeError
        Where one is not a real number.
    ValueError
        Where one is NaN or infinite.
    """
    for name, value in parameters.items():
        _require_real(owner, name, value, math.isfinite, "a finite number")


def require_positive(owner: object, /, **parameters: object) -> None:
    """Raise unless every parameter is a positive finite number.

    Raises
    ------
    TypeError
        Where one is not a real number.
    ValueError
        Where one is NaN, infinite or not positive.
    """
    for name, value in parameters.items():
        _require_real(owner, name, value, lambda x: 0 < x < math.inf, "a positive finite number")


def require_number(owner: object, low: float = 0.0, high: float = math.inf, /, **parameters: object) -> None:
    """Raise unless every parameter is a finite number with low <= value < high.

    Raises
    ------
    TypeError
        Where one is not a real number.
    ValueError
        Where one is NaN, infinite or outside.
    """
    what = f"a number in [{low:g}, {high:g})" if math.isfinite(high) else f"a finite number, at least {low:g}"
    for name, value in parameters.items():
        _require_real(owner, name, value, lambda x: low <= x < high, what)


def require_integer(owner: object, least: int = 1, /, **parameters: object) -> None:
    """Raise unless every parameter is an integer of at least ``least``.

    Raises
    ------
    TypeError
        Where one is not an integer; a float of integral value is none.
    ValueError
        Where one is too small.
    """
    what = "a positive integer" if least == 1 else f"an integer, at least {least}"
    for name, value in parameters.items():
        if isinstance(value, bool) or not isinstance(value, Integral):
            raise TypeError(f"{_call(owner, name, value)}: expected {what}, got {type(value).__name__}")
        if value < least:
            raise ValueError(f"{_call(owner, name, value)}: expected {what}")


def require_choice(owner: object, options: tuple[str, ...], /, **parameters: object) -> None:
    """Raise `ValueError` unless every parameter is one of the options."""
    for name, value in parameters.items():
        if value not in options:
            raise ValueError(f"{_call(owner, name, value)}: expected one of {', '.join(map(repr, options))}")


def require_budget(memory_budget: object) -> None:
    """Raise `ValueError` unless a budget is None or a positive number of bytes."""
    if memory_budget is None:
        return
    if isinstance(memory_budget, bool) or not isinstance(memory_budget, Real) or not float(memory_budget) > 0:
        raise ValueError(f"memory_budget={memory_budget!r}: expected a positive number of bytes, or None")


def _require_real(owner: object, name: str, value: object, holds: Callable[[float], bool], what: str) -> None:
    if isinstance(value, bool) or not isinstance(value, Real):
        raise TypeError(f"{_call(owner, name, value)}: expected {what}, got {type(value).__name__}")
    if not holds(float(value)):
        raise ValueError(f"{_call(owner, name, value)}: expected {what}")


def _call(owner: object, name: str, value: object) -> str:
    return f"{owner if isinstance(owner, str) else type(owner).__name__}({name}={value!r})"
