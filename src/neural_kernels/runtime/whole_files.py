"""Files that are there whole or not at all, however the process ends that writes them."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO


@contextmanager
def replacing(path: Path, suffix: str = ".part") -> Iterator[BinaryIO]:
    """Open a file beside `path`, which takes its place when all is written and on the disk.

    Where that fails, whatever is raised, what was at `path` stays, and nothing beside it. A process that is killed
    leaves the file beside, of the name and the suffix: the next one writes over it.
    """
    beside = path.with_name(path.name + suffix)
    try:
        with beside.open("wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        beside.replace(path)
    except BaseException:
        beside.unlink(missing_ok=True)
        raise
    synchronise(path.absolute().parent)


def synchronise(folder: Path) -> None:
    """Bring the entries of a folder to the disk, where that is a matter of its own."""
    if os.name == "posix":
        handle = os.open(folder, os.O_RDONLY)
        os.fsync(handle)
        os.close(handle)
