"""Finite convolutions, pools and interpolation; modules act on batches (n, channels, *positions)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from typing_extensions import override

from neural_kernels.finite.geometry import Windows, ends
from neural_kernels.finite.variances import Variances
from neural_kernels.runtime.types import Shape


class NTKConv(nn.Module):
    """A convolution of 1, 2 or 3 axes.

    Parameters
    ----------
    inputs, outputs : int
        Channels.
    windows : Windows
    variances : Variances
    generator : torch.Generator
        Of the initial weights, then of the biases.
    """

    def __init__(
        self, inputs: int, outputs: int, windows: Windows, variances: Variances, generator: torch.Generator
    ) -> None:
        super().__init__()
        self.stride, self.dilation, self.pad = windows.stride, windows.dilation, windows.pad()
        fan_in = inputs * math.prod(windows.size)
        initial, self.factors = variances.initial(fan_in), variances.factors(fan_in)
        self.weight = nn.Parameter(initial[0] * torch.randn(outputs, inputs, *windows.size, generator=generator))
        self.bias = None
        if variances.bias is not None:
            self.bias = nn.Parameter(initial[1] * torch.randn(outputs, generator=generator))

    @override
    def forward(self, x: Tensor) -> Tensor:
        convolve = (functional.conv1d, functional.conv2d, functional.conv3d)[len(self.stride) - 1]
        bias = None if self.bias is None else self.factors[1] * self.bias
        return convolve(self.pad(x), self.factors[0] * self.weight, bias, self.stride, 0, self.dilation)

    @override
    def extra_repr(self) -> str:
        return f"{tuple(self.weight.shape)}, stride={self.stride}, dilation={self.dilation}"


class NTKLocalConv(nn.Module):
    """A convolution of any number of axes with weights and biases of its own at every place.

    Parameters
    ----------
    inputs, outputs, windows, variances, generator
        As for `NTKConv`.
    """

    def __init__(
        self, inputs: int, outputs: int, windows: Windows, variances: Variances, generator: torch.Generator
    ) -> None:
        super().__init__()
        self.windows, self.pad, self.after = windows, windows.pad(), windows.after()
        places, taps = math.prod(self.after), math.prod(windows.size)
        initial, self.factors = variances.initial(inputs * taps), variances.factors(inputs * taps)
        self.weight = nn.Parameter(initial[0] * torch.randn(outputs, inputs, places, taps, generator=generator))
        self.bias = None
        if variances.bias is not None:
            self.bias = nn.Parameter(initial[1] * torch.randn(outputs, places, generator=generator))

    @override
    def forward(self, x: Tensor) -> Tensor:
        windows = self.windows.cut(self.pad(x)).reshape(*x.shape[:2], *self.weight.shape[2:])
        z = torch.einsum("ncpt,ocpt->nop", windows, self.factors[0] * self.weight)
        if self.bias is not None:
            z = z + self.factors[1] * self.bias
        return z.reshape(*z.shape[:2], *self.after)

    @override
    def extra_repr(self) -> str:
        windows = self.windows
        sizes = f"kernel={windows.size}, stride={windows.stride}, dilation={windows.dilation}"
        return f"{tuple(self.weight.shape)}, {sizes}"


class NTKConvTranspose(nn.Module):
    """A transposed convolution of 1, 2 or 3 axes: every cell adds its filter to those from `stride` times its place on.

    Parameters
    ----------
    inputs, outputs : int
        Channels.
    windows : Windows
        Of the filters; positions are those before, and dilation is not used.
    variances : Variances
    generator : torch.Generator
        Of the initial weights, then of the biases.
    """

    def __init__(
        self, inputs: int, outputs: int, windows: Windows, variances: Variances, generator: torch.Generator
    ) -> None:
        super().__init__()
        self.stride, self.circular = windows.stride, windows.circular
        kept = [ends(*axis) for axis in zip(windows.padding, windows.before, windows.size, self.stride, strict=True)]
        self.first, self.after = tuple(first for first, _ in kept), tuple(after for _, after in kept)
        fan_in = inputs * math.prod(windows.size)
        initial, self.factors = variances.initial(fan_in), variances.factors(fan_in)
        self.weight = nn.Parameter(initial[0] * torch.randn(inputs, outputs, *windows.size, generator=generator))
        self.bias = None
        if variances.bias is not None:
            self.bias = nn.Parameter(initial[1] * torch.randn(outputs, generator=generator))

    @override
    def forward(self, x: Tensor) -> Tensor:
        axes = len(self.stride)
        convolve = (functional.conv_transpose1d, functional.conv_transpose2d, functional.conv_transpose3d)[axes - 1]
        # All of the transposed convolution, then what the padding leaves of it.
        z = convolve(x, self.factors[0] * self.weight, None, self.stride)
        for dim, (first, after) in enumerate(zip(self.first, self.after, strict=True), start=2):
            place = torch.arange(z.shape[dim], device=z.device) - first
            if self.circular:
                folded = z.new_zeros(*z.shape[:dim], after, *z.shape[dim + 1 :])
                z = folded.index_add(dim, place % after, z)
            else:
                z = z.index_select(dim, ((place >= 0) & (place < after)).nonzero()[:, 0])
                z = functional.pad(z, [0, 0] * (axes + 1 - dim) + [0, after - z.shape[dim]])
        if self.bias is not None:
            z = z + (self.factors[1] * self.bias).reshape(-1, *[1] * axes)
        return z

    @override
    def extra_repr(self) -> str:
        return f"{tuple(self.weight.shape)}, stride={self.stride}, after={self.after}, circular={self.circular}"


class WindowSum(nn.Module):
    """Sums over windows, or means: over the whole window or over its cells inside the data.

    Parameters
    ----------
    windows : Windows
    mean : bool
    count_padding : bool
        Whether a mean divides by the size of the window, cells of padding included.
    """

    def __init__(self, windows: Windows, mean: bool, count_padding: bool = True) -> None:
        super().__init__()
        self.windows, self.pad = windows, windows.pad()
        self.mean, self.count_padding = mean, count_padding

    @override
    def forward(self, x: Tensor) -> Tensor:
        total = self._total(x)
        if not self.mean:
            return total
        return total / (math.prod(self.windows.size) if self.count_padding else self._total(torch.ones_like(x)))

    def _total(self, x: Tensor) -> Tensor:
        return self.windows.cut(self.pad(x)).sum(tuple(range(-len(self.windows.size), 0)))

    @override
    def extra_repr(self) -> str:
        sizes = f"{self.windows.size}, stride={self.windows.stride}"
        return f"{sizes}, mean={self.mean}, count_padding={self.count_padding}"


class PositionSum(nn.Module):
    """The sum over all positions, or the mean: (n, channels, *positions) to (n, channels)."""

    def __init__(self, mean: bool) -> None:
        super().__init__()
        self.mean = mean

    @override
    def forward(self, x: Tensor) -> Tensor:
        return x.flatten(2).mean(-1) if self.mean else x.flatten(2).sum(-1)

    @override
    def extra_repr(self) -> str:
        return f"mean={self.mean}"


class Interpolate(nn.Module):
    """Torch's own interpolation, read off as one matrix for each axis.

    Parameters
    ----------
    before, after : tuple of int
        Positions.
    method : {"linear", "nearest"}
    antialias : bool
        For "linear".
    """

    def __init__(self, before: Shape, after: Sequence[int], method: str, antialias: bool) -> None:
        super().__init__()
        for k, sizes in enumerate(zip(before, after, strict=True)):
            self.register_buffer(f"matrix{k}", _interpolation(*sizes, method, antialias))

    @override
    def forward(self, x: Tensor) -> Tensor:
        for dim, matrix in enumerate(self.buffers(), start=2):
            x = (x.movedim(dim, -1) @ matrix.to(x).T).movedim(-1, dim)
        return x


def _interpolation(before: int, after: int, method: str, antialias: bool) -> Tensor:
    """Return what torch makes of the unit vectors, shape (after, before)."""
    unit = torch.eye(before, dtype=torch.float64)[:, None, None]
    options: dict[str, Any] = {"mode": "nearest-exact"}
    if method == "linear":
        options = {"mode": "bilinear", "align_corners": False, "antialias": antialias}
    return functional.interpolate(unit, (1, after), **options)[:, 0, 0].T.contiguous()
