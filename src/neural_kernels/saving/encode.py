"""Objects as a list of records, each of which refers to earlier ones alone, and the arrays that they hold."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import is_dataclass
from functools import singledispatchmethod
from pathlib import PurePath
from typing import Any

import numpy as np
import torch
from scipy import sparse
from torch import Tensor, nn

from neural_kernels.errors import SaveError
from neural_kernels.features import FeatureMap
from neural_kernels.saving import functions, registry
from neural_kernels.saving.field_types import init_fields
from neural_kernels.saving.state import attributes, module_state

_NUMBERS = "biuf"  # kinds of numbers that safetensors has


class Encoder:
    """Collect what a file is to hold.

    Parameters
    ----------
    named : mapping of str to object
        Objects that the file names and does not hold.

    Attributes
    ----------
    records : list of [str, dict]
        The class of an object, and what it holds; the last is the one that was asked for.
    arrays : dict of str to ndarray
        In C order.
    """

    def __init__(self, named: Mapping[str, Any]) -> None:
        self._named = {id(value): name for name, value in named.items()}
        self.records: list[Any] = []
        self.arrays: dict[str, np.ndarray] = {}
        self._known: dict[int, tuple[Any, Any]] = {}  # by identity; the object, which must live on, and what tells it
        self._open: list[Any] = []  # objects whose contents are being collected

    def value(self, value: Any) -> Any:
        """What stands for a value, of what JSON has."""
        if id(value) in self._named:
            return {"named": self._named[id(value)]}
        if value is None or type(value) in (bool, int, float, str):
            return value
        if id(value) in self._known:
            return self._known[id(value)][1]
        told = self._tell(value)
        self._known[id(value)] = value, told
        return told

    @singledispatchmethod
    def _tell(self, value: Any) -> Any:
        function = functions.name_of(value) if callable(value) else None
        if function is not None:
            return {"function": function}
        name = registry.name_of(type(value))
        if name is None:
            raise SaveError(_advice(value, self._open))
        self._open.append(value)
        record = [name, {key: self.value(held) for key, held in _contents(value).items()}]
        self._open.pop()
        self.records.append(record)
        return {"object": len(self.records) - 1}

    @_tell.register
    def _(self, value: list) -> Any:
        return [self.value(item) for item in value]

    @_tell.register
    def _(self, value: tuple) -> Any:
        if type(value) not in (tuple, torch.Size):
            raise SaveError(_advice(value, self._open))
        return {"tuple": [self.value(item) for item in value]}

    @_tell.register(set)
    @_tell.register(frozenset)
    def _(self, value: Any) -> Any:
        return {type(value).__name__: [self.value(item) for item in value]}

    @_tell.register
    def _(self, value: dict) -> Any:
        return {"dict": [[self.value(key), self.value(item)] for key, item in value.items()]}

    @_tell.register
    def _(self, value: np.ndarray) -> Any:
        if value.dtype.kind == "O":
            return self._labels(value)
        if value.dtype.kind == "U":
            codes = np.ascontiguousarray(value, value.dtype.newbyteorder("<")).reshape(-1).view("<u4")
            return {"text": [list(value.shape), self._store(codes)]}
        if value.dtype.kind == "c":
            return {"complex": self.value(np.ascontiguousarray(value).view(f"f{value.dtype.itemsize // 2}"))}
        if value.dtype.kind not in _NUMBERS or value.dtype.itemsize > 8:
            raise SaveError(f"an array of dtype {value.dtype}: files hold numbers of up to 64 bits, and text")
        # What a product is rounded to depends on the order of the memory: it is kept.
        transposed = value.ndim > 1 and value.flags.f_contiguous and not value.flags.c_contiguous
        kind = "transposed" if transposed else "array"
        return {kind: self._store(value.T if transposed else value)}

    def _store(self, array: np.ndarray) -> str:
        name = str(len(self.arrays))
        little = array.dtype.newbyteorder("<")
        self.arrays[name] = np.ascontiguousarray(array, little).reshape(array.shape)
        return name

    def _labels(self, value: np.ndarray) -> Any:
        """Objects that are text and numbers."""
        items = [self.value(item) for item in value.ravel().tolist()]
        if not all(item is None or isinstance(item, bool | int | float | str) for item in items):
            raise SaveError("an array of objects other than text and numbers: files hold no such arrays")
        return {"labels": [list(value.shape), items]}

    @_tell.register
    def _(self, value: np.generic) -> Any:
        return {"number": self.value(np.asarray(value))}

    @_tell.register
    def _(self, value: PurePath) -> Any:
        return {"path": str(value)}

    @_tell.register
    def _(self, value: np.dtype) -> Any:
        return {"dtype": value.str}

    @_tell.register
    def _(self, value: torch.dtype) -> Any:
        return {"precision": str(value).removeprefix("torch.")}

    @_tell.register
    def _(self, value: Tensor) -> Any:
        if type(value) is not Tensor or value.layout != torch.strided:
            raise SaveError(_advice(value, self._open))
        return {"tensor": self.value(value.detach().cpu().numpy())}

    @_tell.register
    def _(self, value: np.random.RandomState) -> Any:
        return {"random_state": self.value(value.get_state(legacy=True))}

    def _sparse(self, value: Any) -> Any:
        parts = [self.value(part) for part in (value.data, value.indices, value.indptr)]
        return {"csr": [isinstance(value, sparse.sparray), list(value.shape), *parts]}

    _tell.register(sparse.csr_matrix, _sparse)
    _tell.register(sparse.csr_array, _sparse)


def _contents(value: Any) -> dict[str, Any]:
    """The attributes that tell all of an object."""
    if isinstance(value, nn.Module):
        return module_state(value.without_draws() if isinstance(value, FeatureMap) else value)
    if is_dataclass(value):
        return {field.name: getattr(value, field.name) for field in init_fields(value)}
    return attributes(value)


def _advice(value: Any, holders: list[Any]) -> str:
    where = f", of {type(holders[-1]).__name__}" if holders else ""
    if type(value).__name__ == "LinearizedPredictor":
        return (
            "a LinearizedPredictor is a torch module and its examples: save the module's state_dict by torch, fit anew"
        )
    return (
        f"{value!r}{where}: files hold no code, and so none but this library's own objects and functions of torch. "
        "Give it a name, when saving and again when loading: nk.save(obj, path, named={'mine': it}), "
        "nk.load(path, named={'mine': it})"
    )
