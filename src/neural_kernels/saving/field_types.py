"""Whether values are what the fields of a class are declared to be."""

from __future__ import annotations

import types
from collections.abc import Callable, Hashable
from dataclasses import MISSING, Field, fields
from functools import cache
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

import numpy as np

from neural_kernels.errors import LoadError


def init_fields(kind: Any) -> list[Field[Any]]:
    """The fields that a constructor takes, all of them unless the class says otherwise."""
    return [field for field in fields(kind) if field.init]


def require_fields(kind: Any, held: dict[str, Any]) -> None:
    """Refuse other fields than those of a dataclass, missing ones without a default, and values of other types."""
    known = {field.name: field for field in init_fields(kind)}
    required = {name for name, field in known.items() if field.default is MISSING and field.default_factory is MISSING}
    if not required <= held.keys() <= known.keys():
        raise LoadError(f"{kind.__name__} with {sorted(held)}: this version of neural_kernels has {sorted(known)}")
    for name, value in held.items():
        if not _fits(value, _hints(kind)[name]):
            raise LoadError(f"a damaged file: {kind.__name__} with {name} of type {type(value).__name__}")


@cache
def _hints(kind: type) -> dict[str, Any]:
    return get_type_hints(kind)


def _fits(value: Any, hint: Any) -> bool:
    """Whether a value is of a type, as far as this can be told; constructors look closer."""
    origin, inner = get_origin(hint), get_args(hint)
    if origin in (Union, types.UnionType):
        return any(_fits(value, one) for one in inner)
    if origin is Literal:
        return value in inner
    if origin is tuple:
        if not isinstance(value, tuple):
            return False
        hints = inner[:1] * len(value) if inner[1:] == (...,) else inner
        return len(value) == len(hints) and all(map(_fits, value, hints))
    if origin in (list, dict, np.ndarray):
        return isinstance(value, origin)
    if origin is Callable or hint is Hashable:
        return callable(value) or hint is Hashable
    if hint in (int, float):
        numbers = (int, np.integer) if hint is int else (int, float, np.integer, np.floating)
        return isinstance(value, numbers) and not isinstance(value, bool)
    return isinstance(value, hint) if isinstance(hint, type) and _plain(hint) else True


def _plain(hint: type) -> bool:
    return hint.__module__.partition(".")[0] in ("builtins", "numpy", "torch", "neural_kernels") and not getattr(
        hint, "_is_protocol", False
    )
