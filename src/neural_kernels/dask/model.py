"""What the models of Dask collections share: a local model that comes from a cluster, and lazy results."""

from __future__ import annotations

import copy
import warnings
from typing import Any, ClassVar, Self

import numpy as np
from dask.delayed import delayed
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.utils import check_random_state

from neural_kernels.dask.lazy import RowFunction
from neural_kernels.dask.workers import current_client
from neural_kernels.estimators.network_parameters import NetworkParameters


class DaskModel(NetworkParameters):
    """Private base: parameters are those of a local estimator, and `client`."""

    local: ClassVar[type]  # the estimator that does the work
    client: Any
    random_state: Any
    _fitted: Any = None
    _sent: tuple[Any, Any] | None = None  # a client, and the future of what predicts there

    def __getstate__(self) -> dict[str, Any]:
        # A client is a connection of this process.
        return {**vars(self), "client": None, "_sent": None}

    def __sklearn_clone__(self) -> Self:
        parameters = self.get_params(deep=False)
        copied = {name: clone(value, safe=False) for name, value in parameters.items() if name != "client"}
        return type(self)(**copied).set_params(client=self.client)

    def __sklearn_is_fitted__(self) -> bool:
        return self._fitted is not None

    def __getattr__(self, name: str) -> Any:
        # What a fit gives is the local model's.
        if name.startswith("_") or not name.endswith("_"):
            raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")
        return getattr(self._model(), name)

    def to_local(self) -> Any:
        """Give the fitted local estimator: it needs no Dask, pickles, and goes on with `partial_fit`."""
        return copy.copy(self._model())

    def _model(self) -> Any:
        if self._fitted is None:
            raise NotFittedError(f"this {type(self).__name__} is not fitted yet: call fit first")
        return self._fitted

    def _unfitted(self) -> Any:
        """The local estimator, with a seed that all workers share."""
        parameters = {name: value for name, value in self.get_params(deep=False).items() if name != "client"}
        seed = parameters["random_state"]
        if not isinstance(seed, int | np.integer):
            parameters["random_state"] = int(check_random_state(seed).randint(np.iinfo(np.int32).max))
        return self.local(**parameters)

    def _settled(self, fitted: Any) -> None:
        """Keep what was fitted, under the parameters that were given."""
        given = self.get_params(deep=False)
        self._fitted = fitted.set_params(**{name: given[name] for name in fitted.get_params(deep=False)})
        self._sent = None

    def _client(self) -> Any:
        return current_client(self.client)

    def _lazily(self, function: RowFunction, X: Any) -> Any:
        """Results of the local model, which is sent once to every worker, without what only fitting needs."""
        self._model()
        client = self._client()
        if client is None:
            return function.lazily(X, delayed(self._predictor(), pure=False))
        if self._sent is None or self._sent[0] is not client:
            self._sent = client, client.scatter(self._predictor(), broadcast=True, hash=False)
        return function.lazily(X, self._sent[1])

    def _predictor(self) -> Any:
        """The fitted model without what prediction does not need."""
        return self._model()


def say(warned: list[Warning]) -> None:
    """Warn here of what a worker warned of."""
    for warning in warned:
        warnings.warn(warning, stacklevel=3)
