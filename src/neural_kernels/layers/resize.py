"""Interpolation between positions."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from typing_extensions import override

from neural_kernels.algebra import K, KernelPair, Layer, Matrix, Separable, Taps, Traits, short_repr
from neural_kernels.checks import require_choice
from neural_kernels.layers import windows as _windows
from neural_kernels.runtime.types import Shape


@dataclass(frozen=True)
class Resize(Layer):
    r"""Interpolation to other numbers of positions, a matrix R along each axis: K' = R K R^T, Theta' likewise.

    From n to m positions, with half-pixel centres :math:`u_i = (i + 1/2) n / m - 1/2`,

    .. math:: R_{ij} \propto \max(0, 1 - |u_i - j| / \kappa), \qquad \sum_j R_{ij} = 1,

    :math:`\kappa = \max(n / m, 1)` with antialiasing and 1 without. "nearest" takes the position
    :math:`\lfloor (i + 1/2) n / m \rfloor` alone (torch's "nearest-exact").

    Parameters
    ----------
    shape : int or tuple of int
        Numbers of positions after, for all axes or for each.
    method : {"linear", "nearest"}
    antialias : bool
        For "linear".

    Raises
    ------
    ValueError
        When the network is used on vectors or graphs.

    Examples
    --------
    >>> import numpy as np
    >>> import neural_kernels as nk
    >>> nk.NNGP(nk.Resize(2))(np.arange(4.0).reshape(1, 1, 4))[0, 0].round(3)
    array([[0.51 , 1.633],
           [1.633, 5.224]])
    """

    shape: _windows.Sizes
    method: str = "linear"
    antialias: bool = True

    __repr__ = short_repr

    def __post_init__(self) -> None:
        object.__setattr__(self, "shape", _windows.sizes("Resize", "shape", self.shape))
        require_choice(self, ("linear", "nearest"), method=self.method)

    @override
    def propagate(self, pair: KernelPair[K]) -> KernelPair[K]:
        positions = _windows.positions_of(self, pair)
        after = _windows.each(self, self.shape, len(positions))
        between = Separable(tuple(self._axis(*sizes) for sizes in zip(positions, after, strict=True)))
        return pair.after(nngp=pair.nngp.map(between), ntk=pair.ntk.map(between))

    def _axis(self, before: int, after: int) -> Taps | Matrix:
        if self.method == "linear":
            return Matrix(_linear(before, after, self.antialias))
        place = 2 * torch.arange(after) + 1
        return Taps((place * before).div(2 * after, rounding_mode="floor")[None], 1.0, before)

    @override
    def check(self, traits: Traits) -> Traits:
        """Take anything; sums of Gaussian units are Gaussian."""
        return traits

    @override
    def build(self, shape: Shape, width: int, outputs: int, generator: torch.Generator) -> tuple[nn.Module, Shape]:
        from neural_kernels.finite.geometry import each, positions_of

        before = positions_of(self, shape)
        after = each(self.shape, len(before))
        from neural_kernels.finite.positions import Interpolate

        return Interpolate(before, after, self.method, self.antialias), (shape[0], *after)


def _linear(before: int, after: int, antialias: bool) -> Tensor:
    """Return R of linear interpolation along one axis, shape (after, before)."""
    scale = before / after
    reach = max(scale, 1.0) if antialias else 1.0
    centres = (torch.arange(after, dtype=torch.float64) + 0.5) * scale - 0.5
    weights = (1 - (centres[:, None] - torch.arange(before)).abs() / reach).clamp(min=0)
    return weights / weights.sum(1, keepdim=True)
