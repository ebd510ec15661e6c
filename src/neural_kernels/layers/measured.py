"""Affine layers that may carry a metric: what they see of the data, if they come first."""

from __future__ import annotations

import math
import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional
from typing_extensions import override

from neural_kernels.algebra import InputMap, Metric, Traits, as_metric
from neural_kernels.errors import ArchitectureError
from neural_kernels.finite.geometry import Windows
from neural_kernels.layers.affine import Affine
from neural_kernels.runtime.plain_state import StoredModule
from neural_kernels.runtime.types import Shape

_WIDE = 16  # a whole number from which on a variance looks like a number of units


class Measured(Affine):
    """An affine layer with a metric, which only the first layer of a network may have."""

    metric: Any

    def __post_init__(self) -> None:
        super().__post_init__()
        if isinstance(self.weight_var, int) and self.weight_var >= _WIDE:
            warnings.warn(
                f"{type(self).__name__}(weight_var={self.weight_var}): the variance of the weights. Layers have "
                f"infinitely many units, and finite networks take width={self.weight_var}. If the variance is meant, "
                f"write {self.weight_var}.0",
                stacklevel=3,
            )
        object.__setattr__(self, "metric", as_metric(self.metric))

    @override
    def check(self, traits: Traits) -> Traits:
        if self.metric is not None and not traits.data:
            raise ArchitectureError(
                f"{self!r} has a metric and is not the first layer. Only the units of the input are there to be "
                "measured: put the metric on the first layer"
            )
        return super().check(traits)

    @override
    def build(self, shape: Shape, width: int, outputs: int, generator: torch.Generator) -> tuple[nn.Module, Shape]:
        plain, seen = self.split()
        if seen is None:
            return super().build(shape, width, outputs, generator)
        module, after = plain.build(seen.after(shape), width, outputs, generator)
        return nn.Sequential(FixedMap(seen), module), after


class FixedMap(StoredModule):
    """An input map as a module, without parameters."""

    def __init__(self, seen: InputMap) -> None:
        super().__init__()
        self.seen = seen

    @override
    def forward(self, x: Tensor) -> Tensor:
        return self.seen(x)

    @override
    def extra_repr(self) -> str:
        return repr(self.seen)


def require_no_metric(layer: Measured) -> None:
    """Refuse to propagate what `split` should have taken off."""
    if layer.metric is not None:
        raise ValueError(f"{layer!r}: kernels and feature maps apply the metric to the data; call split() first")


@dataclass(frozen=True)
class WindowMap(InputMap):
    """The root of a metric applied to the windows of images: as many channels as a window has numbers.

    Parameters
    ----------
    metric : Metric
        Of size channels times places of a window, ordered by channel, then by place, as in ``torch.nn.Unfold``.
    kernel_size, stride, padding, dilation
        Of the convolution.
    """

    metric: Metric
    kernel_size: Any
    stride: Any
    padding: Any
    dilation: Any

    @override
    def __call__(self, x: Tensor) -> Tensor:
        windows = self._windows(tuple(x.shape[1:]))
        root, axes = self.metric.root, x.ndim - 2
        filters = torch.from_numpy(np.diag(root) if root.ndim == 1 else root).to(x.device)
        convolve = (functional.conv1d, functional.conv2d, functional.conv3d)[axes - 1]
        weight = filters.reshape(len(filters), x.shape[1], *windows.size).to(x.dtype)
        return convolve(windows.pad()(x), weight, None, windows.stride, 0, windows.dilation)

    @override
    def sparse(self, x: Any) -> Any:
        raise ValueError("a metric over windows is of images, shape (n, channels, *positions); got sparse rows")

    @override
    def after(self, shape: Shape) -> Shape:
        return len(self.metric), *self._windows(shape).after()

    def _windows(self, shape: Shape) -> Windows:
        if not 2 <= len(shape) <= 4:
            raise ValueError(
                f"a metric over windows takes examples of 1 to 3 axes of positions, (channels, *positions); got {shape}"
            )
        windows = Windows.of(shape[1:], self.kernel_size, self.stride, self.dilation, self.padding)
        if len(self.metric) != shape[0] * math.prod(windows.size):
            raise ValueError(
                f"the metric of the first layer is one of {len(self.metric)} numbers; {shape[0]} channels in windows "
                f"of {windows.size} are {shape[0] * math.prod(windows.size)}"
            )
        windows.after()  # refuses those that do not fit
        return windows
