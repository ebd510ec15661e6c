"""State of objects with torch tensors that formats which know NumPy alone can hold."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn


@dataclass(frozen=True)
class TensorNumbers:
    """What a tensor of the CPU was."""

    array: np.ndarray


@dataclass(frozen=True)
class Precision:
    """What a torch.dtype was."""

    name: str


class PlainState:
    """Private base: pickles, and what works like them, hold NumPy arrays in place of tensors.

    Tensors that have no such array (on a GPU, with gradients, of 16 bits as NumPy knows them not) stay tensors.
    """

    def __getstate__(self) -> dict[str, Any]:
        return {name: plain(value) for name, value in vars(self).items()}

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(with_tensors(state))


class StoredModule(PlainState, nn.Module):
    """A torch module with such a state."""

    def __setstate__(self, state: dict[str, Any]) -> None:
        nn.Module.__setstate__(self, with_tensors(state))


def plain(value: Any) -> Any:
    """An attribute without tensors and precisions, itself or in a dictionary of buffers."""
    if isinstance(value, dict):
        return type(value)((key, plain(item)) for key, item in value.items())
    if isinstance(value, torch.dtype):
        return Precision(str(value).removeprefix("torch."))
    if isinstance(value, Tensor) and type(value) is Tensor and _has_array(value):
        return TensorNumbers(value.numpy())
    return value


def with_tensors(state: dict[str, Any]) -> dict[str, Any]:
    """The attributes as they were."""
    return {name: _restored(value) for name, value in state.items()}


def _restored(value: Any) -> Any:
    if isinstance(value, dict):
        return type(value)((key, _restored(item)) for key, item in value.items())
    if isinstance(value, Precision):
        return getattr(torch, value.name)
    if isinstance(value, TensorNumbers):
        array = value.array
        return torch.from_numpy(array if array.flags.writeable else array.copy())
    return value


def _has_array(tensor: Tensor) -> bool:
    return (
        tensor.device.type == "cpu"
        and tensor.layout == torch.strided
        and not tensor.requires_grad
        and tensor.dtype != torch.bfloat16
        and not tensor.is_conj()
        and not tensor.is_neg()
    )
