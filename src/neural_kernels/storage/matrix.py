"""Matrices larger than memory, or longer than a session: block by block into a file, resumable at any moment.

A block depends on nothing but its rows and columns, is written, synchronised, and only then named in the journal beside
the file. So a run may end anyhow: the next one computes what is missing, and the file is that of one run, bit for bit
(on one machine, with one number of threads: matrix products round differently on others). For the same reason several
processes may share the blocks: each computes those that no other one has claimed (`journal`). They see one another's
blocks because the file is mapped to the memory of all of them, which is one memory on one machine.
"""

from __future__ import annotations

import errno
import math
import os
import shutil
from abc import ABC, abstractmethod
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.lib.format import open_memmap

from neural_kernels.runtime.tiles import Grid, Tile
from neural_kernels.runtime.whole_files import synchronise
from neural_kernels.storage.fingerprint import differences
from neural_kernels.storage.journal import Journal, State, beside, read

_BEGUN = "its journal tells of one: restore it, delete both, or pass resume=False"


class MatrixTask(ABC):
    """What a matrix is computed from, and how: one of which any block can be computed, the same whoever asks."""

    symmetric: bool
    progress: bool
    whole_rows: bool = False  # whether blocks are of whole rows, where some columns cost what all of them do

    @property
    @abstractmethod
    def shape(self) -> tuple[int, int]:
        """Rows and columns of the matrix, entries that are matrices themselves counted once."""

    @abstractmethod
    def identity(self) -> dict[str, Any]:
        """What the matrix depends on, each by value or by hash, in terms that a user can act on; for JSON."""

    @abstractmethod
    def values(self, rows: slice, columns: slice) -> np.ndarray:
        """A block, by calls that nothing else has a part in."""

    @abstractmethod
    def side(self, entry: np.ndarray) -> int:
        """Rows of a block that takes seconds, and a moderate share of the memory; `entry` is one of its entries."""


def fill_file(task: MatrixTask, path: Any, resume: bool, block: int | None) -> np.memmap:
    """Compute a matrix into a ``.npy`` file, or what is missing of it, with all processes that make the same call.

    Parameters
    ----------
    task : MatrixTask
    path : path-like
        Of the file; its journal lies beside it.
    resume : bool
        False: start anew, over a file of this function alone.
    block : int or None
        Rows of a block; None: as the task chooses, or as the computation was begun.

    Returns
    -------
    numpy.memmap
        Read-only. At once, if the file is complete.

    Raises
    ------
    ValueError
        The file is of another task, or not by this function; or it was cut off.
    BlockingIOError
        Another thread computes it; or another process, where this one is to start anew, or on Windows.
    OSError
        The disk is too small, or its file system has no locks.
    """
    path = Path(path)
    if block is not None and (isinstance(block, bool) or not isinstance(block, int) or block < 1):
        raise ValueError(f"block={block!r}: expected a positive number of examples, or None")
    request = _Request(path, task.identity(), resume, block)
    exists = path.exists()  # asked first: where another process begins meanwhile, its journal precedes the file
    state = read(beside(path))
    header = request.begun(exists, state)
    if header is None or not state.complete:
        header = _fill(task, request, header or {"identity": request.identity, **_plan(task, block)})
    return _open(path, header, "r")


@dataclass(frozen=True)
class _Request:
    """What a call asks for, beside the task."""

    path: Path
    identity: dict[str, Any]
    resume: bool
    block: int | None

    def begun(self, exists: bool, state: State) -> dict[str, Any] | None:
        """The header of what was begun and is to be gone on with; None if there is no such. Raise if it differs."""
        if exists and state.header is None:
            raise ValueError(
                f"{self.path} exists and is not by to_disk (no journal beside it); use another path or delete it"
            )
        if not self.resume or state.header is None:
            return None
        _check_same(self.path, state.header, self.identity, self.block)
        if state.created or self.path.exists():
            _open(self.path, state.header, "r")
        return state.header


def _fill(task: MatrixTask, request: _Request, planned: dict[str, Any]) -> dict[str, Any]:
    """Compute what is missing, but for what other processes do; the header is that of who came first."""
    path = request.path
    _check_space(path, planned)
    with Journal(beside(path)) as journal:
        with journal.pen():
            begun = request.begun(path.exists(), journal.state)
            header = begun or planned
            if begun is None or not journal.state.complete:
                _join(path, journal, header, fresh=begun is None)
        matrix = _open(path, header, "r+")
        breadth = matrix.shape[1] if task.whole_rows else header["block"]
        tiles = list(Grid(matrix.shape[:2], (header["block"], breadth), header["symmetric"]))
        with _progress(task, tiles, journal.news()) as bar:
            while (number := journal.claim(len(tiles))) is not None:
                _write(matrix, tiles[number], task.values(*tiles[number]), header["symmetric"])
                journal.done(number)
                bar.update(_work(task, tiles, journal.news()))
            bar.update(_work(task, tiles, journal.news()))
        journal.complete()
    return header


def _join(path: Path, journal: Journal, header: dict[str, Any], fresh: bool) -> None:
    """Become one of those who fill the file; the first, where it is to be made. With the pen held."""
    create = fresh or not journal.state.created
    journal.join(alone=create)
    if fresh:
        path.unlink(missing_ok=True)  # first: a file beside a journal that has not created one is not ours
        journal.begin(header)
    journal.sign()
    if create:
        _create(path, header)
        journal.created()


def _write(matrix: np.memmap, tile: Tile, values: np.ndarray, symmetric: bool) -> None:
    """Write a block, and in a symmetric matrix its mirror image; on disk before this returns."""
    rows, columns = tile
    matrix[rows, columns] = values
    if symmetric and rows != columns:
        count = (values.ndim - 2) // 2
        order = 1, 0, *range(2 + count, 2 + 2 * count), *range(2, 2 + count)
        matrix[columns, rows] = values.transpose(order)
    matrix.flush()


def _plan(task: MatrixTask, block: int | None) -> dict[str, Any]:
    """The header of a new computation: shape and precision, found from one entry, and the blocks."""
    one = slice(0, 1)
    entry = task.values(one, one)
    return {
        "shape": [*task.shape, *entry.shape[2:]],
        "dtype": entry.dtype.name,
        "block": block or task.side(entry),
        "symmetric": task.symmetric,
    }


def _create(path: Path, header: dict[str, Any]) -> None:
    """Make the file at its full size, at once or not at all."""
    new = path.with_name(path.name + ".new")
    open_memmap(new, "w+", header["dtype"], tuple(header["shape"])).flush()
    os.replace(new, path)
    synchronise(path.absolute().parent)


def _open(path: Path, header: dict[str, Any], mode: Literal["r", "r+"]) -> np.memmap:
    """Map the file to memory; raise unless it is the one that the journal speaks of."""
    try:
        matrix = open_memmap(path, "r")  # which, unlike "r+", does not extend a file that is too short
    except (FileNotFoundError, ValueError) as error:
        raise ValueError(f"{path} is missing, cut off or no .npy file, but {_BEGUN}") from error
    expected = tuple(header["shape"]), np.dtype(header["dtype"])
    if (matrix.shape, matrix.dtype) != expected or path.stat().st_size != matrix.offset + matrix.nbytes:
        raise ValueError(f"{path} has not the size, shape {expected[0]} or dtype {expected[1]} it had, but {_BEGUN}")
    return matrix if mode == "r" else open_memmap(path, mode)


def _check_same(path: Path, header: dict[str, Any], identity: dict[str, Any], block: int | None) -> None:
    """Raise where a file was begun for another task, or in other blocks: results must not mix."""
    changed = differences(header["identity"], identity)
    if changed:
        raise ValueError(f"{path} is of another task; what differs: {changed}. Use another path, or resume=False")
    if block not in (None, header["block"]):
        raise ValueError(f"{path} was begun with block={header['block']}, not {block}: leave it out, or resume=False")


def _check_space(path: Path, header: dict[str, Any]) -> None:
    """Raise where the disk is too small: writing to a memmap on a full one ends the process, and cannot be caught."""
    size = math.prod(header["shape"]) * np.dtype(header["dtype"]).itemsize
    held = getattr(path.stat(), "st_blocks", 0) * 512 if path.exists() else 0
    free = shutil.disk_usage(path.absolute().parent).free
    if size - held > free:
        raise OSError(
            errno.ENOSPC, f"the matrix takes {size:,} bytes, {size - held:,} more; {free:,} are free", str(path)
        )


def _progress(task: MatrixTask, tiles: list[Tile], done: list[int]) -> Any:
    """A progress bar of what all processes do; it starts at what is done, so that its rate is that of this run."""
    from tqdm.auto import tqdm

    total, initial = (_work(task, tiles, chosen) for chosen in (range(len(tiles)), done))
    return tqdm(total=total, initial=initial, unit="block", desc="to disk", disable=not task.progress)


def _work(task: MatrixTask, tiles: list[Tile], chosen: Iterable[int]) -> float:
    """The work of some blocks, in blocks: those on the diagonal are symmetric and take half."""
    return sum(0.5 if task.symmetric and tiles[i][0] == tiles[i][1] else 1 for i in chosen)
