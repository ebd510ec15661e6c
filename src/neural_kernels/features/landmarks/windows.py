"""Maps of positions on features, channels last: windows as convolutions where they are regular, else by indices."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from neural_kernels.algebra import Matrix, PositionMap, Separable, Taps
from neural_kernels.features.method import UnsuitableError
from neural_kernels.runtime.lazy import cached_property

_CONVOLUTIONS = {1: functional.conv1d, 2: functional.conv2d, 3: functional.conv3d}


@dataclass(frozen=True)
class RegularAxis:
    """Windows along one axis at equal distances: their stride and dilation, and the zeros before and behind."""

    stride: int
    dilation: int
    before: int
    behind: int


@dataclass(frozen=True, eq=False)
class WindowTable:
    """Several matrices S_a, each of which takes every position from one other.

    Parameters
    ----------
    axes : tuple of Taps
    """

    axes: tuple[Taps, ...]

    @classmethod
    def of(cls, by: PositionMap) -> WindowTable | None:
        """The windows of a map; None for one matrix, which makes no columns."""
        if not isinstance(by, Separable):
            raise UnsuitableError("graphs and attention have no landmarks layer by layer; use nk.Nystrom()")
        if by.count == 1:
            return None
        if by.mixing:
            raise UnsuitableError("a map that mixes positions by several matrices has no landmarks; use nk.Nystrom()")
        return cls(tuple(axis for axis in by.axes if isinstance(axis, Taps)))

    @property
    def count(self) -> int:
        """How many S_a there are."""
        return math.prod(axis.count for axis in self.axes)

    @property
    def weight(self) -> float:
        """What every entry of them is."""
        return Separable(self.axes).weight

    @property
    def after(self) -> tuple[int, ...]:
        """Sizes of the positions that come out, with an axis for each that goes in."""
        return tuple(axis.after for axis in self.axes)

    @cached_property
    @torch.inference_mode(False)  # what is kept serves calls that want gradients, too
    def index(self) -> Tensor:
        """Which position each tap reads, shape (taps, positions after); their number stands for none."""
        return Separable(self.axes).sources

    @cached_property
    def regular(self) -> tuple[RegularAxis, ...] | None:
        """The windows as torch's convolutions know them, where they do."""
        axes = tuple(_regular(axis) for axis in self.axes)
        return None if None in axes or len(axes) > max(_CONVOLUTIONS) else axes  # pyright: ignore[reportReturnType]

    def gather(self, h: Tensor) -> Tensor:
        """All S_a h side by side but for their weight, shape (n, positions after as one axis, taps, channels)."""
        padded = functional.pad(h.flatten(1, -2), (0, 0, 0, 1))
        index = self.index.to(h.device)
        return padded[:, index.T.reshape(-1)].reshape(len(h), index.shape[1], index.shape[0], h.shape[-1])

    def sample(self, h: Tensor, examples: Tensor, places: Tensor) -> Tensor:
        """The same at some positions of some examples, shape (k, taps, channels)."""
        padded = functional.pad(h.flatten(1, -2), (0, 0, 0, 1))
        return padded[examples[:, None], self.index[:, places].T]

    def combine(self, h: Tensor, filters: Tensor) -> Tensor:
        """Multiply all S_a h, side by side but for their weight, by filters of shape (taps, channels, columns).

        Returns
        -------
        Tensor, shape (n, *after, columns)
        """
        if self.regular is None:
            rows = self.gather(h).flatten(2) @ filters.flatten(0, 1)
            return rows.reshape(len(h), *self.after, filters.shape[-1])
        counts = [axis.count for axis in self.axes]
        kernel = filters.permute(2, 1, 0).reshape(filters.shape[2], filters.shape[1], *counts)
        return self._convolve(h.movedim(-1, 1), kernel).movedim(1, -1)

    def total(self, q: Tensor) -> Tensor:
        """Sum of S_a q S_a^T at equal positions: (n, *positions) to (n, *after)."""
        if self.regular is None:
            return self.weight**2 * self.gather(q[..., None])[..., 0].sum(-1).reshape(len(q), *self.after)
        kernel = q.new_full((1, 1, *(axis.count for axis in self.axes)), self.weight**2)
        return self._convolve(q[:, None], kernel)[:, 0]

    def _convolve(self, x: Tensor, kernel: Tensor) -> Tensor:
        axes = self.regular
        assert axes is not None
        if len(axes) == 2:
            kernel = kernel.contiguous(memory_format=torch.channels_last)
        padding = [axis.before for axis in axes]
        if any(axis.before != axis.behind for axis in axes):
            x = functional.pad(x, [part for axis in reversed(axes) for part in (axis.before, axis.behind)])
            padding = [0] * len(axes)
        strides, dilations = [axis.stride for axis in axes], [axis.dilation for axis in axes]
        result = _CONVOLUTIONS[len(axes)](x, kernel, None, strides, padding, dilations)
        return result[(..., *(slice(axis.after) for axis in self.axes))]


def _regular(axis: Taps) -> RegularAxis | None:
    """Find stride, dilation and padding, and try them on the whole table."""
    taps, after = axis.index.shape
    index = axis.index.cpu()
    there = index >= 0
    stride = _step(index, there, 1)
    dilation = _step(index, there, 0)
    if stride < 1 or dilation < 1 or not bool(there.any()):
        return None
    a, p = (int(part) for part in there.nonzero()[0])
    before = stride * p + dilation * a - int(index[a, p])
    reach = stride * (after - 1) + dilation * (taps - 1) - before  # of the last window
    expected = stride * torch.arange(after) + dilation * torch.arange(taps)[:, None] - before
    expected = torch.where((expected >= 0) & (expected < axis.size), expected, -1)
    if before < 0 or not torch.equal(index, expected):
        return None
    return RegularAxis(stride, dilation, before, max(0, reach - axis.size + 1))


def _step(index: Tensor, there: Tensor, dim: int) -> int:
    """How far neighbours along an axis are apart: the first difference of two places that exist, 1 without any."""
    if index.shape[dim] < 2:
        return 1
    count = index.shape[dim] - 1
    both = there.narrow(dim, 0, count) & there.narrow(dim, 1, count)
    steps = index.diff(dim=dim)[both]
    return int(steps[0]) if len(steps) else 1


def apply_single(by: PositionMap, h: Tensor, squared: bool = False) -> Tensor:
    """Apply a map of one matrix S, or of its squared entries, to features, shape (n, *positions, channels)."""
    assert isinstance(by, Separable)
    for dim, axis in enumerate(by.axes, start=1):
        if isinstance(axis, Taps):
            factor = axis.weight**2 if squared else axis.weight
            index = axis.index[0].to(h.device)
            taken = h.index_select(dim, index.clamp(min=0)) * factor
            h = taken * (index >= 0).to(h.dtype).reshape(-1, *[1] * (h.ndim - 1 - dim))
        else:
            h = _multiply(axis, h, dim, squared)
    return h.reshape(len(h), *by.after, h.shape[-1])


def _multiply(axis: Matrix, h: Tensor, dim: int, squared: bool) -> Tensor:
    matrix = axis.matrix.to(h)
    if squared:
        matrix = matrix.square()
    lead, tail = h.shape[:dim], h.shape[dim + 1 :]
    product = matrix @ h.reshape(math.prod(lead), h.shape[dim], math.prod(tail))
    return product.reshape(*lead, len(matrix), *tail)
