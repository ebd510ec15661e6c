"""The boundary: examples in any structure that a module takes go in, an `ExampleSource` of tensors comes out.

A structure is an array, or tuples and mappings of arrays, with the examples along the first axis of each; a list or a
`DataLoader` of such structures is streamed.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader
from typing_extensions import override


@dataclass(frozen=True)
class Place:
    """Where a module computes, and in what precision: NumPy arrays are brought there; tensors must be there already.

    Parameters
    ----------
    device : torch.device
    dtype : torch.dtype
        For floating-point numbers; integers stay what they are.
    """

    device: torch.device
    dtype: torch.dtype


class ExampleSource(ABC):
    """Examples, which can be gone through in order as often as needed.

    Attributes
    ----------
    length : int
        Number of examples.
    torch : bool
        Whether any of them is a tensor: results are then tensors, else NumPy arrays.
    requires_grad : bool
        Whether any of them requires a gradient.
    """

    length: int
    torch: bool
    requires_grad: bool

    @abstractmethod
    def blocks(self, size: int) -> Iterator[tuple[slice, Any]]:
        """Consecutive examples, at most `size` at a time, each part with the slice of rows that it is."""

    @abstractmethod
    def pick(self, indices: Sequence[int]) -> Any:
        """A few examples by index, with repetitions; indices may exceed the number there is, and then start anew."""

    def signature(self) -> Any:
        """Shapes and precisions of an example's arrays, which a module may depend on."""
        return tuple((tuple(leaf.shape), leaf.dtype) for leaf in _leaves(self.pick([0])))

    def differentiable(self) -> bool:
        """Whether gradients with respect to the examples are wanted."""
        return torch.is_grad_enabled() and self.requires_grad


class HeldExamples(ExampleSource):
    """One structure of arrays in memory, the examples along the first axis of each.

    Attributes
    ----------
    tree : structure of Tensors
        What the module takes, its arrays converted.
    """

    def __init__(self, tree: Any, name: str, place: Place) -> None:
        self.tree = _convert(tree, name, place)
        self.length = count_of(self.tree, name)
        self.torch = any(isinstance(leaf, Tensor) for leaf in _leaves(tree))
        self.requires_grad = any(leaf.requires_grad for leaf in _leaves(self.tree))

    @override
    def blocks(self, size: int) -> Iterator[tuple[slice, Any]]:
        yield from pieces(self.tree, slice(0, self.length), size)

    def take(self, rows: slice) -> Any:
        """The examples in `rows`, as a structure."""
        return _map(partial(_take, rows=rows), self.tree)

    def leaves(self) -> list[Tensor]:
        """The arrays of the structure, in order."""
        return list(_leaves(self.tree))

    @override
    def pick(self, indices: Sequence[int]) -> Any:
        return _map(lambda leaf: leaf[[i % self.length for i in indices]], self.tree)


class StreamedExamples(ExampleSource):
    """Batches one after the other: a list of them, or a `DataLoader`."""

    def __init__(self, batches: Iterable[Any], name: str, place: Place) -> None:
        self._batches, self._name, self._place = batches, name, place
        self._first: HeldExamples | None = None
        self.length, self.torch, self.requires_grad = 0, isinstance(batches, DataLoader), False
        for batch in batches:
            held = HeldExamples(batch, name, place)
            self.length += held.length
            self.torch |= held.torch
            self.requires_grad |= held.requires_grad
            self._first = self._first or (held if held.length else None)

    @override
    def blocks(self, size: int) -> Iterator[tuple[slice, Any]]:
        """Batches one after the other, cut where they are larger than `size`.

        Raises
        ------
        ValueError
            The first batch, or the number of examples, is not that of the first pass.
        """
        start = 0
        for batch in self._batches:
            held = HeldExamples(batch, self._name, self._place)
            if start == 0 and held.length and not _equal(held.tree, self._first and self._first.tree):
                raise ValueError(
                    f"{self._name} gives other examples at every pass: no entry of a kernel could be told from "
                    "another. Pass shuffle=False to the DataLoader, and no random augmentation to its dataset."
                )
            for rows, tree in held.blocks(size):
                yield slice(start + rows.start, start + rows.stop), tree
            start += held.length
        if start != self.length:
            raise ValueError(
                f"{self._name} gave {self.length} examples in the first pass and {start} in a later one; expected "
                "batches that can be gone through again, such as a list of them."
            )

    @override
    def pick(self, indices: Sequence[int]) -> Any:
        """A few examples of the first batch that has any."""
        assert self._first is not None
        return self._first.pick(indices)


def read(x: Any, name: str, place: Place) -> ExampleSource:
    """Check examples as a user has them, and make a source of them.

    Arrays and tensors are passed to the module as they are; a tuple holds its positional arguments, a mapping its
    keyword arguments; a list or a `DataLoader` holds batches.

    Raises
    ------
    TypeError, ValueError
        They are none, or cannot be gone through again; says what to do.
    """
    source = _source(x, name, place)
    if source.length == 0:
        raise ValueError(f"{name}: expected one example or more; got none")
    return source


def _source(x: Any, name: str, place: Place) -> ExampleSource:
    if isinstance(x, list | DataLoader):
        if isinstance(x, list) and not x:
            raise ValueError(f"{name}: expected a list of batches; got an empty one")
        if isinstance(x, list) and all(isinstance(item, int | float) for item in x):
            raise TypeError(f"{name}: expected an array of examples or a list of batches; got a list of numbers")
        return StreamedExamples(x, name, place)
    if isinstance(x, Iterator):
        raise TypeError(
            f"{name}: expected examples that can be gone through more than once; got a {type(x).__name__}. Pass a list "
            "of the batches, or a DataLoader."
        )
    return HeldExamples(x, name, place)


def pieces(tree: Any, rows: slice, size: int) -> Iterator[tuple[slice, Any]]:
    """Cut the structure `tree`, which holds the examples `rows`, into parts of at most `size` examples."""
    for start in range(rows.start, rows.stop, size):
        part = slice(start, min(start + size, rows.stop))
        yield part, _map(partial(_take, rows=slice(part.start - rows.start, part.stop - rows.start)), tree)


def _take(leaf: Tensor, rows: slice) -> Tensor:
    return leaf[rows]


def _convert(tree: Any, name: str, place: Place) -> Any:
    """Turn arrays into tensors where the module is and, unless they are integers, of its precision.

    Tensors stay as they are; they must be where the module is.
    """
    if isinstance(tree, tuple | list):
        return _like(tree, [_convert(item, name, place) for item in tree])
    if isinstance(tree, Mapping):
        return {key: _convert(item, name, place) for key, item in tree.items()}
    if isinstance(tree, Tensor):
        if tree.device != place.device:
            raise ValueError(f"{name} is on {tree.device}, the module on {place.device}; move one of them")
        if tree.layout != torch.strided:
            raise TypeError(f"{name}: expected a dense tensor; got layout {tree.layout}. Pass {name}.to_dense()")
        return tree
    if tree is None or isinstance(tree, bool | int | float | str):
        return tree
    tensor = tensor_of(tree, name)
    return tensor.to(place.device, place.dtype if tensor.is_floating_point() else tensor.dtype)


def tensor_of(x: Any, name: str) -> Tensor:
    """Detach a tensor, or copy an array of any layout and byte order."""
    if isinstance(x, Tensor):
        return x.detach()
    array = np.asarray(x)
    if array.dtype.kind not in "biuf":
        raise TypeError(f"{name}: expected numbers; got {type(x).__name__} of dtype {array.dtype}")
    return torch.from_numpy(np.array(array, array.dtype.newbyteorder("="), order="C"))


def _leaves(tree: Any) -> Iterator[Any]:
    """The arrays in a structure, depth first."""
    if isinstance(tree, tuple | list | Mapping):
        for item in tree.values() if isinstance(tree, Mapping) else tree:
            yield from _leaves(item)
    elif not (tree is None or isinstance(tree, bool | int | float | str)):
        yield tree


def _map(function: Any, tree: Any) -> Any:
    """A structure of the same kind, every tensor in it replaced by `function` of it."""
    if isinstance(tree, tuple):
        return _like(tree, [_map(function, item) for item in tree])
    if isinstance(tree, dict):
        return {key: _map(function, item) for key, item in tree.items()}
    return function(tree) if isinstance(tree, Tensor) else tree


def _like(sequence: Any, items: list[Any]) -> tuple[Any, ...]:
    """A tuple, of the same class if it is a named one."""
    return type(sequence)(*items) if hasattr(sequence, "_fields") else tuple(items)


def copy_of(tree: Any) -> Any:
    """Copy the tensors of a structure: a module may write over these."""
    return _map(Tensor.clone, tree)


def detached(tree: Any) -> Any:
    """Detach the tensors of a structure: the same numbers, without gradients."""
    return _map(Tensor.detach, tree)


def dtypes_of(tree: Any) -> set[torch.dtype]:
    """The dtypes of all tensors in a structure."""
    return {leaf.dtype for leaf in _leaves(tree) if isinstance(leaf, Tensor)}


def _equal(one: Any, other: Any) -> bool:
    """Whether two structures hold the same arrays."""
    pairs = zip(_leaves(one), _leaves(other), strict=True)
    return all(a.shape == b.shape and bool(torch.isclose(a, b, 0, 0, equal_nan=True).all()) for a, b in pairs)


def count_of(tree: Any, name: str = "x") -> int:
    """The number of examples that a structure holds.

    Raises
    ------
    ValueError
        It holds no arrays with a first axis, or they differ in its length; `name` is used in the message.
    """
    shapes = [tuple(leaf.shape) for leaf in _leaves(tree)]
    if not shapes or any(len(shape) == 0 for shape in shapes):
        raise ValueError(
            f"{name}: expected arrays with examples along the first axis, or a list of batches of such; got shapes "
            f"{shapes}"
        )
    if len({shape[0] for shape in shapes}) > 1:
        raise ValueError(f"{name}: all arrays must hold the same number of examples; got shapes {shapes}")
    return shapes[0][0]
