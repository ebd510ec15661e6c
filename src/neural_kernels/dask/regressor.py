"""Regression on features of Dask collections."""

from __future__ import annotations

from typing import Any

import numpy as np

from neural_kernels.dask.lazy import RowFunction
from neural_kernels.dask.linear import DaskLinear
from neural_kernels.estimators import NeuralFeatureRegressor


class DaskNeuralFeatureRegressor(DaskLinear):
    """:class:`NeuralFeatureRegressor` for rows in Dask collections, on a cluster or one machine.

    It is the model that :class:`NeuralFeatureRegressor` is of the same rows, whatever their partitions and however many
    workers there are, up to rounding. A first pass takes a uniform sample of the rows, from which the map learns; in a
    second one, each worker sums products of features over its partitions, and the sums are merged in pairs. What is
    lost with a worker is computed again by others.

    Parameters
    ----------
    network, kernel, n_components, method, augment, alpha, selection, scoring, random_state, memory_budget, verbose
        As for :class:`NeuralFeatureRegressor`; the budget is that of a worker.
    client : distributed.Client, optional
        None: the current one; where there is none, partitions are gone through in this process, one after the other.
        Not part of a pickle.

    Attributes
    ----------
    coef_, intercept_, alpha_, ridge_, loo_scores_, map_, ...
        All of :class:`NeuralFeatureRegressor`, and as there.

    Notes
    -----
    Partitions are computed as they are needed, twice, and held one at a time by each worker; those in the memory of
    the cluster (`persist`) are used where they are. A task uses all threads of its worker.

    Memory of a worker: a partition, and 24 m^2 bytes for one alpha, 32 m^2 for several; it is compared with the
    workers' `memory_limit` first. Each worker but one sends its sums once, and receives the map: see
    :class:`NeuralFeatureRegressor` for their size, and for operations.

    Examples
    --------
    >>> import dask.array as da
    >>> import numpy as np
    >>> from neural_kernels.dask import DaskNeuralFeatureRegressor
    >>> X = da.random.default_rng(0).standard_normal((3000, 4), chunks=(500, 4))
    >>> model = DaskNeuralFeatureRegressor(n_components=128, random_state=0)
    >>> model.fit(X, X[:, 0] * X[:, 1]).predict(X)
    dask.array<predict, shape=(3000,), dtype=float64, chunksize=(500,), chunktype=numpy.ndarray>
    >>> model.to_local().predict(np.ones((1, 4))).shape
    (1,)
    """

    local = NeuralFeatureRegressor

    def __init__(
        self,
        network: Any = None,
        *,
        kernel: Any = "ntk",
        n_components: int | str = 4096,
        method: Any = None,
        augment: Any = None,
        alpha: Any = None,
        selection: Any = "loo",
        scoring: Any = None,
        random_state: Any = None,
        memory_budget: int | None = None,
        verbose: int = 0,
        client: Any = None,
    ):
        self.network = network
        self.kernel = kernel
        self.n_components = n_components
        self.method = method
        self.augment = augment
        self.alpha = alpha
        self.selection = selection
        self.scoring = scoring
        self.random_state = random_state
        self.memory_budget = memory_budget
        self.verbose = verbose
        self.client = client

    def predict(self, X: Any) -> Any:
        """Predict, lazily: a collection of the kind and partitions of X, shape (n,) or (n, n_outputs).

        Deviations and intervals are the local model's: `to_local`.
        """
        coefficients = self.coef_
        return self._lazily(RowFunction("predict", coefficients.shape[:-1], np.dtype(np.float64)), X)
