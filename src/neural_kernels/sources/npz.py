"""Arrays in NumPy's archives, read as a stream: also compressed, without unpacking more than a block."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import IO, Any
from zipfile import ZipFile

import numpy as np
from numpy.lib import format as npy
from typing_extensions import override

from neural_kernels.sources.base import Block
from neural_kernels.sources.files import ColumnError, FileFormat
from neural_kernels.sources.request import Request

_SPARSE = {"indptr", "indices", "data", "shape"}


class NPZFormat(FileFormat):
    """Archives of arrays X, y and weights, by names; or of a CSR matrix, as SciPy saves it, which is read whole.

    Parameters
    ----------
    request : Request
        `columns` names the array X; by default that is "X" or the only one left, and y is "y", if there is one.
    """

    kind = "NPZ"

    def __init__(self, request: Request) -> None:
        if (not isinstance(request.columns, str | None) and len(request.columns) > 1) or len(request.targets) > 1:
            raise TypeError("NPZ: columns and target name one array each")
        self._request = request

    @override
    def blocks(self, path: Path) -> Iterator[Block]:
        with ZipFile(path) as archive, ExitStack() as stack:
            names = [name.removesuffix(".npy") for name in archive.namelist()]
            if set(names) >= _SPARSE:
                yield from self._sparse(path, names)
                return
            chosen = self._chosen(names)
            members = [None if name is None else stack.enter_context(_Member(archive, name)) for name in chosen]
            first = members[0]
            assert first is not None
            _require_lengths(chosen, [None if member is None else len(member) for member in members])
            rows = self._request.block_rows(math.prod(first.shape[1:]))
            for start in range(0, len(first), rows):
                count = min(rows, len(first) - start)
                yield Block(*(None if member is None else member.read(count) for member in members))

    def _chosen(self, names: list[str]) -> tuple[str, str | None, str | None]:
        y = self._request.targets[0] if self._request.targets else "y" if "y" in names else None
        weight = self._request.weight
        left = [name for name in names if name not in (y, weight)]
        X = self._request.array or ("X" if "X" in left else None)
        if X is None and len(left) != 1:
            raise ColumnError(f"which of the arrays {left} is X? Say so: columns='name'")
        X = left[0] if X is None else X
        missing = [name for name in (X, y, weight) if name is not None and name not in names]
        if missing:
            raise ColumnError(f"no array {missing[0]!r}; there are {names}")
        return X, y, weight

    def _sparse(self, path: Path, names: list[str]) -> Iterator[Block]:
        from scipy.sparse import load_npz

        matrix: Any = load_npz(path).tocsr()
        y = self._request.targets[0] if self._request.targets else "y" if "y" in names else None
        with np.load(path) as arrays:
            beside = [None if name is None else arrays[name] for name in (y, self._request.weight)]
        lengths = [None if values is None else len(values) for values in beside]
        _require_lengths(("X", y, self._request.weight), [matrix.shape[0], *lengths])
        rows = self._request.block_rows(max(1, matrix.nnz // max(1, matrix.shape[0])))
        for start in range(0, matrix.shape[0], rows):
            part = slice(start, start + rows)
            yield Block(matrix[part], *(None if values is None else values[part] for values in beside))


class _Member:
    """An array of an archive, of which rows are read one after the other."""

    def __init__(self, archive: ZipFile, name: str) -> None:
        self._name = name
        self._file: IO[bytes] = archive.open(f"{name}.npy")
        version = npy.read_magic(self._file)
        header = npy.read_array_header_1_0 if version == (1, 0) else npy.read_array_header_2_0
        self.shape, self._columns_first, self.dtype = header(self._file)
        if self.dtype.hasobject:
            raise ColumnError(f"array {name!r} holds Python objects, which are not loaded: save it as numbers or text")
        if not self.shape:
            raise ColumnError(f"array {name!r} is a single value; expected one for each row")
        self._whole: np.ndarray | None = None
        self._start = 0

    def __enter__(self) -> _Member:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def __len__(self) -> int:
        return self.shape[0]

    def read(self, rows: int) -> np.ndarray:
        """The next rows."""
        if self._columns_first and len(self.shape) > 1:  # rows do not lie together: it has to be read whole
            if self._whole is None:
                self._whole = self._take(self.shape[::-1]).T
            self._start += rows
            return self._whole[self._start - rows : self._start]
        return self._take((rows, *self.shape[1:]))

    def _take(self, shape: tuple[int, ...]) -> np.ndarray:
        size = math.prod(shape) * self.dtype.itemsize
        content = self._file.read(size)
        if len(content) < size:
            raise ValueError(f"array {self._name!r} is cut off")
        return np.frombuffer(content, self.dtype).reshape(shape)


def _require_lengths(names: Any, lengths: list[int | None]) -> None:
    for name, length in zip(names[1:], lengths[1:], strict=True):
        if length is not None and length != lengths[0]:
            raise ColumnError(f"{names[0]!r} has {lengths[0]:,} rows, {name!r} has {length:,}")
