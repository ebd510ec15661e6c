"""The journal beside a matrix on disk: what is computed there, which blocks of it are done, and who does the others."""

from __future__ import annotations

import errno
import json
import os
import socket
import time
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from neural_kernels.storage.locks import PAUSE, LockedFile, read_unlocked

FORMAT = 1
_PEN, _JOINED, _BLOCKS = 0, 1, 2  # bytes that are locked; those of the blocks come last


@dataclass
class State:
    """What a journal says, as far as it was read.

    Parameters
    ----------
    header : dict or None
        What is computed; None if there is no journal, or an empty one.
    created : bool
        Whether the file for the matrix stands, at its full size.
    done : set of int
        Numbers of the blocks that are on disk.
    complete : bool
        Whether all are.
    owner : str
        The process that was the last to join.
    size : int
        Bytes of the journal up to the last whole line.
    """

    header: dict[str, Any] | None = None
    created: bool = False
    done: set[int] = field(default_factory=set)
    complete: bool = False
    owner: str = "unknown"
    size: int = 0

    def read_on(self, content: bytes, path: Path) -> list[int]:
        """Take in what comes next, up to the first line that is not whole: what follows was never promised.

        Returns
        -------
        list of int
            Numbers of the blocks that it adds.

        Raises
        ------
        ValueError
            It is of no journal, or of one of another format.
        """
        news = []
        for line in content.splitlines(keepends=True):
            checksum, _, text = line.decode(errors="replace").partition(" ")
            if not line.endswith(b"\n") or checksum != _checksum(text.removesuffix("\n")):
                break
            self.size += len(line)
            match json.loads(text):
                case "block", number:
                    news.append(number)
                case "header", header:
                    self.header = header
                case "run", owner:
                    self.owner = owner
                case "created", _:
                    self.created = True
                case "complete", _:
                    self.complete = True
        if content and self.header is None:
            raise ValueError(f"{path} is not a journal of to_disk, or its first line is damaged; use another path")
        if self.header is not None and self.header["format"] != FORMAT:
            raise ValueError(
                f"{path} has format {self.header['format']}, this version reads {FORMAT}; use another path"
            )
        self.done.update(news)
        return news


def beside(path: Path) -> Path:
    """The path of the journal of a file, which lies beside it."""
    return path.with_name(path.name + ".journal")


def read(path: Path) -> State:
    """The state that a journal tells, without waiting for who writes it.

    Parameters
    ----------
    path : Path
        Of the journal; it may be absent, or have no whole line yet.

    Returns
    -------
    State

    Raises
    ------
    ValueError
        The file is no journal, or one of another format.
    BlockingIOError
        Another thread of this process writes to it.
    """
    state = State()
    try:
        content = read_unlocked(path)
    except FileNotFoundError:
        return state
    if b"\n" in content:
        state.read_on(content, path)
    return state


class Journal:
    """A journal that processes write to together, until `close`, and by which they share out the blocks.

    Who writes has the pen, and who computes a block has that; both are locks of bytes of the file, which end with the
    process, however that ends. One more is shared by all that have joined.

    Parameters
    ----------
    path : Path
        Created if absent.

    Raises
    ------
    BlockingIOError
        Another thread of this process writes to it.

    Attributes
    ----------
    state : State
        As of the last call of a method.
    """

    def __init__(self, path: Path) -> None:
        self._path, self._locked, self.state = path, LockedFile(path), State()
        self._news: list[int] = []
        self._first = 0  # all blocks before it are done

    def __enter__(self) -> Journal:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Hold nothing any longer: others take over."""
        self._locked.close()

    @contextmanager
    def pen(self) -> Iterator[None]:
        """Let this process alone write for a while, and know all that was written before.

        Raises
        ------
        ValueError
            The file is no journal, or one of another format.
        """
        with self._locked.held(_PEN):
            self._read_on()
            self._locked.file.truncate(self.state.size)  # without a torn last line, which would spoil the next
            yield

    def join(self, alone: bool) -> None:
        """Be one of those that work; with the pen.

        Parameters
        ----------
        alone : bool
            Whether there may be no others yet.

        Raises
        ------
        BlockingIOError
            There are; or, on Windows, there is one.
        """
        if not self._locked.take(_JOINED, shared=not alone):
            raise BlockingIOError(
                f"{self._path.with_suffix('')} is being computed by process {self.state.owner}; wait for it, end it, "
                "or use another path"
            )
        if alone:  # until the pen is given back, after which others may come
            self._locked.give(_JOINED)
            self._locked.take(_JOINED, shared=True)

    def begin(self, header: dict[str, Any]) -> None:
        """Forget everything and start anew, with the header of what is computed; with the pen, and joined alone."""
        self._locked.file.truncate(0)
        self.state, self._news = State(), []
        self._append("header", {"format": FORMAT, **header})

    def sign(self) -> None:
        """Note that this process works; with the pen."""
        self._append("run", f"{os.getpid()} on {socket.gethostname()}")

    def created(self) -> None:
        """Note that the file for the matrix stands, at its full size; with the pen."""
        self._append("created", None)

    def claim(self, blocks: int) -> int | None:
        """A block for this process alone to compute, until it is `done` or the process ends.

        While others have all that are left, wait, for they may end before these are done.

        Parameters
        ----------
        blocks : int
            The number of all.

        Returns
        -------
        int or None
            None if all are done.
        """
        while True:
            self._read_on()
            while self._first in self.state.done:
                self._first += 1
            if self._first == blocks:
                return None
            for block in range(self._first, blocks):
                if block not in self.state.done and self._locked.take(_BLOCKS + block):
                    self._read_on()  # whoever had it may have given it back after doing it
                    if block not in self.state.done:
                        return block
                    self._locked.give(_BLOCKS + block)
            time.sleep(PAUSE)

    def done(self, block: int) -> None:
        """Note that a block, which this process has claimed, is on disk."""
        with self.pen():
            self._append("block", block)
        self._locked.give(_BLOCKS + block)

    def news(self) -> list[int]:
        """Blocks of which it is known since the last call that they are done, by whichever process."""
        news, self._news = self._news, []
        return news

    def complete(self) -> None:
        """Note that all blocks are on disk."""
        with self.pen():
            if not self.state.complete:
                self._append("complete", None)

    def _read_on(self) -> None:
        self._locked.file.seek(self.state.size)
        self._news += self.state.read_on(self._locked.file.read(), self._path)

    def _append(self, what: str, value: Any) -> None:
        """One line, in one write, on disk before this returns."""
        text = json.dumps([what, value])
        line = f"{_checksum(text)} {text}\n".encode()
        if self._locked.file.write(line) != len(line):
            raise OSError(errno.ENOSPC, "the journal could not be written", self._locked.file.name)
        os.fsync(self._locked.file.fileno())
        self._news += self.state.read_on(line, self._path)


def _checksum(text: str) -> str:
    return f"{zlib.crc32(text.encode()):08x}"
