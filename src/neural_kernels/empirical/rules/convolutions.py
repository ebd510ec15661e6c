"""Gradients of convolutions: from patches of the images, as vectors, or by torch's own operator for the weight's.

Images (n, r, c, *spatial) and the gradients by what was written, (n, r, j, *positions), go in. As factors they become
patches and rows of channels; whole gradients of many examples come from one convolution, in which every example is a
group of channels.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812
from typing_extensions import override

from neural_kernels.empirical.rules.base import CallSize, LayerRule, stacked, with_ones, write_or_add
from neural_kernels.empirical.rules.cache import steps
from neural_kernels.empirical.rules.inputs import LayerInput, PatchInput


class ConvolutionRule(LayerRule):
    """`nn.Conv1d`, `Conv2d` and `Conv3d`: positions are those of the output, and at each of them a patch is read."""

    outputs_at_once = 4  # one convolution serves them all

    @override
    def has_factors(self, module: Any) -> bool:
        """Only for one group of channels: several have few parameters each, and read different patches."""
        return module.groups == 1

    @override
    def size(self, module: Any, read: Tensor, wrote: Tensor) -> CallSize:
        positions = wrote.numel() // (len(wrote) * module.out_channels)
        return CallSize(positions, module.weight[0].numel(), module.out_channels)

    @override
    def layer_input(self, module: Any, read: Tensor, roles: tuple[str, ...]) -> LayerInput:
        n, r = read.shape[:2]
        patches = _patches(module, read.flatten(0, 1))
        rows = with_ones(patches.unflatten(0, (n, r)).flatten(1, 2), roles)
        return PatchInput(rows.values, module.in_channels) if "weight" in roles else rows

    @override
    def by_position(self, gradient: Tensor) -> Tensor:
        return gradient.movedim(2, -1).flatten(1, -2)

    @override
    def prepare(self, module: Any, read: Tensor, roles: tuple[str, ...]) -> Tensor | None:
        return read if "weight" in roles else None

    @override
    def materialise(
        self, module: Any, prepared: Any, gradients: list[Tensor], roles: tuple[str, ...], into: Tensor, add: bool
    ) -> None:
        """By the weight gradient of one convolution in which every example is a group of channels, some at a time."""
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
            write_or_add(_over_instances(values, r), weights[rows], add)


def _over_instances(values: Tensor, count: int) -> Tensor:
    """Sums over the `count` instances of each example: (n r, ...) to (n, ...)."""
    return values if count == 1 else values.unflatten(0, (-1, count)).sum(1)


def _padded(module: Any, read: Tensor) -> tuple[Tensor, list[int]]:
    """Images, and the zeros that an operator has still to pad on both sides of each axis.

    The operators of torch pad with zeros, as much on either side; whatever is padded otherwise is padded here.
    """
    if module.padding_mode == "zeros" and not isinstance(module.padding, str):
        return read, list(module.padding)
    mode = "constant" if module.padding_mode == "zeros" else module.padding_mode
    return F.pad(read, module._reversed_padding_repeated_twice, mode), [0] * len(module.kernel_size)


def _weight_gradients(module: Any, read: Tensor, gradients: Tensor) -> Tensor:
    """The weight's gradients, (n, k, j, patch), from images (n, c, *) and gradients by the output, (n, k, j, *)."""
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
    """The patches of images (n, c, *) that the kernel reads, (n, positions, patch), each with its channels last."""
    read, padding = _padded(module, read)
    read = F.pad(read, [p for side in reversed(padding) for p in (side, side)]).movedim(1, -1).contiguous()
    spatial = len(module.kernel_size)
    for axis, (kernel, stride, dilation) in enumerate(
        zip(module.kernel_size, module.stride, module.dilation, strict=True)
    ):
        reach = dilation * (kernel - 1) + 1
        read = read.unfold(1 + axis, reach, stride)[..., ::dilation]
    return read.movedim(1 + spatial, -1).flatten(1 + spatial).flatten(1, spatial)
