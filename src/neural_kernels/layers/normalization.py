"""Layers that act on the variance of the units: LayerNorm and Dropout."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import nn
from typing_extensions import override

from neural_kernels.algebra import Graph, K, KernelPair, Layer, PerExample, Traits, short_repr
from neural_kernels.checks import require_choice, require_number
from neural_kernels.runtime.types import Shape


@dataclass(frozen=True)
class LayerNorm(Layer):
    r"""Layer normalisation without affine parameters.

    .. math:: K'(x, y) = K(x, y) / \sqrt{(v(x) + \epsilon)(v(y) + \epsilon)}, \qquad v(x) = K(x, x),

    and :math:`\Theta'` likewise: in the limit of infinite width the statistics do not depend on the weights.

    Parameters
    ----------
    over : {"channels", "all"}
        What the statistics are taken over: the channels at each position, or all units of an example, v being the mean
        over its positions (or over the nodes that exist); the same for vectors.
    eps : float
        Added to the variance, as in torch.

    Raises
    ------
    ArchitectureError
        When the network is used and the input is not Gaussian of mean 0 (write Dense, LayerNorm, ReLU).
    """

    over: str = "channels"
    eps: float = 1e-5

    def __post_init__(self) -> None:
        require_choice(self, ("channels", "all"), over=self.over)
        require_number(self, eps=self.eps)

    __repr__ = short_repr

    @override
    def propagate(self, pair: KernelPair[K]) -> KernelPair[K]:
        """Divide both kernels by the roots of the NNGP's variances; 0 / 0 is 0."""
        variance = pair.nngp.variance
        if self.over == "all" and pair.nngp.positions:
            variance = _mean(variance, pair.graph)
        factor = variance.map(lambda v: torch.where(v + self.eps > 0, v + self.eps, torch.inf).rsqrt())
        return pair.after(nngp=pair.nngp.scale(factor), ntk=pair.ntk.scale(factor))

    @override
    def check(self, traits: Traits) -> Traits:
        return traits.normalized(self)

    @override
    def build(self, shape: Shape, width: int, outputs: int, generator: torch.Generator) -> tuple[nn.Module, Shape]:
        from neural_kernels.finite.modules import Normalize

        return Normalize(self.over, self.eps), shape


def _mean(variance: PerExample, graph: Graph | None) -> PerExample:
    """Return the mean over positions, at every position; on graphs over the nodes that exist."""
    if graph is None:
        return variance.map(lambda v: v.mean(tuple(range(1, v.ndim)), keepdim=True).expand_as(v))
    pairs = zip(variance.sides, graph.present.sides, strict=True)
    return PerExample(tuple((v.sum(1, keepdim=True) / there.sum(1, keepdim=True)).expand_as(v) for v, there in pairs))


@dataclass(frozen=True)
class Dropout(Layer):
    r"""Dropout in training mode: every unit is kept with probability 1 - rate and divided by it.

    .. math:: K'(x, x) = K(x, x) / (1 - rate), \qquad K'(x, y) = K(x, y) \quad (x \ne y),

    and :math:`\Theta'` likewise. Two rows are the same example if they are the same row of one array: equal rows at
    different places have masks of their own.

    Parameters
    ----------
    rate : float
        Probability to DROP, in [0, 1), as in torch.

    Raises
    ------
    ArchitectureError
        When the network is used and the layer stands on the input, whose units are few: the kernel would be random.
    """

    rate: float

    def __post_init__(self) -> None:
        require_number(self, 0.0, 1.0, rate=self.rate)

    @override
    def propagate(self, pair: KernelPair[K]) -> KernelPair[K]:
        factor = 1 / (1 - self.rate)
        return pair.after(nngp=pair.nngp.inflate(factor), ntk=pair.ntk.inflate(factor))

    @override
    def check(self, traits: Traits) -> Traits:
        return traits.dropped(self)

    @override
    def build(self, shape: Shape, width: int, outputs: int, generator: torch.Generator) -> tuple[nn.Module, Shape]:
        return nn.Dropout(self.rate), shape
