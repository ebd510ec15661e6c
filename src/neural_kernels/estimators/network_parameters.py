"""Parameters of estimators' networks, ``network__depth`` and the like, as scikit-learn names those of parts."""

from __future__ import annotations

from typing import Any, Self

from sklearn.base import BaseEstimator
from typing_extensions import override

from neural_kernels.algebra import Layer
from neural_kernels.estimators import settings

_PART = "network__"


class NetworkParameters(BaseEstimator):
    """Private base: a network's arguments are parameters of its estimator, of the default network those of `nk.mlp`."""

    network: Any

    @override
    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """Parameters by name; `deep`: those of the network, too, if a function such as :func:`mlp` wrote it out."""
        parameters = super().get_params(deep)
        if deep and isinstance(self.network, Layer):
            parameters |= {_PART + name: value for name, value in self.network.arguments.items()}
        return parameters

    @override
    def set_params(self, **params: Any) -> Self:
        """Set parameters by name; ``network__depth`` and the like give the network anew."""
        changes = {name.removeprefix(_PART): value for name, value in params.items() if name.startswith(_PART)}
        super().set_params(**{name: value for name, value in params.items() if not name.startswith(_PART)})
        if changes:
            self.network = settings.network(self.network).with_arguments(**changes)
        return self
