"""Piecewise polynomial activations: clipped ramps and shrinkage."""

from __future__ import annotations

from dataclasses import dataclass

import torch.nn.functional as F  # noqa: N812
from torch import Tensor
from typing_extensions import override

from neural_kernels.activations.numeric import NumericActivation
from neural_kernels.checks import require_positive


@dataclass(frozen=True)
class HardTanh(NumericActivation):
    """min(max(x, -1), 1)."""

    _kinks = (-1.0, 1.0)

    @override
    def fn(self, x: Tensor) -> Tensor:
        return F.hardtanh(x)


@dataclass(frozen=True)
class HardSigmoid(NumericActivation):
    """min(max(x / 6 + 1 / 2, 0), 1)."""

    _kinks = (-3.0, 3.0)

    @override
    def fn(self, x: Tensor) -> Tensor:
        return F.relu6(x + 3) / 6


@dataclass(frozen=True)
class HardSwish(NumericActivation):
    """x min(max(x / 6 + 1 / 2, 0), 1)."""

    _kinks = (-3.0, 3.0)

    @override
    def fn(self, x: Tensor) -> Tensor:
        return x * F.relu6(x + 3) / 6


@dataclass(frozen=True)
class ReLU6(NumericActivation):
    """min(max(x, 0), 6)."""

    _kinks = (0.0, 6.0)

    @override
    def fn(self, x: Tensor) -> Tensor:
        return F.relu6(x)


@dataclass(frozen=True)
class SoftShrink(NumericActivation):
    """x moved towards 0 by ``lambd`` > 0, and 0 where it is nearer than that."""

    lambd: float = 0.5

    def __post_init__(self) -> None:
        require_positive(self, lambd=self.lambd)

    @property
    @override
    def kinks(self) -> tuple[float, ...]:
        return (-self.lambd, self.lambd)

    @override
    def fn(self, x: Tensor) -> Tensor:
        return F.softshrink(x, self.lambd)


@dataclass(frozen=True)
class HardShrink(NumericActivation):
    """x where |x| > ``lambd`` > 0, else 0."""

    lambd: float = 0.5

    def __post_init__(self) -> None:
        require_positive(self, lambd=self.lambd)

    @property
    @override
    def kinks(self) -> tuple[float, ...]:
        return (-self.lambd, self.lambd)

    @override
    def fn(self, x: Tensor) -> Tensor:
        return F.hardshrink(x, self.lambd)
