"""What transformers make of rows, in a file: block by block, resumed after any interruption."""

from __future__ import annotations

import math
import re
from typing import Any

import numpy as np
from sklearn.base import BaseEstimator
from torch import Tensor
from typing_extensions import override

from neural_kernels.estimators.images.dataset import DatasetImages
from neural_kernels.runtime.boundary import as_array
from neural_kernels.runtime.digests import dtype_name, hash_data
from neural_kernels.storage.fingerprint import library_version
from neural_kernels.storage.matrix import MatrixTask, fill_file

_NUMBERS = 2**22  # of a block of rows, before or behind the transformer
_MOST = 4096  # rows of a block
_PROBE = 4  # rows by whose features a transformer is known


def transform_to_disk(
    transformer: Any, X: Any, path: Any, *, resume: bool = True, block: int | None = None, progress: bool = False
) -> np.memmap:
    """Features of many rows in a ``.npy`` file, block by block; a call that was killed is resumed by the same call.

    Rows may be more than memory holds, such as bytes of images in a memory map: blocks alone become floats, and
    features are in memory for one block at a time. Processes of one machine that make the same call at the same time
    share the blocks; each returns when all are done, and what one that dies has left is taken over by the others.

    Parameters
    ----------
    transformer : fitted transformer, Pipeline of them, FeatureMap or callable
        What makes an array of shape (b, m) of b rows, each row for itself, such as
        ``make_pipeline(nk.ImageScaler(), nk.NeuralFeatures(nk.myrtle(5)))``, fitted to all images or some of them.
    X : array or data set, n rows
        NumPy (also a memory map), torch or SciPy CSR; or an object with a length whose items are images, or pairs of an
        image and a label, as the data sets of torchvision are.
    path : path-like
        Of the file. What is done stands in a small journal beside it, ``path + ".journal"``, which stays.
    resume : bool
        False: start anew, over a file of this function alone.
    block : int, optional
        Rows of a block. None: as many as hold 2^22 numbers, at most 4,096. A resumed computation keeps its own.
    progress : bool
        Show a progress bar, with the time left.

    Returns
    -------
    numpy.memmap, shape (n, m)
        Read-only. At once, if the file is complete.

    Raises
    ------
    ValueError
        The file is of another transformer or other data, or not by this function; or it was cut off.
    BlockingIOError
        Another thread computes it; or another process, with ``resume=False`` or on Windows.
    OSError
        The disk is too small, or its file system has no locks.

    Notes
    -----
    A transformer is known by its settings and by what it makes of the first rows, to three digits. So fit it the same
    way in the next process, with a `random_state`, or load it from a file. Arrays are known by all of their bytes, data
    sets by sixteen of their images.

    Examples
    --------
    >>> import tempfile, pathlib
    >>> import numpy as np
    >>> import neural_kernels as nk
    >>> X = np.random.default_rng(0).normal(size=(50, 4))
    >>> features = nk.NeuralFeatures(n_components=8, random_state=0).fit(X)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     phi = nk.transform_to_disk(features, X, pathlib.Path(folder) / "features.npy")
    ...     bool(np.allclose(phi, features.transform(X)))
    True
    """
    return fill_file(_TransformTask(transformer, _rows(X), progress), path, resume, block)


class _TransformTask(MatrixTask):
    """A transformer and rows.

    Parameters
    ----------
    transformer : object
    rows : array
        Of any kind of which slices are rows.
    progress : bool
    """

    symmetric = False
    whole_rows = True

    def __init__(self, transformer: Any, rows: Any, progress: bool) -> None:
        self._transform = getattr(transformer, "transform", transformer)
        if not callable(self._transform):
            raise TypeError(f"transformer={transformer!r}: expected one with a method transform, or a callable")
        self._name, self._rows, self.progress = _settings(transformer), rows, progress
        self._first = self.values(slice(0, _PROBE), slice(None))
        if self._first.ndim != 2:
            raise ValueError(f"the transformer made an array of shape {self._first.shape} of rows; expected (n, m)")

    @property
    @override
    def shape(self) -> tuple[int, int]:
        return self._rows.shape[0], self._first.shape[1]

    @override
    def identity(self) -> dict[str, Any]:
        rows = self._rows
        data = rows.identity() if isinstance(rows, DatasetImages) else hash_data(rows)
        about = {"shape": list(rows.shape), "dtype": dtype_name(rows), "data": data}
        return {"library": library_version(), "transformer": self._name, "its output": _signature(self._first)} | about

    @override
    def values(self, rows: slice, columns: slice) -> np.ndarray:
        features = self._transform(self._rows[rows])
        array = features.detach().cpu().numpy() if isinstance(features, Tensor) else np.asarray(features)
        return array[:, columns] if array.ndim == 2 else array

    @override
    def side(self, entry: np.ndarray) -> int:
        return max(1, min(_MOST, _NUMBERS // max(self._first.shape[1], math.prod(self._rows.shape[1:]))))


def _rows(X: Any) -> Any:
    if DatasetImages.describes(X):
        rows = DatasetImages(X)
    elif isinstance(X, Tensor):
        rows = X.detach()
    else:
        rows = X.tocsr() if hasattr(X, "tocsr") else as_array(X, "X")
    if len(rows.shape) < 2 or not rows.shape[0]:
        raise ValueError(f"X: expected one row at least, shape (n, d) or (n, channels, ...); got {tuple(rows.shape)}")
    return rows


def _settings(transformer: Any) -> str:
    """What a transformer was made with, the same in any process."""
    if not isinstance(transformer, BaseEstimator):
        return type(transformer).__name__
    return re.sub(r" at 0x[0-9A-Fa-f]+", "", " ".join(transformer.__repr__(N_CHAR_MAX=2**20).split()))


def _signature(features: np.ndarray) -> list[float]:
    """Some numbers that are the same for features equal to rounding, and hardly for others."""
    values = features.astype(np.float64).ravel()
    norm = float(np.linalg.norm(values))
    place = np.arange(1, len(values) + 1)
    waves = [float(values @ np.cos(k * place)) / norm if norm else 0.0 for k in range(1, 5)]
    return [float(f"{norm:.3g}"), *(round(wave, 3) + 0.0 for wave in waves)]
