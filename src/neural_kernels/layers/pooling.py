"""Means and sums over windows or over all positions, and what ends with positions: Flatten."""

from __future__ import annotations

import math
from abc import abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import torch
from torch import Tensor, nn
from typing_extensions import override

from neural_kernels.algebra import K, KernelPair, Layer, Matrix, Separable, Taps, Traits, short_repr
from neural_kernels.layers import windows as _windows
from neural_kernels.runtime.types import Shape

if TYPE_CHECKING:
    from neural_kernels.finite.geometry import Windows
    from neural_kernels.finite.positions import WindowSum


class Pool(Layer):
    """A sum over each window, with weights."""

    window: _windows.Sizes
    stride: _windows.Sizes | None
    padding: _windows.Padding

    def __post_init__(self) -> None:
        name = type(self).__name__
        object.__setattr__(self, "window", _windows.sizes(name, "window", self.window))
        if self.stride is not None:
            object.__setattr__(self, "stride", _windows.sizes(name, "stride", self.stride))
        object.__setattr__(self, "padding", _windows.padding(name, self.padding))

    @override
    def propagate(self, pair: KernelPair[K]) -> KernelPair[K]:
        """Map the positions by one matrix for each axis."""
        positions = _windows.positions_of(self, pair)
        stride = self.window if self.stride is None else self.stride
        tables = _windows.Geometry(self.window, stride, 1, self.padding).tables(self, positions, _windows.windows)
        axes = (
            Matrix(self._weights(_incidence(table, size), len(table)))
            for table, size in zip(tables, positions, strict=True)
        )
        total = Separable(tuple(axes))
        return pair.after(nngp=pair.nngp.map(total), ntk=pair.ntk.map(total))

    @abstractmethod
    def _weights(self, incidence: Tensor, window: int) -> Tensor:
        """Return the matrix of an axis, from how often each position is in each window, both of shape (after, size)."""

    @override
    def check(self, traits: Traits) -> Traits:
        """Take anything; sums of Gaussian units are Gaussian."""
        return traits

    @override
    def build(self, shape: Shape, width: int, outputs: int, generator: torch.Generator) -> tuple[nn.Module, Shape]:
        stride = self.window if self.stride is None else self.stride
        from neural_kernels.finite.geometry import Windows, positions_of

        windows = Windows.of(positions_of(self, shape), self.window, stride, 1, self.padding)
        return self._finite(windows), (shape[0], *windows.after())

    @abstractmethod
    def _finite(self, windows: Windows) -> WindowSum:
        """Return the module that adds up windows."""


def _incidence(index: Tensor, size: int) -> Tensor:
    """Count how often a window reads a position; more than once where a circular window is longer than the data."""
    return (index[:, :, None] == torch.arange(size)).to(torch.float64).sum(0)


@dataclass(frozen=True)
class AvgPool(Pool):
    r"""Mean over windows of positions.

    .. math:: K'[p, q] = \frac{1}{F^2} \sum_{a, b} K[s p + a - l, s q + b - l]

    with a and b in the window of F places, and Theta' likewise. Cost: a matrix product along either axis of a pair.

    Parameters
    ----------
    window : int or tuple of int
        For all axes of positions, or for each.
    stride : int, tuple of int or None
        None: the window.
    padding : {"valid", "same", "circular"}, int, or tuple
        As for :class:`~neural_kernels.Conv`.
    count_padding : bool
        Whether padding counts among the F places; if not, F is the number of places within the data, as torch's
        ``count_include_pad``.

    Raises
    ------
    ValueError
        When the network is used on vectors or graphs, or on data smaller than the window.

    Examples
    --------
    >>> import numpy as np
    >>> import neural_kernels as nk
    >>> nk.NNGP(nk.AvgPool(2))(np.ones((1, 3, 4)))[0, 0]
    array([[1., 1.],
           [1., 1.]])
    """

    window: _windows.Sizes
    stride: _windows.Sizes | None = None
    padding: _windows.Padding = "valid"
    count_padding: bool = True

    __repr__ = short_repr

    @override
    def _weights(self, incidence: Tensor, window: int) -> Tensor:
        return incidence / (window if self.count_padding else incidence.sum(1, keepdim=True).clamp(min=1))

    @override
    def _finite(self, windows: Windows) -> WindowSum:
        from neural_kernels.finite.positions import WindowSum

        return WindowSum(windows, mean=True, count_padding=self.count_padding)


@dataclass(frozen=True)
class SumPool(Pool):
    r"""Sum over windows of positions.

    .. math:: K'[p, q] = \sum_{a, b} K[s p + a - l, s q + b - l]

    with a and b in the window, and Theta' likewise.

    Parameters
    ----------
    window, stride, padding
        As for :class:`~neural_kernels.AvgPool`.

    Examples
    --------
    >>> import numpy as np
    >>> import neural_kernels as nk
    >>> nk.NNGP(nk.SumPool(2))(np.ones((1, 3, 4)))[0, 0]
    array([[4., 4.],
           [4., 4.]])
    """

    window: _windows.Sizes
    stride: _windows.Sizes | None = None
    padding: _windows.Padding = "valid"

    __repr__ = short_repr

    @override
    def _weights(self, incidence: Tensor, window: int) -> Tensor:
        return incidence

    @override
    def _finite(self, windows: Windows) -> WindowSum:
        from neural_kernels.finite.positions import WindowSum

        return WindowSum(windows, mean=False)


class GlobalPool(Layer):
    """A sum over all positions, with one weight."""

    _mean: ClassVar[bool]
    """Whether the weight is one over the number of positions; otherwise it is 1."""

    @override
    def propagate(self, pair: KernelPair[K]) -> KernelPair[K]:
        positions = _windows.positions_of(self, pair, ordered=False)
        weights = (torch.full((1, size), 1 / size if self._mean else 1.0, dtype=torch.float64) for size in positions)
        total = Separable(tuple(map(Matrix, weights)), collapse=True)
        nngp, ntk = pair.nngp.map(total), pair.ntk.map(total)
        if self._mean and pair.graph is not None:
            # The others are 0: a mean over all nodes becomes one over those that exist.
            share = pair.graph.present.map(lambda present: present.shape[1] / present.sum(1))
            nngp, ntk = nngp.scale(share), ntk.scale(share)
        return pair.after(nngp=nngp, ntk=ntk)

    @override
    def check(self, traits: Traits) -> Traits:
        """Take anything; sums of Gaussian units are Gaussian."""
        return traits

    @override
    def build(self, shape: Shape, width: int, outputs: int, generator: torch.Generator) -> tuple[nn.Module, Shape]:
        from neural_kernels.finite.geometry import positions_of

        positions_of(self, shape)
        from neural_kernels.finite.positions import PositionSum

        return PositionSum(mean=self._mean), shape[:1]


@dataclass(frozen=True)
class GlobalAvgPool(GlobalPool):
    r"""Mean over all positions, or over the nodes of a graph that exist.

    .. math:: K' = \frac{1}{P^2} \sum_{p, q} K[p, q], \qquad \Theta' = \frac{1}{P^2} \sum_{p, q} \Theta[p, q].

    All pairs of positions are needed, in this layer and in those before it.

    Raises
    ------
    ValueError
        When the network is used on vectors.

    Examples
    --------
    >>> import numpy as np
    >>> import neural_kernels as nk
    >>> nk.NNGP(nk.GlobalAvgPool())(np.ones((1, 3, 4, 4)))
    array([[1.]])
    """

    _mean = True


@dataclass(frozen=True)
class GlobalSumPool(GlobalPool):
    r"""Sum over all positions, or over the nodes of a graph that exist.

    .. math:: K' = \sum_{p, q} K[p, q], \qquad \Theta' = \sum_{p, q} \Theta[p, q].

    Raises
    ------
    ValueError
        When the network is used on vectors.

    Examples
    --------
    >>> import numpy as np
    >>> import neural_kernels as nk
    >>> nk.NNGP(nk.GlobalSumPool())(np.ones((1, 3, 4, 4)))
    array([[256.]])
    """

    _mean = False


@dataclass(frozen=True)
class Flatten(Layer):
    r"""All units of all positions as one vector; vectors stay as they are.

    .. math:: K' = \frac{1}{P} \sum_p K[p, p], \qquad \Theta' = \frac{1}{P} \sum_p \Theta[p, p].

    Nodes of a graph that do not exist count as zeros among the P. What comes out is not Gaussian in the sense that an
    activation needs: put a Dense behind it.

    Examples
    --------
    >>> import numpy as np
    >>> import neural_kernels as nk
    >>> nk.NNGP(nk.Flatten())(np.ones((1, 3, 4, 4)))
    array([[1.]])
    """

    @override
    def propagate(self, pair: KernelPair[K]) -> KernelPair[K]:
        positions = pair.nngp.positions
        if not positions:
            return pair
        each = Separable(
            tuple(Taps(torch.arange(size)[:, None], size**-0.5, size) for size in positions), collapse=True
        )
        width = None if pair.width is None else pair.width * math.prod(positions)
        return pair.after(pair.nngp.map(each), pair.ntk.map(each), width=width)

    @override
    def check(self, traits: Traits) -> Traits:
        return traits.mixed()

    @override
    def build(self, shape: Shape, width: int, outputs: int, generator: torch.Generator) -> tuple[nn.Module, Shape]:
        return nn.Flatten(), (math.prod(shape),)
