"""The journal beside a matrix on disk: what is computed there, and which blocks of it are done."""

from __future__ import annotations

import errno
import json
import os
import socket
import sys
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

FORMAT = 1


@dataclass(frozen=True)
class State:
    """What a journal says.

    Parameters
    ----------
    header : dict or None
        What is computed; None if there is no journal, or an empty one.
    created : bool
        Whether the file for the matrix stands, at its full size.
    done : frozenset of int
        Numbers of the blocks that are on disk.
    complete : bool
        Whether all are.
    owner : str
        The process that wrote last.
    size : int
        Bytes of the journal up to its last whole line.
    """

    header: dict[str, Any] | None = None
    created: bool = False
    done: frozenset[int] = frozenset()
    complete: bool = False
    owner: str = "unknown"
    size: int = 0


def beside(path: Path) -> Path:
    """The path of the journal of a file, which lies beside it."""
    return path.with_name(path.name + ".journal")


def read(path: Path) -> State:
    """The state that a journal tells, without waiting for who writes it.

    Parameters
    ----------
    path : Path
        Of the journal; it may be absent.

    Returns
    -------
    State

    Raises
    ------
    ValueError
        The file is no journal, or one of another format.
    """
    try:
        return _parse(path, path.read_bytes())
    except FileNotFoundError:
        return State()


class Journal:
    """A journal that this process alone may write to, until `close`.

    The lock is the operating system's, on the open file: it ends with the process, however that ends.

    Parameters
    ----------
    path : Path
        Created if absent.

    Raises
    ------
    BlockingIOError
        Another process, or another thread, writes to it.
    """

    def __init__(self, path: Path) -> None:
        self._file = open(path, "a+b", buffering=0)  # noqa: SIM115
        try:
            if not _lock(self._file):
                raise BlockingIOError(
                    f"{path.with_suffix('')} is being computed by process {read(path).owner}; wait for it, end it, "
                    "or use another path"
                )
            self._file.seek(0)
            self.state = _parse(path, self._file.read())
        except BaseException:
            self._file.close()
            raise

    def __enter__(self) -> Journal:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Give the lock back, so that others can write."""
        self._file.close()

    def begin(self, header: dict[str, Any]) -> None:
        """Forget everything and start anew, with the header of what is computed."""
        self._file.truncate(0)
        self._append("header", {"format": FORMAT, **header})
        self._append("run", _process())

    def resume(self) -> None:
        """Drop a torn last line, which would spoil the next, and sign."""
        self._file.truncate(self.state.size)
        self._append("run", _process())

    def created(self) -> None:
        """Note that the file for the matrix stands, at its full size."""
        self._append("created", None)

    def done(self, block: int) -> None:
        """Note that a block is on disk."""
        self._append("block", block)

    def complete(self) -> None:
        """Note that all blocks are on disk."""
        self._append("complete", None)

    def _append(self, what: str, value: Any) -> None:
        """One line, in one write, on disk before this returns."""
        text = json.dumps([what, value])
        line = f"{_checksum(text)} {text}\n".encode()
        if self._file.write(line) != len(line):
            raise OSError(errno.ENOSPC, "the journal could not be written", self._file.name)
        os.fsync(self._file.fileno())


def _parse(path: Path, content: bytes) -> State:
    """What a journal says up to the first line that is not whole: what comes after it was never promised."""
    values: dict[str, Any] = {}
    done: set[int] = set()
    size = 0
    for line in content.splitlines(keepends=True):
        checksum, _, text = line.decode(errors="replace").partition(" ")
        if not line.endswith(b"\n") or checksum != _checksum(text.removesuffix("\n")):
            break
        what, value = json.loads(text)
        if what == "block":
            done.add(value)
        values[what] = value
        size += len(line)
    if content and "header" not in values:
        raise ValueError(f"{path} is not a journal of to_disk, or its first line is damaged; use another path")
    header = values.get("header")
    if header is not None and header["format"] != FORMAT:
        raise ValueError(f"{path} has format {header['format']}, this version reads {FORMAT}; use another path")
    owner = values.get("run", "unknown")
    return State(header, "created" in values, frozenset(done), "complete" in values, owner, size)


def _checksum(text: str) -> str:
    return f"{zlib.crc32(text.encode()):08x}"


def _process() -> str:
    return f"{os.getpid()} on {socket.gethostname()}"


def _lock(file: IO[bytes]) -> bool:
    """Take the lock of an open file, or say that it is taken."""
    try:
        if sys.platform == "win32":
            import msvcrt

            file.seek(1 << 40)  # behind the content: locked bytes cannot be read by others
            msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
        else:
            import fcntl

            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except (BlockingIOError, PermissionError):
        return False
    return True
