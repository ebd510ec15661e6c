"""Columns of Arrow's tables as arrays of numbers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from neural_kernels.sources.base import Block
from neural_kernels.sources.files import ColumnError
from neural_kernels.sources.request import Request


@dataclass(frozen=True)
class ArrowColumns:
    """Which columns of a table are X, targets and weights.

    Parameters
    ----------
    X : tuple of str
    targets : tuple of str
        One alone makes y of shape (b,), if it was named as such.
    single : bool
    weight : str or None
    dtype : numpy.dtype
        Of X: float32 if all of its columns are of that precision or half of it, else float64.
    """

    X: tuple[str, ...]
    targets: tuple[str, ...]
    single: bool
    weight: str | None
    dtype: np.dtype

    @classmethod
    def of(cls, request: Request, schema: Any) -> ArrowColumns:
        """Find the columns in a schema.

        Raises
        ------
        ColumnError
            One is missing, or holds no numbers.
        """
        import pyarrow as pa

        beside = (*request.targets, *([] if request.weight is None else [request.weight]))
        X = request.wanted or tuple(name for name in schema.names if name not in beside)
        _require_columns((*X, *beside), schema.names)
        if not X:
            raise ColumnError(f"no columns are left for X beside {list(beside)}")
        for name in X:
            kind = schema.field(name).type
            if not _is_number(kind):
                rest = [other for other in X if _is_number(schema.field(other).type)]
                raise ColumnError(
                    f"column {name!r} holds {kind}, no numbers: encode it as numbers, or leave it out, columns={rest}"
                )
        types = [schema.field(name).type for name in X]
        short = all(pa.types.is_floating(kind) and kind.bit_width <= 32 for kind in types)
        single = request.target is None or isinstance(request.target, str)
        return cls(X, request.targets, single, request.weight, np.dtype(np.float32 if short else np.float64))

    @property
    def names(self) -> tuple[str, ...]:
        """All columns that are read."""
        return tuple(dict.fromkeys((*self.X, *self.targets, *([] if self.weight is None else [self.weight]))))

    def block(self, batch: Any) -> Block:
        """The rows of a record batch."""
        _require_columns(self.names, batch.schema.names)
        X = np.empty((len(self.X), batch.num_rows), self.dtype)
        for row, name in zip(X, self.X, strict=True):
            row[:] = _numbers(name, batch.column(name))
        y = [_values(name, batch.column(name)) for name in self.targets]
        weight = None if self.weight is None else _numbers(self.weight, batch.column(self.weight))
        targets = None if not y else y[0] if self.single else np.stack(y, axis=1)
        return Block(np.ascontiguousarray(X.T), targets, weight)


def _require_columns(names: Sequence[str], there: Sequence[str]) -> None:
    missing = [name for name in names if name not in there]
    if missing:
        some = ", ".join(map(repr, there[:20])) + (", ..." if len(there) > 20 else "")
        raise ColumnError(f"no column {', '.join(map(repr, missing))}; there are {some}")
    twice = [name for name in names if list(there).count(name) > 1]
    if twice:
        raise ColumnError(f"column {twice[0]!r} is there more than once: give each a name of its own")


def _is_number(kind: Any) -> bool:
    import pyarrow as pa

    types = pa.types
    return any(
        check(kind)
        for check in (types.is_integer, types.is_floating, types.is_boolean, types.is_decimal, types.is_null)
    )


def _numbers(name: str, column: Any) -> np.ndarray:
    """A column as numbers, NaN where it has none."""
    import pyarrow as pa

    kind = column.type
    if not _is_number(kind):
        raise ColumnError(f"column {name!r} holds {kind}, no numbers")
    if not (pa.types.is_integer(kind) or pa.types.is_floating(kind)):
        column = column.cast(pa.float64())
    return column.to_numpy(zero_copy_only=False)


def _values(name: str, column: Any) -> np.ndarray:
    """A column of targets or labels: numbers, truth values or texts."""
    import pyarrow as pa

    types = pa.types
    if types.is_dictionary(column.type):
        column = column.dictionary_decode()
    kind = column.type
    if types.is_boolean(kind) and not column.null_count:
        return column.to_numpy(zero_copy_only=False)
    if types.is_string(kind) or types.is_large_string(kind) or types.is_string_view(kind):
        if column.null_count:
            row = int(np.flatnonzero(column.is_null().to_numpy(zero_copy_only=False))[0])
            raise ColumnError(
                f"column {name!r} has no label in row {row} of the block, and in {column.null_count} in all"
            )
        return np.asarray(column.to_pylist(), dtype=str)
    return _numbers(name, column)
