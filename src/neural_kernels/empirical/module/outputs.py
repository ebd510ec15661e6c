"""Which combinations of a module's outputs a kernel is of."""

from __future__ import annotations

import math
from dataclasses import dataclass

from torch import Tensor


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

    def scaled(self) -> Tensor:
        """Columns whose inner products need no further factor."""
        return self.columns / math.sqrt(self.columns.shape[1]) if self.averaged else self.columns
