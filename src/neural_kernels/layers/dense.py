"""The fully connected layer."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy.typing as npt
import torch
from torch import nn
from typing_extensions import override

from neural_kernels.algebra import ChannelMap, InputMap, K, KernelPair, Layer, Metric, as_metric, short_repr
from neural_kernels.finite.variances import Variances
from neural_kernels.layers.measured import Measured, require_no_metric
from neural_kernels.runtime.types import Shape


@dataclass(frozen=True)
class Dense(Measured):
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
    metric : Metric or array-like, shape (d, d) or (d,), optional
        Of the first layer alone: K becomes :math:`x^T M z / d`, of examples with positions at each of them; a vector is
        the diagonal of M. What is learnt of the inputs (relevances, average gradient outer products) goes here.

    References
    ----------
    Jacot, Gabriel, Hongler 2018, arXiv 1806.07572; Sohl-Dickstein, Novak, Schoenholz, Lee 2020, arXiv 2001.07301;
    Arora, Du, Hu, Li, Salakhutdinov, Wang 2019, arXiv 1904.11955; of metrics Radhakrishnan, Beaglehole, Pandit, Belkin
    2022, arXiv 2212.13881.

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
    metric: Metric | npt.ArrayLike | None = None

    __repr__ = short_repr

    @override
    def propagate(self, pair: KernelPair[K]) -> KernelPair[K]:
        require_no_metric(self)
        return self.update(pair)

    @override
    def split(self) -> tuple[Layer, InputMap | None]:
        metric = as_metric(self.metric)
        return (self, None) if metric is None else (replace(self, metric=None), ChannelMap(metric))

    @override
    def _finite(
        self, shape: Shape, outputs: int, variances: Variances, generator: torch.Generator
    ) -> tuple[nn.Module, Shape]:
        from neural_kernels.finite.modules import NTKLinear

        return NTKLinear(shape[0], outputs, variances, generator), shape[1:]
