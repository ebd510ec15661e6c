"""What a fitted exact model holds beside its rows and coefficients, and makes again where it does not."""

from __future__ import annotations

from typing import Any

import numpy as np

from neural_kernels.estimators import settings
from neural_kernels.estimators.network_parameters import NetworkParameters
from neural_kernels.exact.bound import BoundLater
from neural_kernels.runtime.lazy import cached_property
from neural_kernels.runtime.types import Array
from neural_kernels.solvers.protocol import IterativeSolver


class HeldFactor(NetworkParameters):
    """Private base: the factorised kernel matrix, n^2 numbers, and the kernel made ready for single rows."""

    kernel: Any
    kernel_: Any
    solver_: Any
    support_: np.ndarray
    X_fit_: Any
    _weights: Array
    keep_factor: bool | None = None  # of models that were stored before there was a choice

    def __getstate__(self) -> dict[str, Any]:
        """Without the factorised kernel matrix, n^2 numbers, where the training rows say what it was."""
        state: Any = super().__getstate__()
        if "_system" in state and isinstance(self.solver_, IterativeSolver) == settings.is_precomputed(self.kernel):
            del state["_system"]
        state.pop("_bound", None)
        return state

    @cached_property
    def _bound(self) -> Any:
        """The kernel against the training rows: set by `fit`, and made again by a model that was stored."""
        return BoundLater(self.kernel_, self.X_fit_)

    @cached_property
    def _system(self) -> Any:
        """Set by `fit`; made again by a model that does not hold it, when it is first asked for what takes it."""
        if settings.is_precomputed(self.kernel):
            raise ValueError(
                'kernel="precomputed": the Gram matrix was not stored with the model, or keep_factor is False; fit it '
                "again"
            )
        return self.solver_.system(np.asarray(self.kernel_(self.X_fit_)), self._weights)

    def _let_go(self) -> None:
        """At the end of `fit`: let go of the factorised kernel matrix, unless it is to be kept."""
        if not isinstance(self.solver_, IterativeSolver) and not settings.keeps_factor(
            self.keep_factor, len(self.support_), self.kernel
        ):
            del self._system
