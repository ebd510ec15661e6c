"""Which source of rows an argument of `fit`, `predict` and their like is."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
from torch.utils.data import DataLoader

from neural_kernels.sources.arrays import ArrayRows
from neural_kernels.sources.base import RowSource
from neural_kernels.sources.iterables import IterableRows, is_block

NUMBERS = 2**21  # of X in a block, where the source is cut here: 16 MB in float64


def as_source(X: Any, y: Any = None, weight: Any = None, *, numbers: int = NUMBERS) -> RowSource | None:
    """The blocks that an argument stands for; None for an array, which is read as a whole.

    Parameters
    ----------
    X : object
        A `RowSource`; an iterable of blocks, a loader of torch among them; a memory map, or images in bytes, of more
        than `numbers` numbers.
    y, weight : object
        What was given beside X.
    numbers : int
        Of X in a block, where blocks are cut here.

    Raises
    ------
    TypeError
        y or weight beside blocks, which bring their own.
    """
    if isinstance(X, np.ndarray):
        lies_on_disk = isinstance(X, np.memmap) or (X.ndim > 2 and X.itemsize == 1)  # bytes grow to eight times
        return ArrayRows(X, y, weight, numbers=numbers) if lies_on_disk and X.size > numbers and X.ndim > 1 else None
    source = X if isinstance(X, RowSource) else IterableRows(X) if _gives_blocks(X) else None
    if source is not None and not (y is None and weight is None):
        name = "y" if y is not None else "sample_weight"
        raise TypeError(f"{name} beside blocks: they bring their own, as (X, y) or (X, y, weight); leave {name} out")
    return source


def _gives_blocks(X: Any) -> bool:
    """Whether an object is an iterable of blocks, and no array, frame, nested list or data set."""
    if isinstance(X, Iterator | DataLoader):
        return True
    if isinstance(X, list | tuple):
        return len(X) > 0 and all(isinstance(item, tuple) and is_block(item) for item in X)
    arrays = "shape", "__array__", "__dataframe__", "__dask_graph__", "__getitem__"
    return isinstance(X, Iterable) and not isinstance(X, str) and not any(hasattr(X, name) for name in arrays)
