"""What a worker has summed, on its way to another one."""

from __future__ import annotations

import io
import pickle
from typing import Any

import cloudpickle
import numpy as np
from typing_extensions import override

from neural_kernels.features import FeatureMap

_MAP = "map"


class PartSums:
    """A model of a part of the rows, which travels without its map: landmarks and their factor, that all workers have.

    Parameters
    ----------
    model : estimator
    """

    def __init__(self, model: Any) -> None:
        self._model = model
        self._packed: np.ndarray | None = None  # its bytes, where it has come from elsewhere

    def model(self, fitted: FeatureMap) -> Any:
        """The model, with the map that it was begun with."""
        if self._model is not None:
            return self._model
        assert self._packed is not None
        return _Reader(io.BytesIO(self._packed.tobytes()), fitted).load()

    def __getstate__(self) -> dict[str, Any]:
        if self._model is None:
            return vars(self)
        stream = io.BytesIO()
        _Writer(stream, pickle.HIGHEST_PROTOCOL).dump(self._model)
        # As an array, of which Dask makes no copy.
        return {"_model": None, "_packed": np.frombuffer(stream.getbuffer(), np.uint8)}


class _Writer(cloudpickle.Pickler):
    @override
    def persistent_id(self, obj: Any) -> str | None:
        return _MAP if isinstance(obj, FeatureMap) else None


class _Reader(pickle.Unpickler):
    def __init__(self, stream: io.BytesIO, fitted: FeatureMap) -> None:
        super().__init__(stream)
        self._fitted = fitted

    @override
    def persistent_load(self, pid: Any) -> FeatureMap:
        assert pid == _MAP
        return self._fitted
