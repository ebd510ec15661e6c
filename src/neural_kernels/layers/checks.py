"""Checks of layers' parameters, in one wording."""

from __future__ import annotations

import math
from dataclasses import fields
from numbers import Real
from typing import Any


def number(owner: str, name: str, value: object, low: float = 0.0, high: float = math.inf) -> None:
    """Raise unless `value` is a finite real number with low <= value < high."""
    if isinstance(value, bool) or not isinstance(value, Real):
        raise TypeError(f"{owner}({name}={value!r}): expected a number, got {type(value).__name__}")
    if not (math.isfinite(value) and low <= float(value) < high):
        bound = f"in [{low:g}, {high:g})" if math.isfinite(high) else f"finite and at least {low:g}"
        raise ValueError(f"{owner}({name}={value!r}): expected a number {bound}")


def choice(owner: str, name: str, value: object, options: tuple[str, ...]) -> None:
    """Raise unless `value` is one of the options."""
    if value not in options:
        raise ValueError(f"{owner}({name}={value!r}): expected one of {', '.join(map(repr, options))}")


def layers(owner: str, values: tuple[object, ...]) -> None:
    """Raise unless all values are layers."""
    from neural_kernels.algebra import Layer

    for k, value in enumerate(values):
        if not isinstance(value, Layer):
            hint = f" (write {value.__name__}() with parentheses)" if isinstance(value, type) else ""
            raise TypeError(f"{owner}: argument {k} is {value!r}, not a layer{hint}")


def count(owner: str, name: str, value: object) -> None:
    """Raise unless `value` is a positive integer."""
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise ValueError(f"{owner}({name}={value!r}): expected a positive integer")


def short_repr(self: Any) -> str:
    """The constructor's call with the arguments that differ from their defaults."""
    shown = [f for f in fields(self) if getattr(self, f.name) != f.default]
    return f"{type(self).__name__}({', '.join(f'{f.name}={getattr(self, f.name)!r}' for f in shown)})"
