"""Iterations on disk, so that one that was killed goes on."""

from __future__ import annotations

import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from neural_kernels.runtime.whole_files import replacing

_TOLERANCE = 1e-4  # of probes of the same matrix: kernels round as the memory lies


@dataclass(frozen=True)
class IterateFile:
    """A file that holds where one or several runs on a matrix stand, always whole: written beside it and renamed.

    Parameters
    ----------
    path : Path
    identity : str
        Of the matrix and the settings that results depend on.
    probe : ndarray
        Entries of the matrix, equal up to rounding if it is the same.
    """

    path: Path
    identity: str
    probe: np.ndarray

    def load(self, run: str) -> dict[str, np.ndarray] | None:
        """The arrays of a run; None if there is no file, or no such run in it.

        Raises
        ------
        ValueError
            For a file of another matrix or other settings, or one that is damaged.
        """
        prefix = f"{run}/"
        found = {name.removeprefix(prefix): value for name, value in self._read().items() if name.startswith(prefix)}
        return found or None

    def save(self, run: str, arrays: Mapping[str, np.ndarray]) -> None:
        """Write the arrays of a run, those of others as they were.

        Raises
        ------
        OSError
            If the disk is full, for example; the file is then as it was.
        """
        others = {name: value for name, value in self._read().items() if not name.startswith(f"{run}/")}
        mine = {f"{run}/{name}": value for name, value in arrays.items()}
        stored = {**others, **mine, "identity": np.array(self.identity), "probe": self.probe}
        with replacing(self.path) as file:
            np.savez(file, allow_pickle=False, **stored)

    def _read(self) -> dict[str, np.ndarray]:
        if not self.path.exists():
            return {}
        try:
            with self.path.open("rb") as content, np.load(content, allow_pickle=False) as file:
                stored = {name: file[name] for name in file.files}
            identity, probe = str(stored.pop("identity")), stored.pop("probe")
        except (zipfile.BadZipFile, ValueError, KeyError, EOFError, AttributeError, TypeError) as error:
            raise ValueError(f"checkpoint {self.path} is damaged, or none of this solver: {error}") from error
        same = identity == self.identity and probe.shape == self.probe.shape
        if not same or not np.allclose(probe, self.probe, rtol=_TOLERANCE, atol=_TOLERANCE * np.abs(probe).max()):
            raise ValueError(
                f"checkpoint {self.path} is of other data, another kernel, preconditioner or tolerance: remove it, or "
                "name another file"
            )
        return stored
