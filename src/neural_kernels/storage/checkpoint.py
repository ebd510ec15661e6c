"""A file that holds the state of a long computation: the last whole one, however the computation ends."""

from __future__ import annotations

import json
import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from neural_kernels.runtime.whole_files import replacing

FORMAT = 1
_HEADER = "header"


class CheckpointFile:
    """A file of NumPy arrays with a header in JSON; reading it runs no code.

    It is written beside its place, brought to the disk and then renamed: at any moment the file is the last one that
    was written whole, or there is none.

    Parameters
    ----------
    path : path-like
    """

    def __init__(self, path: Any) -> None:
        self.path = Path(path)

    def write(self, header: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> None:
        """Put a new state in the place of the last one.

        Raises
        ------
        OSError
            The disk is full, or there is no such folder; the last state stays.
        """
        text = np.frombuffer(json.dumps({"format": FORMAT, **header}).encode(), np.uint8)
        content: dict[str, Any] = {_HEADER: text, **arrays}
        try:
            with replacing(self.path) as file:
                np.savez(file, allow_pickle=False, **content)
        except OSError as error:
            stays = "the last one stays: make room, and call again" if self.path.exists() else "there is none yet"
            raise OSError(
                error.errno, f"no checkpoint could be written ({error.strerror}); {stays}", str(self.path)
            ) from error

    def read(self) -> tuple[dict[str, Any], dict[str, np.ndarray]] | None:
        """The last state; None if there is no file.

        Raises
        ------
        ValueError
            The file is none of these, damaged, or of another format.
        """
        try:
            with open(self.path, "rb") as file, np.load(file, allow_pickle=False) as content:
                arrays = {name: content[name] for name in content.files}
            header = json.loads(arrays.pop(_HEADER).tobytes())
            version = header["format"]
        except FileNotFoundError:
            return None
        except (ValueError, KeyError, TypeError, AttributeError, EOFError, zipfile.BadZipFile, zlib.error) as error:
            raise ValueError(
                f"{self.path} is no checkpoint, or it is damaged: use another path, or delete it"
            ) from error
        if version != FORMAT:
            raise ValueError(f"{self.path} has format {version}, this version reads {FORMAT}: use another path")
        return header, arrays
