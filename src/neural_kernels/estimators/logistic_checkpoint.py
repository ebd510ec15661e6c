"""The state of logistic regressions in their passes over the data, on disk: fits that go on where they were killed."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import numpy as np

from neural_kernels.estimators.checkpoints import Checkpoint, identity_of
from neural_kernels.estimators.logistic_search import LogisticSearch
from neural_kernels.runtime.digests import hash_data
from neural_kernels.solvers.moments import Moments
from neural_kernels.storage.checkpoint import CheckpointFile
from neural_kernels.storage.fingerprint import differences


class SearchFile:
    """Files beside a checkpoint's own, one for each stage of a fit, such as ``fit.checkpoint.final``.

    Parameters
    ----------
    checkpoint : Checkpoint or path-like
    model : estimator
        Whose parameters count.
    moments : Moments
        Of the data, which are known by them.
    k : int
        Logits.
    """

    def __init__(self, checkpoint: Any, model: Any, moments: Moments, k: int) -> None:
        settings = checkpoint if isinstance(checkpoint, Checkpoint) else Checkpoint(checkpoint)
        self._path, self._seconds, self._k = Path(settings.path), settings.seconds, k
        data = hash_data(np.vstack([moments.mean, np.diagonal(moments.scatter), moments.cross.T]))
        self._identity = identity_of(model) | {"data": data}
        self._next = time.monotonic() + self._seconds

    def load(self, stage: str) -> list[LogisticSearch] | None:
        """What was stored last; None if nothing was.

        Raises
        ------
        ValueError
            It is of another model or other data, or damaged.
        """
        file = self._file(stage)
        saved = file.read()
        if saved is None:
            return None
        header, arrays = saved
        changed = differences(header["identity"], self._identity)
        if changed:
            raise ValueError(f"{file.path} is of another fit; what differs: {changed}. Use another path, or delete it")
        states = [
            {name.removeprefix(f"{number} "): value for name, value in arrays.items() if name.startswith(f"{number} ")}
            for number in range(header["searches"])
        ]
        return [LogisticSearch.from_state(state, self._k) for state in states]

    def save(self, stage: str, searches: list[LogisticSearch], ended: bool) -> None:
        """Store the state, if that was not done lately or the stage has ended."""
        if time.monotonic() < self._next and not ended:
            return
        arrays = {
            f"{number} {name}": value for number, one in enumerate(searches) for name, value in one.state().items()
        }
        self._file(stage).write({"identity": self._identity, "searches": len(searches)}, arrays)
        self._next = time.monotonic() + self._seconds

    def _file(self, stage: str) -> CheckpointFile:
        return CheckpointFile(self._path.with_name(f"{self._path.name}.{stage}"))
