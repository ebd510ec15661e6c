"""Which cells windows see: padding, strides and sizes of the finite modules on positions.

This is the oracle of `layers.windows`, and on purpose shares no code with it: one pads the data and cuts windows out of
them, the other tabulates which position each place of a window reads. A rule that is wrong in one shows as a finite
network whose kernel tends to another limit.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from typing_extensions import override

from neural_kernels.runtime.types import Shape

Amounts = tuple[tuple[int, int], ...]


class Pad(nn.Module):
    """Cells before and after the positions: zeros, or the data again from the other side."""

    def __init__(self, amounts: Amounts, circular: bool) -> None:
        super().__init__()
        self.amounts, self.circular = amounts, circular

    @override
    def forward(self, x: Tensor) -> Tensor:
        if not self.circular:
            return functional.pad(x, [n for pair in reversed(self.amounts) for n in pair])
        for dim, (before, after) in enumerate(self.amounts, start=2):
            x = x.index_select(dim, torch.arange(-before, x.shape[dim] + after, device=x.device) % x.shape[dim])
        return x

    @override
    def extra_repr(self) -> str:
        return f"{self.amounts}, circular={self.circular}"


@dataclass(frozen=True)
class Windows:
    """Windows over the positions of one example, with one number for each axis.

    Parameters
    ----------
    before : tuple of int
        Positions of the example.
    size, stride, dilation : tuple of int
    padding : tuple of str or (int, int)
        For each axis a name, or the cells before and behind the data.
    circular : bool
        Whether cells of padding are the data again.
    """

    before: Shape
    size: Shape
    stride: Shape
    dilation: Shape
    padding: tuple[Any, ...]
    circular: bool

    @classmethod
    def of(
        cls,
        positions: Shape,
        size: int | Sequence[int],
        stride: int | Sequence[int],
        dilation: int | Sequence[int],
        padding: Any,
    ) -> Windows:
        """Take settings for all axes, or for each."""
        axes = len(positions)
        size, stride, dilation = (each(value, axes) for value in (size, stride, dilation))
        return cls(positions, size, stride, dilation, paddings(padding, axes), padding == "circular")

    def pad(self) -> Pad:
        """Return the module that pads an example."""
        amounts = []
        for before, size, stride, dilation, padding in zip(
            self.before, self.size, self.stride, self.dilation, self.padding, strict=True
        ):
            if padding == "valid":
                amounts.append((0, 0))
            elif isinstance(padding, str):
                total = max((-(-before // stride) - 1) * stride + dilation * (size - 1) + 1 - before, 0)
                amounts.append((total // 2, total - total // 2))
            else:
                amounts.append(tuple(padding))
        return Pad(tuple(amounts), self.circular)

    def after(self) -> Shape:
        """Return how many windows there are along each axis; raise `ValueError` where one does not fit."""
        pad = self.pad()
        after = tuple(
            (before + sum(amount) - dilation * (size - 1) - 1) // stride + 1
            for before, amount, size, stride, dilation in zip(
                self.before, pad.amounts, self.size, self.stride, self.dilation, strict=True
            )
        )
        if min(after) < 1:
            raise ValueError(f"a window of {self.size} does not fit into positions of shape {self.before} with {pad}")
        return after

    def cut(self, padded: Tensor) -> Tensor:
        """Return the windows of padded examples: (n, channels, *windows, *size)."""
        for dim, (size, stride, dilation) in enumerate(zip(self.size, self.stride, self.dilation, strict=True), 2):
            padded = padded.unfold(dim, dilation * (size - 1) + 1, stride)[..., ::dilation]
        return padded


def positions_of(owner: object, shape: Shape, limit: int | None = None) -> Shape:
    """Return the positions of an example of shape (channels, *positions).

    Raises
    ------
    ValueError
        There are none, or more than ``limit`` axes of them; the message names ``owner``, the layer that asks.
    """
    axes = len(shape) - 1
    if axes < 1:
        raise ValueError(f"{owner!r} needs positions, (channels, *positions); the examples here have shape {shape}")
    if limit is not None and axes > limit:
        raise ValueError(f"{owner!r}: torch has no convolution of {axes} axes; to_torch takes {limit} at most")
    return shape[1:]


def each(value: int | Sequence[int], axes: int) -> Shape:
    """Return one number for each axis."""
    values = (value,) * axes if isinstance(value, int) else tuple(value)
    if len(values) != axes:
        raise ValueError(f"expected one number for each of {axes} axes of positions, got {values}")
    return values


def paddings(padding: Any, axes: int) -> tuple[Any, ...]:
    """Return for each axis a name or a pair (before, behind)."""
    if isinstance(padding, (str, int)):
        padding = (padding,) * axes
    if len(padding) != axes:
        raise ValueError(f"expected a padding for each of {axes} axes of positions, got {padding}")
    return tuple((each, each) if isinstance(each, int) else each for each in padding)


def ends(padding: Any, size: int, kernel: int, stride: int) -> tuple[int, int]:
    """Return the first cell that stays of a whole transposed convolution along one axis, and how many cells stay."""
    if padding == "valid":
        return 0, size * stride + max(kernel - stride, 0)
    if isinstance(padding, str):
        return max(kernel - stride, 0) // 2, size * stride
    before, after = padding
    return before, (size - 1) * stride + kernel - before - after
