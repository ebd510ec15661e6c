"""Sparse rows as text, in the format of svmlight and LIBSVM, by scikit-learn."""

from __future__ import annotations

import bz2
import gzip
import io
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import IO, Any

from typing_extensions import override

from neural_kernels.sources.base import Block
from neural_kernels.sources.files import ColumnError, FileFormat, reading
from neural_kernels.sources.request import Request

_ROWS = 2**13  # of a block: how many numbers they hold, nothing tells before
_OPEN: dict[str, Any] = {".gz": gzip.open, ".bz2": bz2.open}


class SvmlightFormat(FileFormat):
    """Files of lines ``target index:value ...``; a first pass finds the number of columns, and whether they begin at 0.

    Parameters
    ----------
    files : list of Path
    request : Request
    """

    kind = "svmlight"

    def __init__(self, files: list[Path], request: Request) -> None:
        if request.targets or request.columns is not None or request.weight is not None:
            raise TypeError("svmlight files have no names of columns: leave target, columns and weight out")
        self._rows = request.rows or _ROWS
        self._counts: dict[Path, int] = {}
        least, most = 1, -1
        for path in files:
            with reading(path, self.kind), _opened(path) as file:
                lines = 0
                for line in _lines(file):
                    first, last = _ends(line)
                    least, most, lines = min(least, first), max(most, last), lines + 1
                self._counts[path] = lines
        self._zero_based = least == 0
        found = most + self._zero_based
        self._width = request.n_features or found
        if found > self._width:
            raise ValueError(f"the files have {found:,} columns, n_features={self._width:,}")
        if self._width < 1:
            raise ValueError("no numbers in any row")

    @override
    def blocks(self, path: Path) -> Iterator[Block]:
        from sklearn.datasets import load_svmlight_file

        zero_based: Any = self._zero_based
        with _opened(path) as file:
            lines = _lines(file)
            while chunk := list(islice(lines, self._rows)):
                text = io.BytesIO(b"".join(chunk))
                X, y = load_svmlight_file(text, n_features=self._width, zero_based=zero_based)[:2]
                yield Block(X, y)

    @override
    def count(self, path: Path) -> int | None:
        return self._counts[path]


def _opened(path: Path) -> IO[bytes]:
    return _OPEN.get(path.suffix, open)(path, "rb")


def _lines(file: IO[bytes]) -> Iterator[bytes]:
    """Those that are rows."""
    for line in file:
        row = line.partition(b"#")[0].strip()
        if row:
            yield row + b"\n"


def _ends(line: bytes) -> tuple[int, int]:
    """The first and the last column of a row, which are in order; of a row of zeros none, 1 and -1."""
    pairs = [pair for pair in line.split()[1:] if not pair.startswith(b"qid:")]
    if not pairs:
        return 1, -1
    try:
        return int(pairs[0].partition(b":")[0]), int(pairs[-1].partition(b":")[0])
    except ValueError:
        raise ColumnError(
            f"expected lines 'target index:value ...', got {line[:60].decode(errors='replace')!r}"
        ) from None
