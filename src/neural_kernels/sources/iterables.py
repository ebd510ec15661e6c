"""Blocks that a user makes: generators, lists of blocks, loaders of torch."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import torch
from torch import Tensor
from typing_extensions import override

from neural_kernels.sources.base import Block, RowSource

_EXPECTED = "expected X, (X, y) or (X, y, weight), with X of shape (b, d) or (b, channels, ...)"


class IterableRows(RowSource):
    """Blocks of any iterable.

    Parameters
    ----------
    items : iterable
        Of X, (X, y) or (X, y, weight): arrays, tensors, frames, CSR matrices.
    """

    def __init__(self, items: Iterable[Any]) -> None:
        self._items = items
        self.once = isinstance(items, Iterator)
        self.steady = isinstance(items, list | tuple)  # loaders may shuffle, or draw what they give
        self.rows = _rows_of_loader(items)

    @override
    def blocks(self) -> Iterator[Block]:
        return (_as_block(item, number) for number, item in enumerate(self._items))


def is_block(item: Any) -> bool:
    """Whether an object is a tuple of arrays, the first of which is a batch."""
    return isinstance(item, tuple | list) and 1 <= len(item) <= 3 and len(getattr(item[0], "shape", ())) >= 2


def _as_block(item: Any, number: int) -> Block:
    parts = item if is_block(item) else (item,)
    if len(getattr(parts[0], "shape", ())) < 2:
        raise TypeError(
            f"block {number} is {_kind(item)}: {_EXPECTED}. Rows one by one go through "
            "torch.utils.data.DataLoader(dataset, batch_size=4096)"
        )
    return Block(*map(_plain, parts))


def _plain(values: Any) -> Any:
    """Tensors as arrays of NumPy, with their memory where that is possible."""
    if not isinstance(values, Tensor):
        return values
    values = values.detach().cpu()
    return (values.float() if values.dtype == torch.bfloat16 else values).numpy()


def _kind(item: Any) -> str:
    if isinstance(item, tuple | list):
        return f"a {type(item).__name__} of {len(item)}"
    return f"{type(item).__name__} of shape {tuple(item.shape)}" if hasattr(item, "shape") else type(item).__name__


def _rows_of_loader(items: Any) -> int | None:
    """How many rows a loader of torch gives, where that is known."""
    if not isinstance(items, torch.utils.data.DataLoader):
        return None
    try:
        return len(items.dataset)  # pyright: ignore[reportArgumentType]
    except TypeError:  # a stream
        return None
