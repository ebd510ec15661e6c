"""numba's compiler as this engine uses it."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from hashlib import sha256
from pathlib import Path
from types import CellType, FunctionType
from typing import Any

import numba

_OPTIONS: dict[str, Any] = {
    "nogil": True,
    "error_model": "numpy",
    # Reassociation lets sums vectorise; "nnan" and "ninf" stay out, so that a comparison with NaN means what it says.
    "fastmath": {"reassoc", "contract", "arcp", "nsz"},
    # Nothing is allocated, so nothing is counted: references to an array's owner, counted atomically at every slice,
    # would cost an operation on a row as much as work on some hundred columns.
    "_nrt": False,
}


def compiled(function: Callable[..., Any]) -> Any:
    """Compile without the interpreter's lock, cached on disk where any folder for it can be written."""
    return _compile(function, _OPTIONS)


def inlined(function: Callable[..., Any]) -> Any:
    """The same for what becomes part of its callers: a call with some arrays costs as much as a hundred columns."""
    return _compile(function, _OPTIONS | {"forceinline": True})


def _compile(function: Callable[..., Any], options: dict[str, Any]) -> Any:
    function = _dated(function)
    try:
        return numba.njit(cache=True, **options)(function)
    except RuntimeError:  # no place to cache: every process compiles anew
        return numba.njit(**options)(function)


def _dated(function: Any) -> Any:
    """The function with a digest of the engine's sources in its closure.

    numba's cache looks at the file of the function and at its closure, not at the files of what it calls: without this
    a change there would leave old code running.
    """
    code = function.__code__
    dated = FunctionType(
        code.replace(co_freevars=("_sources",)), function.__globals__, function.__name__, None, (CellType(_sources()),)
    )
    dated.__doc__, dated.__module__, dated.__qualname__ = function.__doc__, function.__module__, function.__qualname__
    return dated


@cache
def _sources(package: Path = Path(__file__).parents[1]) -> str:
    """A digest of all that compiled functions of the engine may call."""
    files = sorted(file for room in ("runtime", "engine") for file in (package / room).rglob("*.py"))
    return sha256(b"".join(file.read_bytes() for file in files)).hexdigest()
