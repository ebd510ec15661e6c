"""Layers whose parameter gradients are known from what the layer read and the gradients by what it wrote."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, NamedTuple

import torch
from torch import Tensor

from neural_kernels.empirical.rules.inputs import Left, Rows


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
    together = 1  # outputs whose gradients are best formed at once

    def separates(self, module: Any) -> bool:
        """Whether `outer` exists."""
        return True

    @abstractmethod
    def size(self, module: Any, read: Tensor, wrote: Tensor) -> Size:
        """What the cost of contractions depends on."""

    def left(self, module: Any, read: Tensor, roles: tuple[str, ...]) -> Left:
        """What was read at each position, as the gradients' left side."""
        raise NotImplementedError

    def right(self, gradient: Tensor) -> Tensor:
        """The gradient by what was written at each position, (n, t, j)."""
        return gradient.flatten(1, -2)

    def prepare(self, module: Any, read: Tensor, roles: tuple[str, ...]) -> Any:
        """What of it `materialise` takes, once for the gradients of all outputs."""
        return None if roles == ("bias",) else self.left(module, read, roles)

    def materialise(
        self, module: Any, prepared: Any, gradients: list[Tensor], roles: tuple[str, ...], into: Tensor, add: bool
    ) -> None:
        """Write whole gradients of some outputs, (n, k, P), or add them to what is there."""
        if prepared is None:
            self.sum_up(gradients, into, add)
        else:
            prepared.products(stacked([self.right(gradient) for gradient in gradients]), into, add)

    def sum_up(self, gradients: list[Tensor], into: Tensor, add: bool) -> None:
        """Write, or add, sums over positions of the gradients by what was written, (n, k, j): those of a bias."""
        for column, gradient in enumerate(gradients):
            put(self.right(gradient).sum(1), into[:, column], add)


def stacked(columns: list[Tensor]) -> Tensor:
    """Along a new axis 2; one alone as it is."""
    return columns[0].unsqueeze(2) if len(columns) == 1 else torch.stack(columns, 2)


def put(values: Tensor, into: Tensor, add: bool) -> None:
    """Write or add."""
    if add:
        into += values
    else:
        into.copy_(values)


def with_ones(rows: Tensor, roles: tuple[str, ...]) -> Rows:
    """A bias is the weight of a constant input."""
    ones = rows.new_ones(()).expand(*rows.shape[:-1], 1)
    if roles == ("bias",):
        return Rows(ones)
    return Rows(rows if "bias" not in roles else torch.cat([rows, ones], -1))
