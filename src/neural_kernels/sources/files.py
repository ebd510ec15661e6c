"""Files of one kind, one after the other."""

from __future__ import annotations

import zipfile
import zlib
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from typing_extensions import override

from neural_kernels.sources.base import Block, RowSource


class FileFormat(ABC):
    """How files of a kind are read, by blocks of bounded size."""

    kind: str
    names: Sequence[str] | None = None

    @abstractmethod
    def blocks(self, path: Path) -> Iterator[Block]:
        """The rows of a file."""

    def count(self, path: Path) -> int | None:
        """How many rows it has, where a glance tells."""
        return None


class FileRows(RowSource):
    """The rows of files.

    Parameters
    ----------
    files : list of Path
    form : FileFormat
    """

    def __init__(self, files: list[Path], form: FileFormat) -> None:
        self._files, self._form, self.names = files, form, form.names
        counts = []
        for path in files:
            with reading(path, form.kind):
                counts.append(form.count(path))
        known = [count for count in counts if count is not None]
        self.rows = sum(known) if len(known) == len(counts) else None

    @override
    def blocks(self) -> Iterator[Block]:
        for path in self._files:
            with reading(path, self._form.kind):
                yield from self._form.blocks(path)


class ColumnError(ValueError):
    """A column that was asked for is not there, or holds no numbers: no fault of the file."""


@contextmanager
def reading(path: Path, kind: str) -> Iterator[None]:
    """Say of errors which file they are of."""
    try:
        if path.stat().st_size == 0:
            raise ValueError("it is empty, 0 bytes")
        yield
    except ColumnError as error:
        raise ValueError(f"{path}: {error}") from error
    except (ValueError, OSError, EOFError, KeyError, zipfile.BadZipFile, zlib.error) as error:
        raise ValueError(f"{path} cannot be read as {kind}: {error}") from error
