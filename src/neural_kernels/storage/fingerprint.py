"""What a computation is of, as text that is the same in every process: so that a later one can tell."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import fields, is_dataclass
from enum import Enum
from functools import partial
from importlib.metadata import PackageNotFoundError, version
from types import BuiltinFunctionType, CellType, CodeType, EllipsisType, FunctionType, MethodType, ModuleType
from typing import Any

import numpy as np
import torch
from torch import Tensor

from neural_kernels.runtime.digests import describe_data

_LIBRARIES = {"torch", "numpy", "math", "builtins", "neural_kernels"}
_PLAIN = int | float | complex | str | bytes | Enum | EllipsisType | torch.dtype | torch.device | None


def differences(old: dict[str, Any], new: dict[str, Any]) -> str:
    """What two identities do not share; values where they are short, and the names alone of hashes."""
    parts = []
    for name in old | new:
        was, now = old.get(name), new.get(name)
        if was != now:
            hashed = name in ("network", "module", "options") or name.endswith("data")
            parts.append(name if hashed else f"{name} (was {was}, is {now})")
    return ", ".join(parts)


def library_version() -> str:
    """The version of this library; of a checkout that was not installed, "unknown"."""
    try:
        return version("neural-kernels")
    except PackageNotFoundError:
        return "unknown"


def describe(value: Any, structures: tuple[type, ...] = ()) -> str:
    """A text that is equal in every process for equal values, and differs where they do.

    Functions count by their code, what they close over and the globals that they use; classes, and what torch or NumPy
    export, by their names. The code is Python's own: another version of it gives another text.

    Parameters
    ----------
    value : object
    structures : tuple of type
        Classes whose objects their attributes tell all of, as they do of dataclasses and of what can be called.

    Raises
    ------
    TypeError
        For a value of which no such text is known.
    """
    return _Description(structures).of(value)


class _Description:
    def __init__(self, structures: tuple[type, ...]) -> None:
        self._structures = structures

    def of(self, value: Any, seen: tuple[int, ...] = ()) -> str:
        """The text; `seen` are the identities of the objects that hold this one, which may hold them in turn."""
        if isinstance(value, _PLAIN):
            return repr(value)
        match value:
            case type() | ModuleType():
                return _name(value)
            case tuple() | list():
                return f"[{', '.join(self.of(item, seen) for item in value)}]"
            case dict():
                return self.of([*value.items()], seen)
            case set() | frozenset():
                return f"set[{', '.join(sorted(self.of(item, seen) for item in value))}]"
            case np.ndarray() | np.generic() | Tensor():
                return describe_data(value)
            case partial():
                return f"partial{self.of((value.func, value.args, value.keywords), seen)}"
            case MethodType():
                return f"method{self.of((value.__self__, value.__func__), seen)}"
            case BuiltinFunctionType():
                return f"{_name(value)} of {self.of(value.__self__, seen)}"
            case FunctionType() if _exported(value):
                return _name(value)
            case CodeType():
                names = value.co_names, value.co_varnames, value.co_freevars, value.co_exceptiontable
                return f"code{self.of((value.co_code, value.co_consts, *names), seen)}"
        held = "recursion" if id(value) in seen else self.of(self._held(value), (*seen, id(value)))
        return f"{_name(type(value))}{held}"

    def _held(self, value: Any) -> Any:
        """What tells an object from others of its class."""
        if isinstance(value, FunctionType):
            used = {name for code in _codes(value.__code__) for name in code.co_names} & value.__globals__.keys()
            held = {name: value.__globals__[name] for name in sorted(used)}
            return value.__code__, value.__defaults__, value.__kwdefaults__, value.__closure__, held
        if isinstance(value, CellType):
            return [value.cell_contents]
        if is_dataclass(value):
            return [(field.name, getattr(value, field.name)) for field in fields(value) if field.compare]
        if hasattr(value, "__dict__") and (callable(value) or isinstance(value, self._structures)):
            return vars(value)
        raise TypeError(
            f"to_disk cannot tell whether {value!r}, which the network uses, will be the same in another run. Write "
            "that activation as a class: a frozen dataclass, a subclass of nk.Activation, with numbers for fields."
        )


def _codes(code: CodeType) -> Iterator[CodeType]:
    yield code
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _codes(constant)


def _exported(function: FunctionType) -> bool:
    """Whether a function of torch, NumPy or this library is what its name stands for there."""
    home = sys.modules.get(function.__module__ or "")
    known = (function.__module__ or "").partition(".")[0] in _LIBRARIES
    return known and getattr(home, function.__name__, None) is function


def _name(value: Any) -> str:
    return f"{getattr(value, '__module__', '')}.{getattr(value, '__qualname__', value.__name__)}"
