"""A fit to blocks that goes on where it was killed: what was seen is stored now and then, with a digest of the data."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable
from dataclasses import dataclass
from numbers import Integral
from typing import Any

import numpy as np
from scipy import sparse

from neural_kernels.checks import require_number
from neural_kernels.estimators.fit_state import restore, state_of
from neural_kernels.runtime.digests import describe_data, hash_data, hash_text
from neural_kernels.sources import Block
from neural_kernels.storage.checkpoint import CheckpointFile
from neural_kernels.storage.fingerprint import describe, differences, library_version

_SHARE = 20  # so many times what it takes to write is at least between two times


@dataclass(frozen=True)
class Checkpoint:
    """Where a fit to blocks keeps what it has seen, and how often, to go on there after it was killed.

    Parameters
    ----------
    path : path-like
        Of the file.
    seconds : float
        Between two times that it is written; more where writing takes more than a twentieth of that. 0: after every
        block.

    Notes
    -----
    ``model.fit(source, checkpoint=path)``, called again after it has ended anyhow, reads the data again, compares them
    with a digest of what was read before, and learns from the rest alone; the result is that of one call, bit for bit
    on one machine with one number of threads. The map is made again, from the same rows. Another model, with other
    parameters (`verbose` aside), or other data, is refused. So is a `random_state` that is no number, for another
    process would draw another map.

    The file holds the sums, 4 m^2 bytes (for every class with ``class_weight="balanced"``), and the rows that are
    kept, as arrays of NumPy with a header in JSON: no code runs when it is read. It is replaced whole, so that a full
    disk or a kill leave the last one. It stays when the fit has ended, and the same call then only reads the data;
    delete it when the model is saved. Two fits cannot share a file.

    Examples
    --------
    >>> import tempfile, pathlib
    >>> import numpy as np
    >>> import neural_kernels as nk
    >>> blocks = [(X, np.sin(X[:, 0])) for X in np.random.default_rng(0).normal(size=(10, 300, 2))]
    >>> model = nk.NeuralFeatureRegressor(n_components=64, alpha=0.01, random_state=0)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     checkpoint = nk.Checkpoint(pathlib.Path(folder) / "fit.checkpoint", seconds=300)
    ...     coefficients = model.fit(blocks, checkpoint=checkpoint).coef_
    """

    path: Any
    seconds: float = 60.0

    def __post_init__(self) -> None:
        require_number(self, seconds=self.seconds)


class ResumedFit:
    """Blocks that are learned from, or were before, in the order in which they come.

    Parameters
    ----------
    model : BlocksModel
    checkpoint : Checkpoint or path-like

    Raises
    ------
    ValueError
        The file is of another model, of other parameters, or damaged.
    """

    def __init__(self, model: Any, checkpoint: Any) -> None:
        settings = checkpoint if isinstance(checkpoint, Checkpoint) else Checkpoint(checkpoint)
        self._model, self._seconds = model, settings.seconds
        self._file, self._identity = CheckpointFile(settings.path), identity_of(model)
        self._saved = self._file.read()
        if self._saved is not None:
            changed = differences(self._saved[0]["identity"], self._identity)
            if changed:
                raise ValueError(f"{self._file.path} is of another model; what differs: {changed}. {_ADVICE}")
        self._done, self._digests = 0, [hashlib.sha256(), hashlib.sha256()]  # of all blocks, and of the first
        self._next = time.monotonic() + self._seconds

    def take(self, block: Block, learn: Callable[[], None]) -> None:
        """Learn from a block, unless what is stored has learned from it."""
        digest = _digest(block)
        for hashed in self._digests if not self._done else self._digests[:1]:
            hashed.update(digest)
        self._done += 1
        if self._saved is None:
            learn()
            if time.monotonic() >= self._next:
                self._write()
            return
        seen = self._model._accumulation
        if seen is None or seen.built is None:  # until there is the map, which is made as it was before
            learn()
        header, arrays = self._saved
        whole, first = (hashed.hexdigest() for hashed in self._digests)
        if first != header["first block"] or (self._done == header["blocks"] and whole != header["all blocks"]):
            raise ValueError(f"{self._file.path} is of other data, or of data in other blocks. {_ADVICE}")
        if self._done == header["blocks"]:
            restore(self._model, header, arrays)
            self._saved = None

    def finish(self) -> None:
        """Store what was learned from all blocks."""
        if self._saved is not None:
            blocks = self._saved[0]["blocks"]
            raise ValueError(f"{self._file.path} is of other data: {blocks} blocks, now {self._done}. {_ADVICE}")
        self._write()

    def _write(self) -> None:
        if self._model._accumulation.built is None:  # all rows are kept: to read them again takes no time
            return
        start = time.monotonic()
        values, arrays = state_of(self._model)
        whole, first = (hashed.hexdigest() for hashed in self._digests)
        data = {"blocks": self._done, "all blocks": whole, "first block": first}
        self._file.write({"identity": self._identity, **data, **values}, arrays)
        end = time.monotonic()
        self._next = end + (max(self._seconds, _SHARE * (end - start)) if self._seconds else 0)


_ADVICE = "Use another path, or delete the file to begin anew"


def identity_of(model: Any) -> dict[str, str]:
    """What the model depends on beside the data."""
    if not isinstance(model.random_state, Integral):
        raise ValueError(
            f"random_state={model.random_state!r} with a checkpoint: expected a number, such as 0; another process "
            "would draw another map"
        )
    identity = {"library": library_version(), "model": type(model).__name__}
    for name, value in model.get_params(deep=False).items():
        if name != "verbose":
            try:
                identity[name] = describe(value)
            except TypeError as error:
                raise TypeError(str(error).replace("to_disk", f"{name}: a checkpoint", 1)) from error
    return identity


def _digest(block: Block) -> bytes:
    return hash_text(" ".join(map(_digest_of, block))).encode()


def _digest_of(values: Any) -> str:
    """Of values, their shape and their type."""
    if values is None or sparse.issparse(values):
        return "" if values is None else hash_data(values.tocsr())
    array = np.asarray(values)
    if array.dtype.kind in "biuf":
        return describe_data(array)
    return f"{array.shape} {hash_text(repr(array.tolist()))}"
