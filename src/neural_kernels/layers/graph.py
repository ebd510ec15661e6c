"""Sums over neighbours in a graph."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import nn
from typing_extensions import override

from neural_kernels.algebra import K, KernelPair, Layer, PerExampleMatrix, Traits
from neural_kernels.runtime.types import Shape


@dataclass(frozen=True)
class GraphAggregate(Layer):
    r"""Sum over neighbours: node i becomes :math:`\sum_j A_{ij}` times node j, no weights, no normalisation.

    .. math:: K'(x, y) = A_x K(x, y) A_y^T, \qquad \Theta'(x, y) = A_x \Theta(x, y) A_y^T

    with the adjacency matrices A of the graphs x and y. Cost: two matrix products of size nodes for a pair of graphs.

    Raises
    ------
    ValueError
        When the network is used on data other than :class:`~neural_kernels.Graphs`.

    References
    ----------
    Du, Hou, Salakhutdinov, Poczos, Wang, Xu 2019, arXiv 1905.13192.

    Examples
    --------
    >>> import numpy as np
    >>> import neural_kernels as nk
    >>> path = nk.Graphs(np.ones((1, 3, 1)), np.array([[[1, 1, 0], [1, 1, 1], [0, 1, 1]]]))
    >>> nk.NNGP(nk.GraphAggregate())(path)[0, 0]
    array([[4., 6., 4.],
           [6., 9., 6.],
           [4., 6., 4.]])
    """

    @override
    def propagate(self, pair: KernelPair[K]) -> KernelPair[K]:
        if pair.graph is None or not pair.nngp.positions:
            got = "data without edges" if pair.graph is None else "what a pool or Flatten left of the nodes"
            raise ValueError(
                f"{self!r} sums over the neighbours of nodes, but it got {got}. Pass nk.Graphs(x, adjacency), with "
                "this layer in front of pools and Flatten."
            )
        neighbours = PerExampleMatrix(pair.graph.adjacency.sides, pair.nngp.positions)
        return pair.after(nngp=pair.nngp.map(neighbours), ntk=pair.ntk.map(neighbours))

    @override
    def check(self, traits: Traits) -> Traits:
        """Take anything; sums of Gaussian units are Gaussian."""
        return traits

    @override
    def build(self, shape: Shape, width: int, outputs: int, generator: torch.Generator) -> tuple[nn.Module, Shape]:
        from neural_kernels.finite.geometry import positions_of

        positions_of(self, shape)
        from neural_kernels.finite.mixing import Aggregate

        return Aggregate(), shape
