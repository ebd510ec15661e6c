"""Objects from records; by the constructors of this library's classes, which check what they are given."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from dataclasses import is_dataclass
from inspect import Parameter, signature
from pathlib import Path
from typing import Any

import numpy as np
import torch
from scipy import sparse
from sklearn.base import BaseEstimator
from torch import nn

from neural_kernels.errors import LoadError
from neural_kernels.saving import registry
from neural_kernels.saving.field_types import init_fields, require_fields
from neural_kernels.saving.functions import FUNCTIONS
from neural_kernels.saving.state import module_of, with_attributes

_PRECISIONS = ("float16", "bfloat16", "float32", "float64", "int32", "int64", "bool")


class Decoder:
    """Make the objects of a file.

    Parameters
    ----------
    records : object
        As JSON has them; nothing is known of it.
    arrays : mapping of str to ndarray
    named : mapping of str to object
        What the file names and does not hold.
    """

    def __init__(self, records: Any, arrays: Mapping[str, np.ndarray], named: Mapping[str, Any]) -> None:
        self._records, self._arrays, self._named = records, arrays, named
        self._made: list[Any] = []

    def objects(self) -> list[Any]:
        """All of them, in the order of the records."""
        for record in self._records:
            name, held = record
            self._made.append(_object(registry.resolve(name), {key: self.value(item) for key, item in held.items()}))
        return self._made

    def value(self, told: Any) -> Any:
        """What a value of JSON stands for."""
        if told is None or isinstance(told, bool | int | float | str):
            return told
        if isinstance(told, list):
            return [self.value(item) for item in told]
        ((tag, content),) = told.items()
        if tag not in _TAGS:
            raise LoadError(f"a damaged file: a value of an unknown kind, {tag!r}")
        return _TAGS[tag](self, content)

    def _object(self, index: Any) -> Any:
        if type(index) is not int or not 0 <= index < len(self._made):
            raise LoadError(
                f"a damaged file: object {len(self._made)} refers to object {index!r}, which is not before it"
            )
        return self._made[index]

    def _named_object(self, name: Any) -> Any:
        if name not in self._named:
            raise LoadError(
                f"the file was written with an object named {name!r}, which it does not hold. Give it: "
                f"nk.load(path, named={{{name!r}: ...}})"
            )
        return self._named[name]

    def _array(self, name: Any) -> np.ndarray:
        return self._arrays[name]

    def _text(self, content: Any) -> np.ndarray:
        shape, name = content
        codes, count = self._array(name), math.prod(shape)
        if codes.dtype != np.uint32 or (codes > 0x10FFFF).any() or not (count and len(codes) % count == 0):
            raise LoadError("a damaged file: an array of text that is none")
        return codes.view(f"<U{len(codes) // count}").reshape(shape)

    def _labels(self, content: Any) -> np.ndarray:
        shape, items = content
        if math.prod(shape) != len(items):
            raise LoadError(f"a damaged file: {len(items)} labels for an array of shape {shape}")
        array = np.empty(len(items), dtype=object)
        array[:] = [self.value(item) for item in items]
        return array.reshape(shape)

    def _number(self, content: Any) -> np.generic:
        return self.value(content)[()]

    def _complex(self, content: Any) -> np.ndarray:
        parts = self.value(content)
        return parts.view(np.result_type(parts.dtype, np.complex64))

    def _random_state(self, content: Any) -> np.random.RandomState:
        state = np.random.RandomState()
        state.set_state(self.value(content))
        return state

    def _csr(self, content: Any) -> Any:
        is_array, shape, *parts = content
        kind = sparse.csr_array if is_array else sparse.csr_matrix
        rows = kind(tuple(self.value(part) for part in parts), shape=tuple(shape))
        rows.check_format(full_check=True)
        return rows


_TAGS: dict[str, Callable[[Decoder, Any], Any]] = {
    "object": Decoder._object,
    "named": Decoder._named_object,
    "function": lambda self, name: FUNCTIONS[name],
    "tuple": lambda self, items: tuple(self.value(item) for item in items),
    "set": lambda self, items: {self.value(item) for item in items},
    "frozenset": lambda self, items: frozenset(self.value(item) for item in items),
    "dict": lambda self, items: {self.value(key): self.value(item) for key, item in items},
    "array": Decoder._array,
    "transposed": lambda self, name: self._array(name).T,
    "tensor": lambda self, content: torch.from_numpy(self.value(content)),
    "complex": Decoder._complex,
    "text": Decoder._text,
    "labels": Decoder._labels,
    "number": Decoder._number,
    "dtype": lambda self, name: _dtype(name),
    "path": lambda self, name: Path(name),
    "precision": lambda self, name: _precision(name),
    "random_state": Decoder._random_state,
    "csr": Decoder._csr,
}


def _dtype(name: Any) -> np.dtype:
    if not re.fullmatch(r"[<>|][biufc]\d{1,2}", name):  # NumPy would parse much else
        raise LoadError(f"a damaged file: dtype {name!r}")
    return np.dtype(name)


def _precision(name: Any) -> torch.dtype:
    if name not in _PRECISIONS:
        raise LoadError(f"a damaged file: precision {name!r}")
    return getattr(torch, name)


def _object(kind: type, held: dict[str, Any]) -> Any:
    if issubclass(kind, nn.Module):
        return module_of(kind, held)
    if is_dataclass(kind):
        require_fields(kind, held)
        return _constructed(kind, held)
    return _with_attributes(kind, held)


def _constructed(kind: Any, held: dict[str, Any]) -> Any:
    """By the constructor, whose parameters are the fields in their order."""
    positional, keywords = [], {}
    for field, parameter in zip(init_fields(kind), signature(kind).parameters.values(), strict=True):
        if field.name not in held:  # a default, or the constructor's own error
            continue
        if parameter.kind is Parameter.VAR_POSITIONAL:
            positional += held[field.name]
        else:
            keywords[parameter.name] = held[field.name]
    return kind(*positional, **keywords)


def _with_attributes(kind: Any, held: dict[str, Any]) -> Any:
    """An object as it was; its constructor is not run."""
    made = kind.__new__(kind)
    if isinstance(made, BaseEstimator):
        names = set(kind._get_param_names()) - held.keys()
        missing = {name for name in names if not hasattr(kind, name)}  # newer parameters are the class's own, too
        if missing:
            raise LoadError(f"a damaged file: {kind.__name__} without {', '.join(sorted(missing))}")
    return with_attributes(made, held)
