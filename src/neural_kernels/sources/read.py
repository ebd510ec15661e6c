"""Files and tables as blocks of rows."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from neural_kernels.runtime.boundary.makes import comes_from
from neural_kernels.sources.arrow import ArrowFormat, ArrowRows
from neural_kernels.sources.base import RowSource
from neural_kernels.sources.files import FileFormat, FileRows
from neural_kernels.sources.npz import NPZFormat
from neural_kernels.sources.paths import are_paths, find_files
from neural_kernels.sources.request import Request
from neural_kernels.sources.svmlight import SvmlightFormat


def read_blocks(
    data: Any,
    target: str | Sequence[str] | None = None,
    *,
    columns: str | Sequence[str] | None = None,
    weight: str | None = None,
    rows: int | None = None,
    n_features: int | None = None,
) -> RowSource:
    """Rows of files or tables, in blocks of bounded size, as `fit`, `predict` and `transform` take them.

    Parameters
    ----------
    data : path-like, list of them, or table of pyarrow
        A file, a folder of files (hidden ones and those that begin with ``_`` are left out), a pattern such as
        ``"data/*.parquet"``, or several; all of one kind: Parquet (``.parquet``, ``.pq``), Feather (``.feather``,
        ``.arrow``), CSV with a line of names (``.csv``, ``.tsv``, also ``.gz``), NPZ, svmlight (``.svm``,
        ``.svmlight``, ``.libsvm``, also ``.gz`` and ``.bz2``). Or a table, record batch, reader or data set of pyarrow.
    target : str or list of str, optional
        The column of targets or labels; a list makes targets of shape (b, n_outputs).
    columns : str or list of str, optional
        Those of X, in this order; None: all others. For NPZ, the name of the array X.
    weight : str, optional
        The column of sample weights.
    rows : int, optional
        Of a block. None: as many as hold 2^21 numbers of X, at most 65,536.
    n_features : int, optional
        Columns of X in svmlight files; None: as many as they have.

    Returns
    -------
    RowSource
        Over which one can loop as often as one likes, ``for X, y, weight in source``; over a reader, once.

    Raises
    ------
    FileNotFoundError
        No such file, or an empty folder.
    ValueError
        Files of several kinds, or of one that is not known; damaged or empty ones; a column that is missing or holds no
        numbers, as found in the first file.
    ImportError
        Without pyarrow, the extra ``[arrow]``, which NPZ and svmlight do not need.

    Notes
    -----
    X is float32 where all of its columns are, else float64; missing values become NaN, which `fit` refuses by block,
    row and column. In memory is a block, and of Parquet a page and a dictionary of each column, however large a group
    of rows is, some megabytes a column; of Feather a record batch; of NPZ all of a CSR matrix, and of arrays in
    Fortran's order. Whether the indices of svmlight begin at 0 or 1 is told from all files, as scikit-learn does, in a
    pass of its own.

    Examples
    --------
    >>> import tempfile, pathlib
    >>> import numpy as np
    >>> import neural_kernels as nk
    >>> X = np.random.default_rng(0).normal(size=(1000, 3))
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = pathlib.Path(folder) / "rows.npz"
    ...     np.savez(path, X=X, y=np.sin(X[:, 0]))
    ...     source = nk.read_blocks(path, target="y", rows=100)
    ...     model = nk.NeuralFeatureRegressor(n_components=64, alpha=0.01, random_state=0).fit(source)
    ...     [len(block.X) for block in source][:3], model.predict(path).shape
    ([100, 100, 100], (1000,))
    """
    return read(data, Request(target, columns, weight, rows, n_features=n_features))


def is_readable(data: Any) -> bool:
    """Whether `read` takes an object: paths, or what is of pyarrow."""
    return are_paths(data) or comes_from(data, "pyarrow")


def read(data: Any, request: Request) -> RowSource:
    """As `read_blocks`, for what was asked for."""
    if comes_from(data, "pyarrow"):
        return ArrowRows(data, request)
    if not are_paths(data):
        raise TypeError(f"data={data!r}: expected a path, a list of paths, or a table of pyarrow")
    files, kind = find_files(data)
    return FileRows(files, _format(files, kind, request))


def _format(files: list[Any], kind: str, request: Request) -> FileFormat:
    if kind == "NPZ":
        return NPZFormat(request)
    return SvmlightFormat(files, request) if kind == "svmlight" else ArrowFormat(kind, files[0], request)
