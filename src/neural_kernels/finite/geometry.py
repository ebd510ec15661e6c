"""Which cells windows see: padding, strides and sizes of the finite layers on positions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from neural_kernels.runtime.types import Shape

Amounts = tuple[tuple[int, int], ...]


class Pad(nn.Module):
    """Cells before and after the positions: zeros, or the data again from the other side."""

    def __init__(self, amounts: Amounts, circular: bool) -> None:
        super().__init__()
        self.amounts, self.circular = amounts, circular

    def forward(self, x: Tensor) -> Tensor:
        """Pad every axis of positions."""
        if not self.circular:
            return functional.pad(x, [n for pair in reversed(self.amounts) for n in pair])
        for dim, (before, after) in enumerate(self.amounts, start=2):
            x = x.index_select(dim, torch.arange(-before, x.shape[dim] + after, device=x.device) % x.shape[dim])
        return x

    def extra_repr(self) -> str:
        """Amounts and kind."""
        return f"{self.amounts}, circular={self.circular}"


def axes(layer: Any, shape: Shape, limit: int | None = None) -> int:
    """Number of axes of positions."""
    axes = len(shape) - 1
    if axes < 1:
        raise ValueError(f"{layer!r} needs positions, (channels, *positions); the examples here have shape {shape}")
    if limit is not None and axes > limit:
        raise ValueError(f"{layer!r}: torch has no convolution of {axes} axes; to_torch takes {limit} at most")
    return axes


def each(value: int | Sequence[int], axes: int) -> Shape:
    """One number for each axis."""
    values = (value,) * axes if isinstance(value, int) else tuple(value)
    if len(values) != axes:
        raise ValueError(f"expected one number for each of {axes} axes of positions, got {values}")
    return values


def paddings(padding: Any, axes: int) -> tuple[Any, ...]:
    """For each axis a name or a pair."""
    if isinstance(padding, (str, int)):
        padding = (padding,) * axes
    if len(padding) != axes:
        raise ValueError(f"expected a padding for each of {axes} axes of positions, got {padding}")
    return tuple((each, each) if isinstance(each, int) else each for each in padding)


def pad(layer: Any, shape: Shape, window: Shape, dilation: Shape, stride: Shape | None = None) -> Pad:
    """The padding in cells."""
    axes = len(window)
    strides = each(layer.stride, axes) if stride is None else stride
    amounts = []
    for size, w, s, d, padding in zip(shape[1:], window, strides, dilation, paddings(layer.padding, axes), strict=True):
        if padding == "valid":
            amounts.append((0, 0))
        elif isinstance(padding, str):
            total = max((-(-size // s) - 1) * s + d * (w - 1) + 1 - size, 0)
            amounts.append((total // 2, total - total // 2))
        else:
            amounts.append(tuple(padding))
    return Pad(tuple(amounts), layer.padding == "circular")


def sizes(pad: Pad, shape: Shape, window: Sequence[int], stride: Shape, dilation: Shape) -> Shape:
    """Positions after windows."""
    sizes = tuple(
        (size + sum(amount) - d * (w - 1) - 1) // s + 1
        for size, amount, w, s, d in zip(shape[1:], pad.amounts, window, stride, dilation, strict=True)
    )
    if min(sizes) < 1:
        raise ValueError(f"a window of {tuple(window)} does not fit into positions of shape {shape[1:]} with {pad}")
    return sizes


def windows(x: Tensor, window: Shape, stride: Shape, dilation: Shape) -> Tensor:
    """(n, channels, *places, *window)."""
    for dim, (w, s, d) in enumerate(zip(window, stride, dilation, strict=True), start=2):
        x = x.unfold(dim, d * (w - 1) + 1, s)[..., ::d]
    return x


def ends(padding: Any, size: int, kernel: int, stride: int) -> tuple[int, int]:
    """First cell that stays of a whole transposed convolution, and how many cells stay."""
    if padding == "valid":
        return 0, size * stride + max(kernel - stride, 0)
    if isinstance(padding, str):
        return max(kernel - stride, 0) // 2, size * stride
    before, after = padding
    return before, (size - 1) * stride + kernel - before - after
