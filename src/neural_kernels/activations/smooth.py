"""Smooth activations without a closed dual: sigmoids and ramps."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor
from typing_extensions import override

from neural_kernels.activations.numeric import NumericActivation


@dataclass(frozen=True)
class Tanh(NumericActivation):
    """tanh(x)."""

    @override
    def fn(self, x: Tensor) -> Tensor:
        return torch.tanh(x)


@dataclass(frozen=True)
class Sigmoid(NumericActivation):
    """1 / (1 + exp(-x))."""

    @override
    def fn(self, x: Tensor) -> Tensor:
        return torch.sigmoid(x)


@dataclass(frozen=True)
class Softplus(NumericActivation):
    """log(1 + exp(x))."""

    @override
    def fn(self, x: Tensor) -> Tensor:
        """Apply the smooth ramp, which is linear only where it is so in float64."""
        return F.softplus(x, threshold=40.0)


@dataclass(frozen=True)
class SiLU(NumericActivation):
    """x / (1 + exp(-x)), also called swish."""

    @override
    def fn(self, x: Tensor) -> Tensor:
        return F.silu(x)


@dataclass(frozen=True)
class Mish(NumericActivation):
    """x tanh(log(1 + exp(x)))."""

    @override
    def fn(self, x: Tensor) -> Tensor:
        return F.mish(x)


@dataclass(frozen=True)
class LogSigmoid(NumericActivation):
    """-log(1 + exp(-x))."""

    @override
    def fn(self, x: Tensor) -> Tensor:
        return F.logsigmoid(x)


@dataclass(frozen=True)
class Tanhshrink(NumericActivation):
    """x - tanh(x)."""

    @override
    def fn(self, x: Tensor) -> Tensor:
        return x - torch.tanh(x)


@dataclass(frozen=True)
class GELUTanh(NumericActivation):
    """x (1 + tanh(sqrt(2 / pi) (x + 0.044715 x^3))) / 2, the approximation of GELU used by transformers."""

    @override
    def fn(self, x: Tensor) -> Tensor:
        return F.gelu(x, approximate="tanh")
