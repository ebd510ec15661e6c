"""Which combinations of a module's outputs a kernel is of."""

from __future__ import annotations

import math
from dataclasses import dataclass

from torch import Tensor

from neural_kernels.empirical.factored.factors import Factor, Materialised, Outer


@dataclass(frozen=True)
class Probe:
    """Which combinations of outputs count, and whether their kernels are averaged.

    Parameters
    ----------
    columns : Tensor, shape (o, k)
    averaged : bool
        The mean of the k diagonal kernels instead of all k x k: the outputs become one long gradient.
    """

    columns: Tensor
    averaged: bool = False

    @property
    def kept(self) -> int:
        """Outputs of the kernel."""
        return 1 if self.averaged else self.columns.shape[1]

    def fold(self, factor: Factor) -> Factor:
        """Gradients of all columns, as those of the outputs that are kept."""
        if not self.averaged:
            return factor
        if isinstance(factor, Materialised):
            return Materialised(factor.values.flatten(1)[:, None])
        assert isinstance(factor, Outer)
        return Outer(factor.left, factor.right.flatten(2)[:, :, None])

    def scaled(self) -> Tensor:
        """Columns whose inner products need no further factor."""
        return self.columns / math.sqrt(self.columns.shape[1]) if self.averaged else self.columns
