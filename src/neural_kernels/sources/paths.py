"""Paths that a user gives, as files of one kind."""

from __future__ import annotations

import glob
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

SUFFIXES = {
    ".parquet": "Parquet",
    ".pq": "Parquet",
    ".feather": "Feather",
    ".arrow": "Feather",
    ".csv": "CSV",
    ".tsv": "CSV",
    ".npz": "NPZ",
    ".svm": "svmlight",
    ".svmlight": "svmlight",
    ".libsvm": "svmlight",
}
_PACKED = {".gz", ".bz2"}  # of texts


def are_paths(value: Any) -> bool:
    """Whether an argument is a path or a list of paths."""
    if isinstance(value, list | tuple):
        return len(value) > 0 and all(isinstance(item, str | os.PathLike) for item in value)
    return isinstance(value, str | os.PathLike)


def find_files(given: str | os.PathLike[str] | Sequence[str | os.PathLike[str]]) -> tuple[list[Path], str]:
    """All files that are meant, sorted by name in each folder, and their kind.

    Parameters
    ----------
    given : path-like or list of them
        A file; a folder, of which all files count that are not hidden and do not begin with ``_``, those of its
        folders too; a pattern such as ``"data/*.csv"``.

    Raises
    ------
    FileNotFoundError
        Nothing there.
    ValueError
        No file of a known kind, or files of several kinds.
    """
    paths = [given] if isinstance(given, str | os.PathLike) else given
    files = [file for path in paths for file in _expanded(Path(path))]
    kinds = {file: _kind(file) for file in files}
    unknown = [file.name for file, kind in kinds.items() if kind is None]
    if unknown:
        raise ValueError(f"{unknown[0]}: expected a file whose name ends in one of {', '.join(SUFFIXES)}")
    found = sorted({str(kind) for kind in kinds.values()})
    if len(found) > 1:
        raise ValueError(f"{given}: files of {len(found)} kinds, {', '.join(found)}. Name one: 'folder/*.csv'")
    return files, found[0]


def _expanded(path: Path) -> list[Path]:
    if path.is_dir():
        every = (file for file in path.rglob("*") if file.is_file())
        files = sorted(file for file in every if not any(_hidden(part) for part in file.relative_to(path).parts))
        if not files:
            raise FileNotFoundError(f"{path}: the folder holds no files")
        return files
    if path.exists():
        return [path]
    files = sorted(Path(name) for name in glob.glob(str(path), recursive=True))
    if not files:
        raise FileNotFoundError(f"{path}: no such file or folder, and no pattern that some fit")
    return files


def _hidden(part: str) -> bool:
    return part.startswith((".", "_"))


def _kind(path: Path) -> str | None:
    suffix = Path(path.stem).suffix if path.suffix in _PACKED else path.suffix
    return SUFFIXES.get(suffix.lower())
