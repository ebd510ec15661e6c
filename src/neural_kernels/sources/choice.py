"""Which source of rows an argument of `fit`, `predict` and their like is."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np
from torch.utils.data import DataLoader, Dataset, IterableDataset

from neural_kernels.sources.arrays import ArrayRows
from neural_kernels.sources.base import RowSource
from neural_kernels.sources.iterables import IterableRows, is_block
from neural_kernels.sources.read import is_readable, read
from neural_kernels.sources.request import Request


def as_source(
    X: Any,
    y: Any = None,
    weight: Any = None,
    *,
    numbers: int,
    names: Sequence[str] | None = None,
    n_features: int | None = None,
) -> RowSource | None:
    """The blocks that an argument stands for; None for an array, which is read as a whole.

    Parameters
    ----------
    X : object
        A `RowSource`; paths and tables of pyarrow, of which y and weight name columns; an iterable of blocks, a loader
        or data set of torch among them; a memory map; images in bytes of more than `numbers` numbers.
    y, weight : object
        What was given beside X.
    numbers : int
        Of X in a block, where blocks are cut here.
    names, n_features : sequence of str, int
        What a model was fitted to: which columns are read of files that have more, and how many of those without names.

    Raises
    ------
    TypeError
        y or weight beside blocks, which bring their own, or that are no names beside files.
    """
    if isinstance(X, np.ndarray):
        large = X.ndim > 2 and X.itemsize == 1 and X.size > numbers  # bytes grow to eight times
        lies_on_disk = isinstance(X, np.memmap) and X.ndim > 1 and len(X)
        return ArrayRows(X, y, weight, numbers=numbers) if large or lies_on_disk else None
    if is_readable(X) and not (hasattr(X, "__dataframe__") and _are_values(y)):
        return read(X, Request(_name("y", y), None, _name("sample_weight", weight), None, numbers, n_features, names))
    if isinstance(X, Dataset) and not isinstance(X, IterableDataset):
        X = _loader(X, numbers)
    source = X if isinstance(X, RowSource) else IterableRows(X) if _gives_blocks(X) else None
    if source is not None and not (y is None and weight is None):
        name = "y" if y is not None else "sample_weight"
        raise TypeError(f"{name} beside blocks: they bring their own, as (X, y) or (X, y, weight); leave {name} out")
    return source


def _loader(rows: Any, numbers: int) -> DataLoader[Any]:
    """A data set of torch, whose items are X or (X, y), in blocks."""
    item = rows[0]
    x = np.asarray(item[0] if isinstance(item, tuple | list) else item)
    return DataLoader(rows, batch_size=max(1, numbers // max(1, x.size)))


def _name(what: str, value: Any) -> Any:
    """Names of columns as they are; what else stands beside files is refused."""
    if not _are_values(value) and (what == "y" or not isinstance(value, list | tuple)):
        return value
    raise TypeError(f"{what} beside files or tables: expected the name of its column, got {type(value).__name__}")


def _are_values(y: Any) -> bool:
    """Whether targets are more than the name of a column, or names; a table in memory is then read as a whole."""
    is_names = isinstance(y, list | tuple) and y and all(isinstance(name, str) for name in y)
    return not (y is None or isinstance(y, str) or is_names)


def _gives_blocks(X: Any) -> bool:
    """Whether an object is an iterable of blocks, and no array, frame, nested list or data set."""
    if isinstance(X, Iterator | DataLoader):
        return True
    if isinstance(X, list | tuple):
        return len(X) > 0 and all(isinstance(item, tuple) and is_block(item) for item in X)
    arrays = "shape", "__array__", "__dataframe__", "__dask_graph__", "__getitem__"
    return isinstance(X, Iterable) and not isinstance(X, str) and not any(hasattr(X, name) for name in arrays)
