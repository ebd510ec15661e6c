"""Tables of Arrow, and the files that it reads: Parquet, Feather, CSV."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
from typing_extensions import override

from neural_kernels.sources.arrow_columns import ArrowColumns
from neural_kernels.sources.base import Block, RowSource
from neural_kernels.sources.files import ColumnError, FileFormat, reading
from neural_kernels.sources.request import Request

_TEXT = 2**23  # bytes of a CSV file that are parsed at a time
_BUFFER = 2**16  # bytes of a column of Parquet; without, all of its group of rows


def import_arrow() -> ModuleType:
    """The package, or advice where it is not installed."""
    try:
        import pyarrow
    except ImportError as error:
        raise ImportError(
            "Parquet, Feather and CSV are read by pyarrow, which is not installed: pip install 'neural-kernels[arrow]'"
        ) from error
    return pyarrow


class ArrowRows(RowSource):
    """The rows of a table, record batch, data set or reader of Arrow.

    Parameters
    ----------
    data : pyarrow.Table, RecordBatch, RecordBatchReader or dataset.Dataset
    request : Request
    """

    def __init__(self, data: Any, request: Request) -> None:
        if not hasattr(data, "schema"):
            raise TypeError(f"pyarrow's {type(data).__name__}: expected a table, record batch, reader or data set")
        self._data = data
        self._columns = ArrowColumns.of(request, data.schema)
        self._rows = request.block_rows(len(self._columns.X))
        self.names, self.once = self._columns.X, hasattr(data, "read_next_batch")
        self.steady = not self.once
        self.rows = getattr(data, "num_rows", None)
        if self.rows is None and hasattr(data, "count_rows"):
            self.rows = data.count_rows()

    @override
    def blocks(self) -> Iterator[Block]:
        return (self._columns.block(part) for batch in self._batches() for part in _cut(batch, self._rows))

    def _batches(self) -> Any:
        names = list(self._columns.names)
        if hasattr(self._data, "scanner"):  # a data set: no more in advance than need be
            ahead = {"batch_readahead": 1, "fragment_readahead": 1}
            return self._data.to_batches(columns=names, batch_size=self._rows, **ahead)
        if self.once:
            return self._data
        return self._data.select(names).to_batches() if hasattr(self._data, "to_batches") else [self._data]


class ArrowFormat(FileFormat):
    """Files of tables; the columns are found in the first one.

    Parameters
    ----------
    kind : str
        "Parquet", "Feather" or "CSV".
    first : Path
    request : Request
    """

    def __init__(self, kind: str, first: Path, request: Request) -> None:
        import_arrow()
        self.kind = kind
        text = partial(_CSV, targets=request.targets)
        self._open: Callable[[Path], Any] = {"Parquet": _Parquet, "Feather": _Feather, "CSV": text}[kind]
        with reading(first, kind):
            self._columns = ArrowColumns.of(request, self._open(first).schema)
        self.names = self._columns.X
        self._rows = request.block_rows(len(self.names))

    @override
    def blocks(self, path: Path) -> Iterator[Block]:
        file = self._open(path)
        missing = [name for name in self._columns.names if name not in file.schema.names]
        if missing:
            raise ColumnError(f"no column {missing[0]!r}, which the first file has")
        for batch in file.batches(list(self._columns.names), self._rows):
            for part in _cut(batch, self._rows):
                yield self._columns.block(part)

    @override
    def count(self, path: Path) -> int | None:
        return self._open(path).rows


class _Parquet:
    """One file, of which pages are decoded as they are needed: a group of rows may be larger than memory."""

    def __init__(self, path: Path) -> None:
        from pyarrow import parquet

        self._path = path
        about = parquet.read_metadata(path)
        self.schema, self.rows = about.schema.to_arrow_schema(), about.num_rows

    def batches(self, names: list[str], rows: int) -> Iterator[Any]:
        from pyarrow import parquet

        with parquet.ParquetFile(self._path, pre_buffer=False, buffer_size=_BUFFER) as file:
            yield from file.iter_batches(batch_size=rows, columns=names)


class _Feather:
    """One file in Arrow's own format."""

    rows = None

    def __init__(self, path: Path) -> None:
        import pyarrow as pa

        self._path = path
        with pa.OSFile(str(path)) as file, pa.ipc.open_file(file) as reader:
            self.schema = reader.schema

    def batches(self, names: list[str], rows: int) -> Iterator[Any]:
        import pyarrow as pa

        options = pa.ipc.IpcReadOptions(included_fields=[self.schema.get_field_index(name) for name in names])
        with pa.OSFile(str(self._path)) as file, pa.ipc.open_file(file, options=options) as reader:
            yield from (reader.get_batch(index) for index in range(reader.num_record_batches))


class _CSV:
    """One file of text with a line of names. Integers are numbers like others: a later block may hold fractions."""

    rows = None

    def __init__(self, path: Path, targets: Sequence[str]) -> None:
        import pyarrow as pa

        self._path = path
        with self._reader({}, None) as reader:
            self.schema = reader.schema
        types = pa.types
        kinds = types.is_integer, types.is_null  # the second: of nothing but missing values so far
        self._types = {field.name: pa.float64() for field in self.schema if any(kind(field.type) for kind in kinds)}
        self._whole = [name for name in targets if name in self._types]

    def batches(self, names: list[str], rows: int) -> Iterator[Any]:
        with self._reader(self._types, names) as reader:
            yield from (self._with_integers(batch) for batch in reader)

    def _reader(self, types: Any, names: list[str] | None) -> Any:
        from pyarrow import csv

        suffixes = [suffix.lower() for suffix in self._path.suffixes]
        return csv.open_csv(
            self._path,
            read_options=csv.ReadOptions(block_size=_TEXT),
            parse_options=csv.ParseOptions(delimiter="\t" if ".tsv" in suffixes else ","),
            convert_options=csv.ConvertOptions(column_types=types, include_columns=names),
        )

    def _with_integers(self, batch: Any) -> Any:
        """With targets that are integers as such, where this batch holds no fractions: labels keep their kind."""
        import pyarrow as pa

        for index, field in enumerate(batch.schema):
            if field.name in self._whole and not batch.column(index).null_count:
                values = batch.column(index).to_numpy(zero_copy_only=False)
                if np.array_equal(values, np.rint(values)):
                    batch = batch.set_column(index, field.name, pa.array(values.astype(np.int64)))
        return batch


def _cut(batch: Any, rows: int) -> Iterator[Any]:
    """Slices of a batch, of at most so many rows."""
    return (batch.slice(start, rows) for start in range(0, batch.num_rows, rows))
