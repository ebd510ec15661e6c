"""Rows in blocks, one after the other: checked, with a bar, and errors that say which block they are of."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from itertools import chain
from typing import Any, TypeVar

import numpy as np

from neural_kernels.runtime.boundary import precision_of, read_rows, require_finite
from neural_kernels.sources import Block, RowSource

Result = TypeVar("Result")


def over_blocks(source: RowSource, function: Callable[[Block], Result], title: str | None = None) -> Iterator[Result]:
    """What a function makes of each block that has rows.

    Parameters
    ----------
    source : RowSource
    function : callable
    title : str, optional
        Of a progress bar over rows, which knows the time left where the source knows their number.

    Raises
    ------
    ValueError, TypeError, OverflowError
        By the function or the checks here, with the number of the block and its rows.
    """
    from tqdm import tqdm

    precision, start = None, 0
    with tqdm(desc=title, total=source.rows, unit="row", unit_scale=True, disable=title is None) as bar:
        for number, block in enumerate(source.blocks()):
            count = block.X.shape[0]
            if not count:
                continue
            with _named(number, start, count), _names_are_known(source):
                precision = _checked(block, precision, source)
                result = function(block)
            yield result
            start += count
            bar.update(count)
    if not start:
        raise ValueError("X: no rows in any block; expected one at least")


def gathered(parts: Iterable[np.ndarray], rows: int | None) -> np.ndarray:
    """One array of arrays of rows; where their number is known before, they are not held twice."""
    parts = iter(parts)
    first = next(parts)
    if rows is None:
        return np.concatenate([first, *parts])
    whole, start = np.empty((rows, *first.shape[1:]), first.dtype), 0
    for part in chain([first], parts):
        if start + len(part) > rows:  # what was known was wrong
            return np.concatenate([whole[:start], part, *parts])
        whole[start : start + len(part)] = part
        start += len(part)
    return whole[:start]


def _checked(block: Block, precision: Any, source: RowSource) -> Any:
    """Raise for what is no numbers, NaN or of another precision than the blocks before; return that."""
    rows = read_rows(block.X, "X")
    require_finite(rows, "X", columns=source.names)
    own = precision_of(block.X)
    if precision is not None and precision != own:
        raise TypeError(
            f"X becomes {own}, that of the blocks before {precision}: give all of them one dtype, "
            f"such as X.astype(np.{precision})"
        )
    return own


@contextmanager
def _named(number: int, start: int, count: int) -> Iterator[None]:
    """Say in errors of which block they are; the others of their class are not told from it."""
    try:
        yield
    except (ValueError, TypeError, OverflowError) as error:
        kinds = ValueError, TypeError, OverflowError
        kind = next(kind for kind in (type(error), *kinds) if kind in kinds and isinstance(error, kind))
        raise kind(f"block {number} (rows {start:,} to {start + count - 1:,}): {error}") from error


@contextmanager
def _names_are_known(source: RowSource) -> Iterator[None]:
    """Not to be warned of arrays without names of columns, where the source has chosen columns by them."""
    with warnings.catch_warnings():
        if source.names is not None:
            warnings.filterwarnings("ignore", "X does not have valid feature names", UserWarning)
        yield
