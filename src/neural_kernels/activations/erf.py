"""The error function."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor
from typing_extensions import override

from neural_kernels.activations.base import Activation
from neural_kernels.activations.expectations.normal import BivariateNormal
from neural_kernels.checks import require_finite


@dataclass(frozen=True)
class Erf(Activation):
    """``a erf(b x) + c``.

    With ``R^2 = 1 + 2 b^2 (p + q) + 4 b^4 (p q - k^2)``,
    ``kappa = (2 a^2 / pi) atan2(2 b^2 k, R) + c^2`` and ``slope = 4 a^2 b^2 / (pi R)``
    (Williams, NeurIPS 1996, with the arcsine written so that nothing cancels).

    Parameters
    ----------
    a, b, c : float
    """

    a: float = 1.0
    b: float = 1.0
    c: float = 0.0

    def __post_init__(self) -> None:
        require_finite(self, a=self.a, b=self.b, c=self.c)

    @override
    def fn(self, x: Tensor) -> Tensor:
        return self.a * torch.erf(self.b * x) + self.c

    @property
    @override
    def closed_form(self) -> bool:
        return True

    @property
    @override
    def odd(self) -> bool:
        """Whether there is no offset c."""
        return self.c == 0

    def _root(self, normal: BivariateNormal) -> Tensor:
        square = self.b**2
        return torch.sqrt(1 + 2 * square * (normal.var1 + normal.var2) + 4 * square**2 * normal.det)

    @override
    def dual(self, normal: BivariateNormal) -> Tensor:
        angle = torch.atan2(2 * self.b**2 * normal.cov, self._root(normal))
        return 2 * self.a**2 / math.pi * angle + self.c**2

    @override
    def dual_slope(self, normal: BivariateNormal) -> Tensor:
        return 4 * (self.a * self.b) ** 2 / math.pi / self._root(normal)
