"""The fully connected layer."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeVar

import torch
from torch import nn

from neural_kernels.algebra import KernelPair, Representation, Traits
from neural_kernels.layer import Layer
from neural_kernels.layers import _validate
from neural_kernels.layers.finite import NTKLinear

K = TypeVar("K", bound=Representation)


@dataclass(frozen=True)
class Dense(Layer):
    r"""Fully connected layer, a new affine map of all units.

    In the NTK parametrisation :math:`z = \sqrt{v_w / n}\, W h + \sqrt{v_b}\, b` with standard normal W and b, n the
    number of inputs:

    .. math:: K' = v_w K + v_b, \qquad \Theta' = v_w \Theta + K'.

    In the standard parametrisation the weights themselves have variance :math:`v_w / n`, the bias :math:`v_b`:

    .. math:: \Theta' = v_w \Theta + n K + 1_{bias}.

    Parameters
    ----------
    weight_var : float
        :math:`v_w`, at least 0.
    bias_var : float or None
        :math:`v_b`, at least 0. None: no bias, which differs from 0 in the standard parametrisation only.
    parametrization : {"ntk", "standard"}
    width : int or None
        Number of outputs of the finite network; the next layer in the standard parametrisation asks for it.

    References
    ----------
    Jacot, Gabriel, Hongler 2018, arXiv 1806.07572; Sohl-Dickstein, Novak, Schoenholz, Lee 2020, arXiv 2001.07301.

    Examples
    --------
    >>> import neural_kernels as nk
    >>> nk.Sequential(nk.Dense(), nk.ReLU(), nk.Dense(weight_var=2.0, bias_var=0.1))
    Sequential(Dense(), ReLU(), Dense(weight_var=2.0, bias_var=0.1))
    """

    weight_var: float = 1.0
    bias_var: float | None = 0.0
    parametrization: str = "ntk"
    width: int | None = None

    def __post_init__(self) -> None:
        _validate.number("Dense", "weight_var", self.weight_var)
        if self.bias_var is not None:
            _validate.number("Dense", "bias_var", self.bias_var)
        _validate.choice("Dense", "parametrization", self.parametrization, ("ntk", "standard"))
        if self.width is not None:
            _validate.count("Dense", "width", self.width)

    __repr__ = _validate.short_repr

    def propagate(self, pair: KernelPair[K]) -> KernelPair[K]:
        """One affine map."""
        nngp = self.weight_var * pair.nngp + (self.bias_var or 0.0)
        if self.parametrization == "ntk":
            return KernelPair(nngp, self.weight_var * pair.ntk + nngp, self.width)
        fan_in = self._fan_in(pair.width)
        ntk = self.weight_var * pair.ntk + float(fan_in) * pair.nngp + float(self.bias_var is not None)
        return KernelPair(nngp, ntk, self.width)

    def _fan_in(self, width: int | None) -> int:
        if width is None:
            raise ValueError(
                f"{self!r}: the NTK in the standard parametrisation depends on the number of inputs; give the Dense "
                "before it a width"
            )
        return width

    def check(self, traits: Traits) -> Traits:
        """Takes anything."""
        return traits.affine()

    @property
    def affine(self) -> bool:
        """True."""
        return True

    def build(
        self, shape: tuple[int, ...], width: int, generator: torch.Generator
    ) -> tuple[nn.Module, tuple[int, ...]]:
        """A linear map of the last axis."""
        *positions, fan_in = shape
        outputs = self.width or width
        return NTKLinear(fan_in, outputs, self, generator), (*positions, outputs)
