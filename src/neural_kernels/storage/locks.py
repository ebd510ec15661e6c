"""Locks of single bytes of a file, by which processes agree; the system frees those of a process, however it ends."""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

PAUSE = 0.02  # seconds between two looks at what another process holds
_FIRST = 1 << 40  # the first byte lies behind all content, for Windows lets nobody read what is locked
_GUARD = threading.Lock()
_OPEN: set[tuple[int, str]] = set()  # process, since a fork has no locks, and path


class LockedFile:
    """A file with bytes that one process at a time may hold; one thread of a process at a time has it open.

    These are locks of POSIX. They belong to a process, threads cannot exclude each other by them, and a process loses
    all that it has of a file when it closes the file anywhere: so others read it by `read_unlocked`.

    Parameters
    ----------
    path : Path
        Created if absent.

    Raises
    ------
    BlockingIOError
        Another thread of this process has it open.
    """

    def __init__(self, path: Path) -> None:
        self._key = _key(path)
        with _GUARD:
            _require_closed(path)
            self.file: IO[bytes] = open(path, "a+b", buffering=0)  # noqa: SIM115
            _OPEN.add(self._key)

    def close(self) -> None:
        """Give all locks back."""
        with _GUARD:
            self.file.close()
            _OPEN.discard(self._key)

    def take(self, byte: int, shared: bool = False) -> bool:
        """Hold a byte, or say that another process does.

        Parameters
        ----------
        byte : int
            Its number.
        shared : bool
            Whether others may hold it, too, in the same way; never on Windows.

        Raises
        ------
        OSError
            The file system has no locks.
        """
        try:
            if sys.platform == "win32":
                import msvcrt

                os.lseek(self.file.fileno(), _FIRST + byte, os.SEEK_SET)
                msvcrt.locking(self.file.fileno(), msvcrt.LK_NBLCK, 1)
            else:
                import fcntl

                kind = fcntl.LOCK_SH if shared else fcntl.LOCK_EX
                fcntl.lockf(self.file, kind | fcntl.LOCK_NB, 1, _FIRST + byte)
        except (BlockingIOError, PermissionError):
            return False
        except OSError as error:
            reason = f"no lock can be had ({error.strerror}), which keeps processes apart: use another file system"
            raise OSError(error.errno, reason, self.file.name) from error
        return True

    def give(self, byte: int) -> None:
        """Hold a byte no longer."""
        if sys.platform == "win32":
            import msvcrt

            os.lseek(self.file.fileno(), _FIRST + byte, os.SEEK_SET)
            msvcrt.locking(self.file.fileno(), msvcrt.LK_UNLCK, 1)
        else:
            import fcntl

            fcntl.lockf(self.file, fcntl.LOCK_UN, 1, _FIRST + byte)

    @contextmanager
    def held(self, byte: int) -> Iterator[None]:
        """Hold a byte for a while, after whoever holds it now."""
        while not self.take(byte):  # not by a lock that waits: where threads hold other files, it may see a deadlock
            time.sleep(PAUSE)
        try:
            yield
        finally:
            self.give(byte)


def read_unlocked(path: Path) -> bytes:
    """The content of a file of which this process holds no bytes.

    Raises
    ------
    BlockingIOError
        Another thread of this process has it open.
    FileNotFoundError
    """
    with _GUARD:
        _require_closed(path)
        return path.read_bytes()


def _require_closed(path: Path) -> None:
    if _key(path) in _OPEN:
        file = path.with_suffix("")
        raise BlockingIOError(f"{file} is being computed by another thread of this process; wait for it")


def _key(path: Path) -> tuple[int, str]:
    return os.getpid(), os.path.realpath(path)
