"""Which combinations of a module's outputs a kernel is of: a matrix V goes in, what is probed and kept comes out."""

from __future__ import annotations

import math
from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True)
class OutputProjection:
    """The combinations of outputs f V that a kernel is of, and whether their kernels are averaged.

    Parameters
    ----------
    columns : Tensor, shape (o, k)
        The matrix V: k combinations of a module's o outputs. Each costs a backward pass.
    averaged : bool
        True for the mean of the k diagonal kernels in place of all k x k: the k gradients of an example are then taken
        for a single long one.
    """

    columns: Tensor
    averaged: bool = False

    @property
    def probed(self) -> int:
        """Combinations k of which gradients are formed."""
        return self.columns.shape[1]

    @property
    def kept(self) -> int:
        """Rows of an entry of the kernel, as a matrix over outputs."""
        return 1 if self.averaged else self.columns.shape[1]

    def scaled(self) -> Tensor:
        """The columns, over the root of k if kernels are averaged: inner products then need no further factor."""
        return self.columns / math.sqrt(self.columns.shape[1]) if self.averaged else self.columns
