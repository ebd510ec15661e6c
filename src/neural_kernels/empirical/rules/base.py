"""The interface of layers whose gradients are known: what a layer read and the gradients by what it wrote go in.

The gradients by its parameters come out: whole, or as the two factors of a sum of outer products over positions.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, NamedTuple

import torch
from torch import Tensor

from neural_kernels.empirical.rules.inputs import LayerInput, RowInput


class CallSize(NamedTuple):
    """How large one call of a layer is for one example; costs and memory are counted from this.

    Parameters
    ----------
    positions : int
        Positions t over which the layer's parameters are shared: tokens, pixels, or 1.
    read : int
        Numbers that the layer reads at each position.
    wrote : int
        Numbers that it writes at each position.
    """

    positions: int
    read: int
    wrote: int


class LayerRule(ABC):
    """How the gradients of one kind of layer follow from what it read and the gradients by what it wrote.

    What it read comes as (n, r, ...) and the gradient of each of k outputs as a tensor (n, r, ...), with the r
    instances of an example that the layer saw as examples of their own (the tokens of a sequence, say, that were merged
    with the batch). `roles` are the parameters wanted, out of ``weight`` and ``bias``. Rules hold nothing: every method
    is handed the module.

    Attributes
    ----------
    needs_input : bool
        Whether gradients depend on what the layer read.
    outputs_at_once : int
        Outputs whose gradients are best formed together, by one call of `materialise`.
    """

    needs_input = True
    outputs_at_once = 1

    def has_factors(self, module: Any) -> bool:
        """Whether gradients are sums of outer products of `layer_input` and `by_position`, and that can be cheaper."""
        return True

    @abstractmethod
    def size(self, module: Any, read: Tensor, wrote: Tensor) -> CallSize:
        """The size of a call for one example, from what was read and written for several, (n, r, ...) each."""

    def layer_input(self, module: Any, read: Tensor, roles: tuple[str, ...]) -> LayerInput:
        """What was read at each position: the first factor of the gradients."""
        raise NotImplementedError

    def by_position(self, gradient: Tensor) -> Tensor:
        """The gradient by what was written, with its positions on one axis, (n, t, j): the second factor."""
        return gradient.flatten(1, -2)

    def prepare(self, module: Any, read: Tensor, roles: tuple[str, ...]) -> Any:
        """What `materialise` takes of the input, worked out once for the gradients of all outputs."""
        return None if roles == ("bias",) else self.layer_input(module, read, roles)

    def materialise(
        self, module: Any, prepared: Any, gradients: list[Tensor], roles: tuple[str, ...], into: Tensor, add: bool
    ) -> None:
        """Write the whole gradients of some outputs to `into`, (n, k, P), or add them to what is there.

        Parameters
        ----------
        module : Module
        prepared : object
            What `prepare` gave.
        gradients : list of k Tensors, shape (n, r, ...)
            By what the layer wrote, one tensor for each output.
        roles : tuple of str
        into : Tensor, shape (n, k, P)
            For each written channel, the weight's row and then the bias's number; other rules have an order of their
            own, the same for every call.
        add : bool
        """
        if prepared is None:
            self.sum_up(gradients, into, add)
        else:
            prepared.products(stacked([self.by_position(gradient) for gradient in gradients]), into, add)

    def sum_up(self, gradients: list[Tensor], into: Tensor, add: bool) -> None:
        """Write, or add, the gradients by a bias, (n, k, j): sums over positions of those by what was written."""
        for column, gradient in enumerate(gradients):
            write_or_add(self.by_position(gradient).sum(1), into[:, column], add)


def stacked(columns: list[Tensor]) -> Tensor:
    """Tensors along a new axis 2; a single one is not copied."""
    return columns[0].unsqueeze(2) if len(columns) == 1 else torch.stack(columns, 2)


def write_or_add(values: Tensor, into: Tensor, add: bool) -> None:
    """Overwrite `into`, or add to it, in place."""
    if add:
        into += values
    else:
        into.copy_(values)


def with_ones(rows: Tensor, roles: tuple[str, ...]) -> RowInput:
    """Vectors (n, t, i) with a constant input of 1 for the bias, if that is wanted: it is the weight of a constant."""
    ones = rows.new_ones(()).expand(*rows.shape[:-1], 1)
    if roles == ("bias",):
        return RowInput(ones)
    return RowInput(rows if "bias" not in roles else torch.cat([rows, ones], -1))
