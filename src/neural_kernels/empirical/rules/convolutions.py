"""Gradients of convolutions."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812

from neural_kernels.empirical.rules.base import Rule, Size, put, stacked, with_ones
from neural_kernels.empirical.rules.cache import steps
from neural_kernels.empirical.rules.inputs import Left, Patches


class ConvolutionRule(Rule):
    """Positions are those of the output; patches are read."""

    together = 4

    def separates(self, module: Any) -> bool:
        """Groups of channels have few parameters, and read different things."""
        return module.groups == 1

    def size(self, module: Any, read: Tensor, wrote: Tensor) -> Size:
        """A patch of every channel is read at each position."""
        positions = wrote.numel() // (len(wrote) * module.out_channels)
        return Size(positions, module.weight[0].numel(), module.out_channels)

    def left(self, module: Any, read: Tensor, roles: tuple[str, ...]) -> Left:
        """Patches; for one group of channels."""
        n, r = read.shape[:2]
        patches = _patches(module, read.flatten(0, 1))
        rows = with_ones(patches.unflatten(0, (n, r)).flatten(1, 2), roles)
        return Patches(rows.values, module.in_channels) if "weight" in roles else rows

    def right(self, gradient: Tensor) -> Tensor:
        """Channels last."""
        return gradient.movedim(2, -1).flatten(1, -2)

    def prepare(self, module: Any, read: Tensor, roles: tuple[str, ...]) -> Tensor | None:
        """Images, if they matter."""
        return read if "weight" in roles else None

    def materialise(
        self, module: Any, prepared: Any, gradients: list[Tensor], roles: tuple[str, ...], into: Tensor, add: bool
    ) -> None:
        """The weight gradient of a convolution in which every example is a group of channels, some at a time."""
        n, r = gradients[0].shape[:2]
        table = into.view(n, len(gradients), module.out_channels, -1)
        if "bias" in roles:
            self.sum_up(gradients, table[..., -1], add)
        if prepared is None:
            return
        weights = table[..., : module.weight[0].numel()]
        for rows in steps(n, len(gradients) * gradients[0][0].numel()):
            wrote = stacked([gradient[rows] for gradient in gradients]).flatten(0, 1)  # (n r, k, j, *positions)
            values = _weight_gradients(module, prepared[rows].flatten(0, 1), wrote)
            put(_over_instances(values, r), weights[rows], add)


def _over_instances(values: Tensor, count: int) -> Tensor:
    """(n r, ...) to (n, ...)."""
    return values if count == 1 else values.unflatten(0, (-1, count)).sum(1)


def _padded(module: Any, read: Tensor) -> tuple[Tensor, list[int]]:
    """Inputs with everything padded that the operators of torch do not pad alike on both sides with zeros."""
    if module.padding_mode == "zeros" and not isinstance(module.padding, str):
        return read, list(module.padding)
    mode = "constant" if module.padding_mode == "zeros" else module.padding_mode
    return F.pad(read, module._reversed_padding_repeated_twice, mode), [0] * len(module.kernel_size)


def _weight_gradients(module: Any, read: Tensor, gradients: Tensor) -> Tensor:
    """(n, c, *) and (n, k, j, *) to (n, k, j, patch)."""
    n, k, j = gradients.shape[:3]
    g = module.groups
    read, padding = _padded(module, read)
    grouped = gradients.unflatten(2, (g, j // g)).transpose(1, 2).flatten(0, 3)[None]
    weight = read.new_empty(1).expand(n * k * j, *module.weight.shape[1:])
    _, result, _ = torch.ops.aten.convolution_backward(
        grouped,
        read.flatten(0, 1)[None],
        weight,
        None,
        module.stride,
        padding,
        module.dilation,
        False,
        [0],
        n * g,
        [False, True, False],
    )
    return result.view(n, g, k, j // g, -1).transpose(1, 2).reshape(n, k, j, -1)


def _patches(module: Any, read: Tensor) -> Tensor:
    """(n, c, *) to (n, positions, patch), channels last."""
    read, padding = _padded(module, read)
    read = F.pad(read, [p for side in reversed(padding) for p in (side, side)]).movedim(1, -1).contiguous()
    spatial = len(module.kernel_size)
    for axis, (kernel, stride, dilation) in enumerate(
        zip(module.kernel_size, module.stride, module.dilation, strict=True)
    ):
        reach = dilation * (kernel - 1) + 1
        read = read.unfold(1 + axis, reach, stride)[..., ::dilation]
    return read.movedim(1 + spatial, -1).flatten(1 + spatial).flatten(1, spatial)
