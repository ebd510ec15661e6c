"""Which columns are wanted, and in blocks of what size."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from neural_kernels.checks import require_integer

NUMBERS = 2**21  # of X in a block, where the source is cut here: 16 MB in float64
_MOST = 2**16  # rows of a block, however narrow


@dataclass(frozen=True)
class Request:
    """What is to be read of columns by name.

    Parameters
    ----------
    target : str, sequence of str or None
        Of y; several make y of shape (b, n_outputs).
    columns : sequence of str or None
        Of X, in this order; None: all others.
    weight : str or None
        Of the sample weights.
    rows : int or None
        Of a block; None: as many as hold `numbers` numbers of X.
    numbers : int
    n_features : int or None
        Columns of X where files do not tell them.
    known : sequence of str or None
        Of X, where columns are of tables and `columns` chooses none: those that a model was fitted to.
    """

    target: Any = None
    columns: Any = None
    weight: str | None = None
    rows: int | None = None
    numbers: int = NUMBERS
    n_features: int | None = None
    known: Any = None

    def __post_init__(self) -> None:
        if self.rows is not None:
            require_integer("read_blocks", rows=self.rows)
        if self.n_features is not None:
            require_integer("read_blocks", n_features=self.n_features)
        for name in ("target", "columns"):
            value = getattr(self, name)
            if value is not None and not _are_names(value):
                raise TypeError(f"{name}={value!r}: expected the name of a column, or a list of names")
        if not isinstance(self.weight, str | None):
            raise TypeError(f"weight={self.weight!r}: expected the name of a column, or None")

    @property
    def targets(self) -> tuple[str, ...]:
        """Names of the columns of y, if there are any."""
        return () if self.target is None else _names(self.target)

    @property
    def array(self) -> str | None:
        """The name of X among arrays, if one was given."""
        return None if self.columns is None else _names(self.columns)[0]

    @property
    def wanted(self) -> tuple[str, ...] | None:
        """Names of the columns of X in a table; None for all that are left."""
        chosen = self.known if self.columns is None else self.columns
        return None if chosen is None else _names(chosen)

    def block_rows(self, width: int) -> int:
        """Rows of a block, for so many numbers in each."""
        return self.rows or max(1, min(_MOST, self.numbers // max(1, width)))


def _are_names(value: Any) -> bool:
    if isinstance(value, str):
        return True
    return isinstance(value, Iterable) and len(names := list(value)) > 0 and all(isinstance(n, str) for n in names)


def _names(value: str | Sequence[str]) -> tuple[str, ...]:
    return (value,) if isinstance(value, str) else tuple(value)
