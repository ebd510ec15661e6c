"""Finite counterparts of the layers on positions; modules act on batches (n, channels, *positions)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from neural_kernels.finite import geometry
from neural_kernels.finite.mixing import Aggregate, NTKAttention
from neural_kernels.finite.modules import variances
from neural_kernels.runtime.types import Shape

Built = tuple[nn.Module, Shape]


class NTKConv(nn.Module):
    """A convolution whose variances are factors in `forward` (NTK) or in the initial weights (standard)."""

    def __init__(self, layer: Any, shape: Shape, outputs: int, generator: torch.Generator) -> None:
        super().__init__()
        axes = geometry.axes(layer, shape, limit=3)
        kernel = geometry.each(layer.kernel_size, axes)
        self.stride, self.dilation = geometry.each(layer.stride, axes), geometry.each(layer.dilation, axes)
        self.pad = geometry.pad(layer, shape, kernel, self.dilation)
        initial, self.factors = variances(layer, shape[0] * math.prod(kernel))
        self.weight = nn.Parameter(initial[0] * torch.randn(outputs, shape[0], *kernel, generator=generator))
        self.bias = None
        if layer.bias_var is not None:
            self.bias = nn.Parameter(initial[1] * torch.randn(outputs, generator=generator))

    def forward(self, x: Tensor) -> Tensor:
        """Pad and convolve."""
        convolve = (functional.conv1d, functional.conv2d, functional.conv3d)[len(self.stride) - 1]
        bias = None if self.bias is None else self.factors[1] * self.bias
        return convolve(self.pad(x), self.factors[0] * self.weight, bias, self.stride, 0, self.dilation)

    def extra_repr(self) -> str:
        """Sizes."""
        return f"{tuple(self.weight.shape)}, stride={self.stride}, dilation={self.dilation}"


class NTKLocalConv(nn.Module):
    """A convolution with weights and biases of its own at every place."""

    def __init__(self, layer: Any, shape: Shape, outputs: int, generator: torch.Generator) -> None:
        super().__init__()
        axes = geometry.axes(layer, shape)
        self.kernel, self.stride = geometry.each(layer.kernel_size, axes), geometry.each(layer.stride, axes)
        self.dilation = geometry.each(getattr(layer, "dilation", 1), axes)
        self.pad = geometry.pad(layer, shape, self.kernel, self.dilation)
        self.after = geometry.sizes(self.pad, shape, self.kernel, self.stride, self.dilation)
        places, taps = math.prod(self.after), math.prod(self.kernel)
        initial, self.factors = variances(layer, shape[0] * taps)
        self.weight = nn.Parameter(initial[0] * torch.randn(outputs, shape[0], places, taps, generator=generator))
        self.bias = None
        if layer.bias_var is not None:
            self.bias = nn.Parameter(initial[1] * torch.randn(outputs, places, generator=generator))

    def forward(self, x: Tensor) -> Tensor:
        """Windows times weights, place by place."""
        windows = geometry.windows(self.pad(x), self.kernel, self.stride, self.dilation)
        windows = windows.reshape(*x.shape[:2], *self.weight.shape[2:])
        z = torch.einsum("ncpt,ocpt->nop", windows, self.factors[0] * self.weight)
        if self.bias is not None:
            z = z + self.factors[1] * self.bias
        return z.reshape(*z.shape[:2], *self.after)

    def extra_repr(self) -> str:
        """Sizes."""
        return f"{tuple(self.weight.shape)}, kernel={self.kernel}, stride={self.stride}, dilation={self.dilation}"


class NTKConvTranspose(nn.Module):
    """A transposed convolution: every cell adds its filter to the cells from `stride` times its place on."""

    def __init__(self, layer: Any, shape: Shape, outputs: int, generator: torch.Generator) -> None:
        super().__init__()
        axes = geometry.axes(layer, shape, limit=3)
        kernel, self.stride = geometry.each(layer.kernel_size, axes), geometry.each(layer.stride, axes)
        self.circular = layer.padding == "circular"
        padding = geometry.paddings(layer.padding, axes)
        ends = [geometry.ends(*each) for each in zip(padding, shape[1:], kernel, self.stride, strict=True)]
        self.first, self.after = tuple(first for first, _ in ends), tuple(after for _, after in ends)
        initial, self.factors = variances(layer, shape[0] * math.prod(kernel))
        self.weight = nn.Parameter(initial[0] * torch.randn(shape[0], outputs, *kernel, generator=generator))
        self.bias = None
        if layer.bias_var is not None:
            self.bias = nn.Parameter(initial[1] * torch.randn(outputs, generator=generator))

    def forward(self, x: Tensor) -> Tensor:
        """All of the transposed convolution, then what `padding` leaves of it."""
        axes = len(self.stride)
        convolve = (functional.conv_transpose1d, functional.conv_transpose2d, functional.conv_transpose3d)[axes - 1]
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

    def extra_repr(self) -> str:
        """Sizes."""
        return f"{tuple(self.weight.shape)}, stride={self.stride}, after={self.after}, circular={self.circular}"


class Pool(nn.Module):
    """Sums over windows, or means: over the whole window or over its cells inside the data."""

    def __init__(self, window: Shape, stride: Shape, pad: geometry.Pad, mean: bool, count_padding: bool) -> None:
        super().__init__()
        self.window, self.stride, self.pad = window, stride, pad
        self.mean, self.count_padding = mean, count_padding

    def forward(self, x: Tensor) -> Tensor:
        """Add what is in the windows, and divide."""
        total = self._total(x)
        if not self.mean:
            return total
        return total / (math.prod(self.window) if self.count_padding else self._total(torch.ones_like(x)))

    def _total(self, x: Tensor) -> Tensor:
        axes = len(self.window)
        return geometry.windows(self.pad(x), self.window, self.stride, (1,) * axes).sum(tuple(range(-axes, 0)))

    def extra_repr(self) -> str:
        """Geometry."""
        return f"{self.window}, stride={self.stride}, mean={self.mean}, count_padding={self.count_padding}"


class GlobalPool(nn.Module):
    """Mean or sum over all positions."""

    def __init__(self, mean: bool) -> None:
        super().__init__()
        self.mean = mean

    def forward(self, x: Tensor) -> Tensor:
        """To (n, channels)."""
        return x.flatten(2).mean(-1) if self.mean else x.flatten(2).sum(-1)


class Interpolate(nn.Module):
    """Torch's interpolation, one matrix for each axis."""

    def __init__(self, matrices: Sequence[Tensor]) -> None:
        super().__init__()
        for k, matrix in enumerate(matrices):
            self.register_buffer(f"matrix{k}", matrix)

    def forward(self, x: Tensor) -> Tensor:
        """Axis by axis."""
        for dim, matrix in enumerate(self.buffers(), start=2):
            x = (x.movedim(dim, -1) @ matrix.to(x).T).movedim(-1, dim)
        return x


def build_conv(layer: Any, shape: Shape, width: int, generator: torch.Generator) -> Built:
    """A convolution of 1, 2 or 3 axes."""
    module = NTKConv(layer, shape, getattr(layer, "width", None) or width, generator)
    after = geometry.sizes(module.pad, shape, module.weight.shape[2:], module.stride, module.dilation)
    return module, (len(module.weight), *after)


def build_local_conv(layer: Any, shape: Shape, width: int, generator: torch.Generator) -> Built:
    """A convolution of any number of axes that shares no weights."""
    module = NTKLocalConv(layer, shape, getattr(layer, "width", None) or width, generator)
    return module, (len(module.weight), *module.after)


def build_conv_transpose(layer: Any, shape: Shape, width: int, generator: torch.Generator) -> Built:
    """A transposed convolution of 1, 2 or 3 axes."""
    module = NTKConvTranspose(layer, shape, getattr(layer, "width", None) or width, generator)
    return module, (module.weight.shape[1], *module.after)


def build_pool(layer: Any, shape: Shape, width: int, generator: torch.Generator) -> Built:
    """AvgPool or SumPool."""
    axes = geometry.axes(layer, shape)
    window = geometry.each(layer.window, axes)
    stride = window if layer.stride is None else geometry.each(layer.stride, axes)
    pad = geometry.pad(layer, shape, window, (1,) * axes, stride)
    mean = type(layer).__name__ == "AvgPool"
    module = Pool(window, stride, pad, mean, getattr(layer, "count_padding", True))
    return module, (shape[0], *geometry.sizes(pad, shape, window, stride, (1,) * axes))


def build_global_pool(layer: Any, shape: Shape, width: int, generator: torch.Generator) -> Built:
    """GlobalAvgPool or GlobalSumPool."""
    geometry.axes(layer, shape)
    return GlobalPool(mean=type(layer).__name__ == "GlobalAvgPool"), shape[:1]


def build_flatten(layer: Any, shape: Shape, width: int, generator: torch.Generator) -> Built:
    """Channels and positions as one vector; a vector stays."""
    return nn.Flatten(), (math.prod(shape),)


def build_resize(layer: Any, shape: Shape, width: int, generator: torch.Generator) -> Built:
    """Matrices read off torch's own interpolation."""
    after = geometry.each(layer.shape, geometry.axes(layer, shape))
    return Interpolate([_interpolation(*sizes, layer) for sizes in zip(shape[1:], after, strict=True)]), (
        shape[0],
        *after,
    )


def _interpolation(before: int, after: int, layer: Any) -> Tensor:
    """What torch makes of the unit vectors, shape (after, before)."""
    unit = torch.eye(before, dtype=torch.float64)[:, None, None]
    if layer.method == "nearest":
        return functional.interpolate(unit, (1, after), mode="nearest-exact")[:, 0, 0].T.contiguous()
    lines = functional.interpolate(unit, (1, after), mode="bilinear", align_corners=False, antialias=layer.antialias)
    return lines[:, 0, 0].T.contiguous()


def build_attention(
    layer: Any, shape: Shape, width: int, generator: torch.Generator, outputs: int | None = None
) -> Built:
    """Self-attention; heads are as wide, or as many, as the network is wide."""
    geometry.axes(layer, shape)
    outputs = width if outputs is None else outputs
    return NTKAttention(layer, shape, width, outputs, generator), (outputs, *shape[1:])


def build_graph_aggregate(layer: Any, shape: Shape, width: int, generator: torch.Generator) -> Built:
    """Sums over neighbours; the whole network then takes (x, adjacency)."""
    geometry.axes(layer, shape)
    return Aggregate(), shape
