"""Results for collections, computed partition by partition when they are asked for."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from dask.delayed import delayed

from neural_kernels.dask.partitions import is_array, is_frame, is_future, require_collection
from neural_kernels.runtime.boundary import require_whole_rows


@dataclass(frozen=True)
class RowFunction:
    """A method of a model as a function of rows.

    Parameters
    ----------
    name : str
        Of the method.
    outputs : tuple of int
        Shape of the result for one row.
    dtype : dtype
    """

    name: str
    outputs: tuple[int, ...]
    dtype: Any

    def __call__(self, rows: Any, model: Any) -> Any:
        """The result for rows in memory; of a data frame, one with its index."""
        empty = np.empty((0, *self.outputs), self.dtype)
        result = getattr(model, self.name)(rows) if rows.shape[0] else empty
        return self._framed(result, rows.index) if hasattr(rows, "index") else result

    def lazily(self, X: Any, model: Any) -> Any:
        """The results for a collection, of the same kind and in the same partitions.

        Parameters
        ----------
        X : Dask array or data frame, or list of delayed parts
        model : object
            What `rows` are given to: an estimator, delayed or in the memory of a cluster.
        """
        require_collection(X)
        if is_array(X):
            return self._of_array(X, model)
        if is_frame(X):
            return X.map_partitions(self, model, meta=self._framed(np.empty((0, *self.outputs), self.dtype), None))
        function = delayed(self, pure=False)
        return [function(delayed(part) if is_future(part) else part, model) for part in X]

    def _of_array(self, X: Any, model: Any) -> Any:
        require_whole_rows(X)
        dropped = list(range(1 + len(self.outputs), X.ndim))
        chunks = (X.chunks[0], *((size,) for size in self.outputs))
        meta = np.empty((0,) * len(chunks), self.dtype)
        return X.map_blocks(self, model, token=self.name, dtype=self.dtype, chunks=chunks, drop_axis=dropped, meta=meta)

    def _framed(self, result: np.ndarray, index: Any) -> Any:
        import pandas as pd

        make = pd.DataFrame if self.outputs else pd.Series
        return make(result, index=index)
