"""Smooth activations without a closed dual: sigmoids and ramps."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor

from neural_kernels.activations.numeric import NumericActivation


@dataclass(frozen=True)
class Tanh(NumericActivation):
    """tanh(x)."""

    def fn(self, x: Tensor) -> Tensor:
        """Hyperbolic tangent."""
        return torch.tanh(x)


@dataclass(frozen=True)
class Sigmoid(NumericActivation):
    """1 / (1 + exp(-x))."""

    def fn(self, x: Tensor) -> Tensor:
        """Logistic function."""
        return torch.sigmoid(x)


@dataclass(frozen=True)
class Softplus(NumericActivation):
    """log(1 + exp(x))."""

    def fn(self, x: Tensor) -> Tensor:
        """Smooth ramp; linear only where float64 is."""
        return F.softplus(x, threshold=40.0)


@dataclass(frozen=True)
class SiLU(NumericActivation):
    """x / (1 + exp(-x)), also called swish."""

    def fn(self, x: Tensor) -> Tensor:
        """Sigmoid-weighted linear unit."""
        return F.silu(x)


@dataclass(frozen=True)
class Mish(NumericActivation):
    """x tanh(log(1 + exp(x)))."""

    def fn(self, x: Tensor) -> Tensor:
        """Self-regularised ramp."""
        return F.mish(x)


@dataclass(frozen=True)
class LogSigmoid(NumericActivation):
    """-log(1 + exp(-x))."""

    def fn(self, x: Tensor) -> Tensor:
        """Logarithm of the logistic function."""
        return F.logsigmoid(x)


@dataclass(frozen=True)
class Tanhshrink(NumericActivation):
    """x - tanh(x)."""

    def fn(self, x: Tensor) -> Tensor:
        """Identity less hyperbolic tangent."""
        return x - torch.tanh(x)


@dataclass(frozen=True)
class GELUTanh(NumericActivation):
    """x (1 + tanh(sqrt(2 / pi) (x + 0.044715 x^3))) / 2, the approximation of GELU used by transformers."""

    def fn(self, x: Tensor) -> Tensor:
        """GELU by tanh."""
        return F.gelu(x, approximate="tanh")
