"""How large the weights and biases of a finite affine map are."""

from __future__ import annotations

import math
from dataclasses import dataclass


@dataclass(frozen=True)
class Variances:
    """Variances of an affine map's weights, times their number of inputs, and of its biases.

    Parameters
    ----------
    weight : float
    bias : float or None
        None: no biases.
    standard : bool
        The standard parametrisation, where the parameters themselves have these variances; otherwise parameters are
        standard normal and the standard deviations are factors in `forward`.
    """

    weight: float
    bias: float | None
    standard: bool = False

    def initial(self, fan_in: int) -> tuple[float, float]:
        """Return the standard deviations of the initial weights and biases."""
        return self._roots(fan_in) if self.standard else (1.0, 1.0)

    def factors(self, fan_in: int) -> tuple[float, float]:
        """Return what `forward` multiplies weights and biases by."""
        return (1.0, 1.0) if self.standard else self._roots(fan_in)

    def _roots(self, fan_in: int) -> tuple[float, float]:
        return math.sqrt(self.weight / fan_in), math.sqrt(self.bias or 0.0)
