"""The boundary: examples in any structure that a module takes, in memory or streamed."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, RandomSampler


@dataclass(frozen=True)
class Place:
    """Where a module computes, and in what precision: what arrays that are no tensors are brought to."""

    device: torch.device
    dtype: torch.dtype


class Source(ABC):
    """Examples, which can be gone through in order as often as needed."""

    length: int
    torch: bool  # whether results are tensors

    @abstractmethod
    def blocks(self, size: int) -> Iterator[tuple[slice, Any]]:
        """Consecutive examples, at most `size` at a time, with their places."""

    @abstractmethod
    def some(self, indices: Sequence[int]) -> Any:
        """A few of the first examples, with repetitions."""

    def signature(self) -> Any:
        """Shapes and precisions of an example's arrays, which a module may depend on."""
        return tuple((tuple(leaf.shape), leaf.dtype) for leaf in _leaves(self.some([0])))

    def differentiable(self) -> bool:
        """Whether gradients with respect to the examples are wanted."""
        return False


class Held(Source):
    """One structure of arrays in memory, the examples along the first axis of each."""

    def __init__(self, tree: Any, name: str, place: Place) -> None:
        self.tree = _convert(tree, name, place)
        self.length = count_of(self.tree, name)
        self.torch = any(isinstance(leaf, Tensor) for leaf in _leaves(tree))

    def blocks(self, size: int) -> Iterator[tuple[slice, Any]]:
        """Slices."""
        yield from pieces(self.tree, slice(0, self.length), size)

    def some(self, indices: Sequence[int]) -> Any:
        """By index."""
        return _map(lambda leaf: leaf[[i % self.length for i in indices]], self.tree)

    def differentiable(self) -> bool:
        """If a tensor requires gradients."""
        return torch.is_grad_enabled() and any(leaf.requires_grad for leaf in _leaves(self.tree))


class Streamed(Source):
    """Batches one after the other: a list of them, or a `DataLoader`."""

    def __init__(self, batches: Iterable[Any], name: str, place: Place) -> None:
        if isinstance(batches, DataLoader) and isinstance(batches.sampler, RandomSampler):
            raise ValueError(
                f"{name}: the DataLoader shuffles: its examples come in another order at every pass, and no entry of "
                "a kernel could be told from another. Pass shuffle=False."
            )
        self._batches, self._name, self._place = batches, name, place
        self.length = sum(count_of(_convert(batch, name, place), name) for batch in batches)
        self.torch = isinstance(batches, DataLoader) or any(
            isinstance(leaf, Tensor) for batch in batches for leaf in _leaves(batch)
        )

    def blocks(self, size: int) -> Iterator[tuple[slice, Any]]:
        """Batches, cut where they are larger."""
        start = 0
        for batch in self._batches:
            held = Held(batch, self._name, self._place)
            for rows, tree in held.blocks(size):
                yield slice(start + rows.start, start + rows.stop), tree
            start += held.length

    def some(self, indices: Sequence[int]) -> Any:
        """Of the first batch."""
        return Held(next(iter(self._batches)), self._name, self._place).some(indices)


def read(x: Any, name: str, place: Place) -> Source:
    """Examples as a user has them.

    Arrays and tensors are passed to the module as they are; a tuple holds its positional arguments, a mapping its
    keyword arguments; a list or a `DataLoader` holds batches.

    Raises
    ------
    TypeError, ValueError
        What was got, what was expected, what to do.
    """
    if isinstance(x, list | DataLoader):
        if isinstance(x, list) and not x:
            raise ValueError(f"{name}: expected a list of batches; got an empty one")
        if isinstance(x, list) and all(isinstance(item, int | float) for item in x):
            raise TypeError(f"{name}: expected an array of examples or a list of batches; got a list of numbers")
        return Streamed(x, name, place)
    return Held(x, name, place)


def pieces(tree: Any, rows: slice, size: int) -> Iterator[tuple[slice, Any]]:
    """The examples `rows`, which `tree` holds, at most `size` at a time."""
    for start in range(rows.start, rows.stop, size):
        part = slice(start, min(start + size, rows.stop))
        yield part, _map(partial(_take, rows=slice(part.start - rows.start, part.stop - rows.start)), tree)


def _take(leaf: Tensor, rows: slice) -> Tensor:
    return leaf[rows]


def _convert(tree: Any, name: str, place: Place) -> Any:
    """Arrays become tensors where the module is and, if not of integers, of its precision; tensors must be there."""
    if isinstance(tree, tuple | list):
        return tuple(_convert(item, name, place) for item in tree)
    if isinstance(tree, Mapping):
        return {key: _convert(item, name, place) for key, item in tree.items()}
    if isinstance(tree, Tensor):
        if tree.device != place.device:
            raise ValueError(f"{name} is on {tree.device}, the module on {place.device}; move one of them")
        return tree
    if tree is None or isinstance(tree, bool | int | float | str):
        return tree
    array = np.asarray(tree)
    if array.dtype.kind not in "biuf":
        raise TypeError(f"{name}: expected numbers; got {type(tree).__name__} of dtype {array.dtype}")
    if not array.dtype.isnative or any(stride < 0 for stride in array.strides):
        array = np.ascontiguousarray(array.astype(array.dtype.newbyteorder("=")))
    tensor = torch.tensor(array, device=place.device)
    return tensor.to(place.dtype) if array.dtype.kind == "f" else tensor


def _leaves(tree: Any) -> Iterator[Any]:
    """Arrays in a structure."""
    if isinstance(tree, tuple | list | Mapping):
        for item in tree.values() if isinstance(tree, Mapping) else tree:
            yield from _leaves(item)
    elif not (tree is None or isinstance(tree, bool | int | float | str)):
        yield tree


def _map(function: Any, tree: Any) -> Any:
    """A structure with every tensor replaced."""
    if isinstance(tree, tuple):
        return tuple(_map(function, item) for item in tree)
    if isinstance(tree, dict):
        return {key: _map(function, item) for key, item in tree.items()}
    return function(tree) if isinstance(tree, Tensor) else tree


def count_of(tree: Any, name: str = "x") -> int:
    """Examples of a structure, one or more."""
    shapes = [tuple(leaf.shape) for leaf in _leaves(tree)]
    if not shapes or any(len(shape) == 0 for shape in shapes):
        raise ValueError(f"{name}: expected arrays with examples along the first axis; got shapes {shapes}")
    if len({shape[0] for shape in shapes}) > 1:
        raise ValueError(f"{name}: all arrays must hold the same number of examples; got shapes {shapes}")
    return shapes[0][0]
