"""Features of Dask collections."""

from __future__ import annotations

from typing import Any

import numpy as np

from neural_kernels.dask import passes
from neural_kernels.dask.lazy import RowFunction
from neural_kernels.dask.model import DaskModel, say
from neural_kernels.dask.partitions import is_array, read_partitions
from neural_kernels.dask.workers import submit_at
from neural_kernels.estimators import NeuralFeatures
from neural_kernels.estimators.atomic import atomic


class DaskNeuralFeatures(DaskModel):
    """:class:`NeuralFeatures` for rows in Dask collections: see :class:`DaskNeuralFeatureRegressor`.

    Parameters
    ----------
    network, kernel, n_components, method, augment, random_state
        As for :class:`NeuralFeatures`.
    client : distributed.Client, optional
        As for :class:`DaskNeuralFeatureRegressor`.

    Attributes
    ----------
    map_, n_components_, method_, reason_, ...
        All of :class:`NeuralFeatures`, and as there.

    Examples
    --------
    >>> import dask.array as da
    >>> from neural_kernels.dask import DaskNeuralFeatures
    >>> X = da.random.default_rng(0).standard_normal((3000, 4), chunks=(500, 4))
    >>> DaskNeuralFeatures(n_components=64, random_state=0).fit(X).transform(X)
    dask.array<transform, shape=(3000, 64), dtype=float64, chunksize=(500, 64), chunktype=numpy.ndarray>
    """

    local = NeuralFeatures

    def __init__(
        self,
        network: Any = None,
        *,
        kernel: Any = "ntk",
        n_components: int | str = 4096,
        method: Any = None,
        augment: Any = None,
        random_state: Any = None,
        client: Any = None,
    ):
        self.network = network
        self.kernel = kernel
        self.n_components = n_components
        self.method = method
        self.augment = augment
        self.random_state = random_state
        self.client = client

    @atomic
    def fit(self, X: Any, y: Any = None) -> DaskNeuralFeatures:
        """Build the map, from a uniform sample of the rows, in one pass over them; y is ignored.

        Parameters
        ----------
        X : Dask array or data frame, or list of delayed parts
            As for :meth:`DaskNeuralFeatureRegressor.fit`, without targets.
        y : object
        """
        partitions, model, client = read_partitions(X), self._unfitted(), self._client()
        if client is None:
            fitted, warned = passes.begin(passes.look(passes.load_here, partitions, model), model)
        else:
            address, found = passes.survey(client, model, partitions)
            fitted, warned = submit_at(client, address, passes.begin, found, model).result()
        say(warned)
        self._settled(fitted)
        return self

    def transform(self, X: Any) -> Any:
        """Features, lazily: a collection of the kind and partitions of X, shape (n, n_components)."""
        dtype = np.dtype(np.float32 if is_array(X) and X.dtype == np.float32 else np.float64)
        return self._lazily(RowFunction("transform", (self.n_components_,), dtype), X)

    def fit_transform(self, X: Any, y: Any = None) -> Any:
        """Build the map, and transform the same rows lazily."""
        return self.fit(X, y).transform(X)

    def get_feature_names_out(self, input_features: Any = None) -> np.ndarray:
        """Name the columns of the result, as :class:`NeuralFeatures` does."""
        return self._model().get_feature_names_out(input_features)
