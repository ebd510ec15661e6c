"""Ridge regression on features of Dask collections: what regressor and classifier share."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np

from neural_kernels.dask import passes
from neural_kernels.dask.model import DaskModel, say
from neural_kernels.dask.partitions import read_partitions
from neural_kernels.dask.workers import require_memory, submit_at
from neural_kernels.estimators.atomic import atomic
from neural_kernels.estimators.built import block_rows
from neural_kernels.estimators.settings import alphas_of_features
from neural_kernels.estimators.survey import map_of
from neural_kernels.solvers.moments import Moments


class DaskLinear(DaskModel):
    """Private base: a linear model on features of a collection."""

    n_components: int | str
    alpha: Any

    @atomic
    def fit(self, X: Any, y: Any = None, sample_weight: Any = None) -> Any:
        """Fit to a collection of rows, in two passes over it.

        Parameters
        ----------
        X : Dask array or data frame, or list of delayed parts
            Rows in partitions: an array chunked by rows, shape (n, d), whose n may be unknown; a data frame; a list of
            delayed (or scattered) arrays, CSR matrices, data frames or tuples (X, y[, sample_weight]).
        y, sample_weight : collections, optional
            In the partitions of X.

        Returns
        -------
        model
            Itself.

        Raises
        ------
        TypeError, ValueError
            What is no collection; columns in chunks, with the `rechunk` to write; rows that the local estimator
            refuses, with the number of their partition.
        MemoryError
            Before the sums begin, where a worker has less than they take.
        """
        partitions, model, client = read_partitions(X, y, sample_weight), self._unfitted(), self._client()
        if client is None:
            begun = passes.begin(passes.look(passes.load_here, partitions, model), model)
            say(begun[1])
            fitted = passes.solve(passes.take_in(passes.load_here, partitions, begun), begun)
        else:
            fitted = self._fit_on(client, model, partitions)
        self._settled(fitted)
        return self

    def _fit_on(self, client: Any, model: Any, partitions: Any) -> Any:
        if not isinstance(self.n_components, str):
            self._require_memory(client, int(self.n_components))
        address, found = passes.survey(client, model, partitions)
        begun = submit_at(client, address, passes.begin, found, model)
        columns, warned = submit_at(client, address, _described, begun).result()
        say(warned)
        self._require_memory(client, columns)
        return passes.sums(client, begun, partitions).result()

    def _require_memory(self, client: Any, m: int) -> None:
        """Of one worker: the moments, their copies while they are added to, merged and solved with, and blocks."""
        ridges = len(np.atleast_1d(alphas_of_features(self.alpha, ())))
        needed = Moments.memory(m, ridges) + 8 * m * m + 5 * 8 * block_rows(m) * m
        require_memory(client, needed, f"ridge regression on {m:,} features")

    def _predictor(self) -> Any:
        light = copy.copy(self._model())
        del light.moments_
        return light


def _described(begun: passes.Begun) -> tuple[int, list[Warning]]:
    return map_of(begun[0]).columns, begun[1]
