"""The fully connected layer."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import nn
from typing_extensions import override

from neural_kernels.algebra import K, KernelPair, short_repr
from neural_kernels.finite.variances import Variances
from neural_kernels.layers.affine import Affine
from neural_kernels.runtime.types import Shape


@dataclass(frozen=True)
class Dense(Affine):
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
    trained : bool
        False: weights and biases stay as drawn, so the NTK lacks their term, :math:`\Theta' = v_w \Theta`. Arora et al.
        2019 define their kernels with such a last layer.

    References
    ----------
    Jacot, Gabriel, Hongler 2018, arXiv 1806.07572; Sohl-Dickstein, Novak, Schoenholz, Lee 2020, arXiv 2001.07301;
    Arora, Du, Hu, Li, Salakhutdinov, Wang 2019, arXiv 1904.11955.

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
    trained: bool = True

    __repr__ = short_repr

    @override
    def propagate(self, pair: KernelPair[K]) -> KernelPair[K]:
        return self.update(pair)

    @override
    def _finite(
        self, shape: Shape, outputs: int, variances: Variances, generator: torch.Generator
    ) -> tuple[nn.Module, Shape]:
        from neural_kernels.finite.modules import NTKLinear

        return NTKLinear(shape[0], outputs, variances, generator), shape[1:]
