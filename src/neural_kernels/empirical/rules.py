"""Layers whose parameter gradients are known from what the layer read and the gradients by what it wrote."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, NamedTuple

import torch
from torch import Tensor

from neural_kernels.empirical.factors import Factor, Materialised, Outer, Rows


class Size(NamedTuple):
    """Of one use and example: positions, and lengths of what was read and written at each."""

    positions: int
    read: int
    wrote: int


class Rule(ABC):
    """How a kind of layer's gradients come about.

    What it read comes as (n, r, ...) and the gradients as k tensors (n, r, ...), with the r instances of an example
    that the layer saw as examples of their own. `roles` are the parameters wanted, of ``weight`` and ``bias``.
    """

    reads = True  # whether what was read matters

    def separates(self, module: Any) -> bool:
        """Whether `outer` exists."""
        return True

    @abstractmethod
    def size(self, module: Any, read: Tensor, wrote: Tensor) -> Size:
        """What the cost of contractions depends on."""

    def outer(self, module: Any, read: Tensor, gradients: list[Tensor], roles: tuple[str, ...]) -> Outer:
        """The gradients as sums of outer products."""
        raise NotImplementedError

    def materialise(self, module: Any, read: Tensor, gradients: list[Tensor], roles: tuple[str, ...]) -> Factor:
        """The gradients themselves."""
        return Materialised(self.outer(module, read, gradients, roles).materialise())


def with_ones(rows: Tensor, roles: tuple[str, ...]) -> Rows:
    """A bias is the weight of a constant input."""
    ones = rows.new_ones(()).expand(*rows.shape[:-1], 1)
    if roles == ("bias",):
        return Rows(ones)
    return Rows(rows if "bias" not in roles else torch.cat([rows, ones], -1))
