"""A block of rows, and what gives blocks."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

from typing_extensions import override


class Block(NamedTuple):
    """Some rows, one after the other.

    Parameters
    ----------
    X : array or CSR matrix of shape (b, ...)
    y : array of shape (b,) or (b, n_outputs), optional
        Targets or labels.
    weight : array of shape (b,), optional
        Sample weights.
    """

    X: Any
    y: Any = None
    weight: Any = None


class RowSource(ABC):
    """Rows in blocks, of which one at a time is in memory: what `fit`, `predict` and their like read.

    :func:`read_blocks` makes one of files. A subclass of your own has a method `blocks`; looping over a source gives
    the same: ``for X, y, weight in source``.

    Attributes
    ----------
    names : sequence of str or None
        Of the columns of X.
    rows : int or None
        How many there are, where that is known.
    once : bool
        Whether the blocks can be read a single time, as those of a generator.
    steady : bool
        Whether each reading gives the same rows, at little cost beside learning from them. `fit` then reads twice: to
        draw the rows that a map is made of from all of them, and to learn.
    """

    names: Sequence[str] | None = None
    rows: int | None = None
    once: bool = False
    steady: bool = True

    @abstractmethod
    def blocks(self) -> Iterator[Block]:
        """Read from the beginning, block by block."""

    def __iter__(self) -> Iterator[Block]:
        return self.blocks()

    def mapped(self, function: Callable[[Any], Any]) -> RowSource:
        """A source of the same rows, with a function of X in the place of each X."""
        return _MappedRows(self, function)


class _MappedRows(RowSource):
    def __init__(self, source: RowSource, function: Callable[[Any], Any]) -> None:
        self._source, self._function = source, function
        self.rows, self.once, self.steady = source.rows, source.once, source.steady

    @override
    def blocks(self) -> Iterator[Block]:
        some = (block for block in self._source.blocks() if block.X.shape[0])  # a function may refuse no rows
        return (block._replace(X=self._function(block.X)) for block in some)
