"""Convolutions: the same filters everywhere, filters of every place's own, and the transpose."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy.typing as npt
import torch
from torch import nn
from typing_extensions import override

from neural_kernels.algebra import (
    InputMap,
    K,
    KernelPair,
    Layer,
    Metric,
    Separable,
    Taps,
    as_metric,
    short_repr,
)
from neural_kernels.finite.variances import Variances
from neural_kernels.layers import windows as _windows
from neural_kernels.layers.affine import Affine
from neural_kernels.layers.measured import Measured, WindowMap, require_no_metric
from neural_kernels.runtime.types import Shape

if TYPE_CHECKING:
    from neural_kernels.finite.geometry import Windows


class Filters(Affine):
    """An affine map of the units in a window, one window for each position of the output."""

    kernel_size: _windows.Sizes
    stride: _windows.Sizes
    padding: _windows.Padding
    dilation: _windows.Sizes

    def __post_init__(self) -> None:
        super().__post_init__()
        name = type(self).__name__
        for sizes in ("kernel_size", "stride", "dilation"):
            object.__setattr__(self, sizes, _windows.sizes(name, sizes, getattr(self, sizes)))
        object.__setattr__(self, "padding", _windows.padding(name, self.padding))

    @override
    def propagate(self, pair: KernelPair[K]) -> KernelPair[K]:
        """Take means over equal places of the two windows, then an affine map."""
        positions = _windows.positions_of(self, pair)
        geometry = _windows.Geometry(self.kernel_size, self.stride, self.dilation, self.padding)
        tables = geometry.tables(self, positions, self._rule)
        shifts = Separable(tuple(Taps(t, len(t) ** -0.5, size) for t, size in zip(tables, positions, strict=True)))
        means = KernelPair(pair.nngp.map(shifts), pair.ntk.map(shifts), pair.width)
        return self.update(means, math.prod(map(len, tables)))

    @property
    def _rule(self) -> _windows.Rule:
        return _windows.windows

    def _finite_windows(self, shape: Shape, limit: int | None = None) -> Windows:
        from neural_kernels.finite.geometry import Windows, positions_of

        positions = positions_of(self, shape, limit)
        return Windows.of(positions, self.kernel_size, self.stride, self.dilation, self.padding)


@dataclass(frozen=True)
class Conv(Measured, Filters):
    r"""Convolution over all axes of positions, a new affine map of the units in each window.

    With F places a in the window, positions p of x and q of y, and zeros (or the data again) outside,

    .. math:: K'[p, q] = \frac{v_w}{F} \sum_a K[s p + d a - l, s q + d a - l] + v_b, \qquad
              \Theta'[p, q] = \frac{v_w}{F} \sum_a \Theta[s p + d a - l, s q + d a - l] + K'[p, q],

    stride s, dilation d, padding l. In the standard parametrisation as for :class:`~neural_kernels.Dense`, the number
    of inputs being channels times F, and K its mean over the window. Cost: F additions an axis for each pair of
    positions; equal positions suffice where only convolutions, activations and Flatten follow.

    Parameters
    ----------
    kernel_size, stride, dilation : int or tuple of int
        For all axes of positions, or for each.
    padding : {"same", "valid", "circular"}, int, or tuple
        "same": ceil(size / stride) positions out, the odd cell of zeros behind the data (TensorFlow, XLA); "circular":
        the data again in place of those zeros; a number of zeros before and behind, for all axes or for each, or a pair
        (before, behind) for each, as in torch.
    weight_var, bias_var, parametrization, width, trained
        As for :class:`~neural_kernels.Dense`; `width` is the number of channels.
    metric : Metric or array-like, shape (channels F, channels F) or (channels F,), optional
        Of the first layer alone: of the numbers in a window, ordered by channel, then by place, K[a, b] becomes
        :math:`x^T M z / (\mathrm{channels} F)` of whole windows: learnt patches.

    Raises
    ------
    ValueError
        When the network is used on vectors or graphs, or on data smaller than the window.

    References
    ----------
    Novak et al. 2019, arXiv 1810.05148; Arora et al. 2019, arXiv 1904.11955, section 4.

    Examples
    --------
    >>> import numpy as np
    >>> import neural_kernels as nk
    >>> net = nk.Sequential(nk.Conv(3), nk.ReLU(), nk.GlobalAvgPool(), nk.Dense())
    >>> nk.NTK(net)(np.ones((1, 3, 4, 4))).round(4)
    array([[0.4717]])
    """

    kernel_size: _windows.Sizes
    stride: _windows.Sizes = 1
    padding: _windows.Padding = "same"
    dilation: _windows.Sizes = 1
    weight_var: float = 1.0
    bias_var: float | None = 0.0
    parametrization: str = "ntk"
    width: int | None = None
    trained: bool = True
    metric: Metric | npt.ArrayLike | None = None

    __repr__ = short_repr

    @override
    def propagate(self, pair: KernelPair[K]) -> KernelPair[K]:
        require_no_metric(self)
        return super().propagate(pair)

    @override
    def split(self) -> tuple[Layer, InputMap | None]:
        metric = as_metric(self.metric)
        if metric is None:
            return self, None
        seen = WindowMap(metric, self.kernel_size, self.stride, self.padding, self.dilation)
        return replace(self, metric=None, kernel_size=1, stride=1, padding="same", dilation=1), seen

    @override
    def _finite(
        self, shape: Shape, outputs: int, variances: Variances, generator: torch.Generator
    ) -> tuple[nn.Module, Shape]:
        windows = self._finite_windows(shape, limit=3)
        from neural_kernels.finite.positions import NTKConv

        return NTKConv(shape[0], outputs, windows, variances, generator), windows.after()


@dataclass(frozen=True)
class LocalConv(Filters):
    r"""Convolution with filters and biases of its own at every position (no weights are shared).

    K' and Theta' are those of :class:`~neural_kernels.Conv` where both positions are the same, and 0 elsewhere. With
    Flatten behind it the kernels are the same as those of `Conv`.

    Parameters
    ----------
    kernel_size, stride, padding, dilation, weight_var, bias_var, parametrization, width, trained
        As for :class:`~neural_kernels.Conv`.

    References
    ----------
    Novak et al. 2019, arXiv 1810.05148.

    Examples
    --------
    >>> import neural_kernels as nk
    >>> nk.Sequential(nk.LocalConv(3, padding="valid"), nk.ReLU(), nk.Flatten(), nk.Dense())
    Sequential(LocalConv(kernel_size=3, padding='valid'), ReLU(), Flatten(), Dense())
    """

    kernel_size: _windows.Sizes
    stride: _windows.Sizes = 1
    padding: _windows.Padding = "same"
    dilation: _windows.Sizes = 1
    weight_var: float = 1.0
    bias_var: float | None = 0.0
    parametrization: str = "ntk"
    width: int | None = None
    trained: bool = True

    __repr__ = short_repr

    @override
    def propagate(self, pair: KernelPair[K]) -> KernelPair[K]:
        """Do as if the filters were shared, at equal positions alone."""
        shared = super().propagate(pair)
        return shared.after(nngp=shared.nngp.decorrelate(), ntk=shared.ntk.decorrelate())

    @override
    def _finite(
        self, shape: Shape, outputs: int, variances: Variances, generator: torch.Generator
    ) -> tuple[nn.Module, Shape]:
        windows = self._finite_windows(shape)
        from neural_kernels.finite.positions import NTKLocalConv

        module = NTKLocalConv(shape[0], outputs, windows, variances, generator)
        return module, module.after


@dataclass(frozen=True)
class ConvTranspose(Filters):
    r"""Transposed convolution: position i adds its filter to the positions ``stride * i + a``, a in the window.

    The rule is that of :class:`~neural_kernels.Conv`, for the places a that reach both positions:

    .. math:: K'[p, q] = \frac{v_w}{F} \sum_{a:\, s | p + l - a,\, s | q + l - a}
              K[(p + l - a) / s, (q + l - a) / s] + v_b.

    Parameters
    ----------
    kernel_size, stride : int or tuple of int
    padding : {"same", "valid", "circular"}, int, or tuple
        "same": size * stride positions out; "circular": the positions left out there are added at the other end;
        "valid": all that are reached, at least size * stride; numbers: as many left out at the ends, as in torch.
    weight_var, bias_var, parametrization, width, trained
        As for :class:`~neural_kernels.Conv`.

    Examples
    --------
    >>> import numpy as np
    >>> import neural_kernels as nk
    >>> nk.NNGP(nk.ConvTranspose(2, stride=2))(np.ones((1, 3, 4))).shape
    (1, 1, 8, 8)
    """

    kernel_size: _windows.Sizes
    stride: _windows.Sizes = 1
    padding: _windows.Padding = "same"
    weight_var: float = 1.0
    bias_var: float | None = 0.0
    parametrization: str = "ntk"
    width: int | None = None
    trained: bool = True

    __repr__ = short_repr

    dilation: _windows.Sizes = field(default=1, init=False)

    @property
    def _rule(self) -> _windows.Rule:
        return _windows.transposed

    @override
    def _finite(
        self, shape: Shape, outputs: int, variances: Variances, generator: torch.Generator
    ) -> tuple[nn.Module, Shape]:
        windows = self._finite_windows(shape, limit=3)
        from neural_kernels.finite.positions import NTKConvTranspose

        module = NTKConvTranspose(shape[0], outputs, windows, variances, generator)
        return module, module.after
