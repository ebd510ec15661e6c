"""The Gaussian error linear unit."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor
from typing_extensions import override

from neural_kernels.activations.base import Activation
from neural_kernels.activations.expectations.normal import BivariateNormal


@dataclass(frozen=True)
class GELU(Activation):
    """x Phi(x), the exact form.

    With ``D = 1 + p + q + (p q - k^2)`` and ``omega = atan2(sqrt(D), -k)``,
    ``2 pi kappa = k omega + [k^2 / ((1 + p)(1 + q)) + D p q / ((1 + p)(1 + q))] / sqrt(D)`` and
    ``2 pi slope = omega + k / sqrt(D) [1 / D + 1 / (1 + p) + 1 / (1 + q)]``
    (Tsuchida, Pearce, van der Heide, Roosta and Gallagher, AAAI 2021, regrouped so that nothing large cancels).
    """

    @override
    def fn(self, x: Tensor) -> Tensor:
        return torch.nn.functional.gelu(x)

    @property
    @override
    def closed_form(self) -> bool:
        return True

    @property
    @override
    def odd(self) -> bool:
        return False

    @override
    def dual(self, normal: BivariateNormal) -> Tensor:
        p, q, k = normal.var1, normal.var2, normal.cov
        root = torch.sqrt(1 + p + q + normal.det)
        omega = torch.atan2(root, -k)
        curved = (k / (1 + p)) * (k / (1 + q)) / root + (p / (1 + p)) * (q / (1 + q)) * root
        return (k * omega + curved) / (2 * math.pi)

    @override
    def dual_slope(self, normal: BivariateNormal) -> Tensor:
        p, q, k = normal.var1, normal.var2, normal.cov
        square = 1 + p + q + normal.det
        root = torch.sqrt(square)
        omega = torch.atan2(root, -k)
        return (omega + k / root * (1 / square + 1 / (1 + p) + 1 / (1 + q))) / (2 * math.pi)
