"""Graphs as examples: features of their nodes and who is whose neighbour."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from neural_kernels.runtime.boundary import read_dense, require_finite


@dataclass(frozen=True, eq=False)
class Graphs:
    """A batch of graphs, padded to one number of nodes.

    Parameters
    ----------
    x : array, shape (n, nodes, d)
        Features of the nodes.
    adjacency : array, shape (n, nodes, nodes)
        Weights of the edges; node i sums ``adjacency[i, j]`` times the features of j. Put ones on the diagonal for
        self-loops, and divide by the degrees if that is wanted: nothing is done to it.
    sizes : int array, shape (n,), optional
        Number of nodes of every graph; those beyond do not exist, whatever `x` and `adjacency` hold there.

    Raises
    ------
    ValueError
        Shapes that do not fit, sizes out of range, NaN or infinite weights.

    Examples
    --------
    >>> import numpy as np
    >>> import neural_kernels as nk
    >>> graphs = nk.Graphs(np.ones((1, 2, 3)), np.ones((1, 2, 2)))
    >>> net = nk.Sequential(nk.GraphAggregate(), nk.Dense(), nk.ReLU(), nk.GlobalSumPool(), nk.Dense())
    >>> nk.NNGP(net)(graphs)
    array([[8.]])
    """

    x: Any
    adjacency: Any
    sizes: Any = None

    def __post_init__(self) -> None:
        shape, edges = tuple(np.shape(self.x)), tuple(np.shape(self.adjacency))
        if len(shape) != 3:
            raise ValueError(f"Graphs: expected x of shape (n, nodes, d); got {shape}")
        if edges != (shape[0], shape[1], shape[1]):
            raise ValueError(f"Graphs: expected adjacency of shape {(shape[0], shape[1], shape[1])}; got {edges}")
        require_finite(self._weights(), "Graphs: adjacency", "Check how the edges were weighted.")
        if self.sizes is not None:
            sizes = np.asarray(self.sizes)
            if sizes.shape != shape[:1] or sizes.dtype.kind not in "iu":
                raise ValueError(f"Graphs: expected {shape[0]} integer sizes; got {sizes.dtype} of shape {sizes.shape}")
            if len(sizes) and (sizes.min() < 1 or sizes.max() > shape[1]):
                raise ValueError(f"Graphs: sizes must lie in 1 ... {shape[1]}; got {sizes.min()} ... {sizes.max()}")

    def __len__(self) -> int:
        return len(self.x)

    def __getitem__(self, chosen: Any) -> Graphs:
        """A batch of some of the graphs."""
        sizes = None if self.sizes is None else np.asarray(self.sizes)[chosen]
        return Graphs(self.x[chosen], self.adjacency[chosen], sizes)

    def _weights(self) -> Tensor:
        return read_dense(self.adjacency, "Graphs: adjacency", lambda *_: torch.float64)

    def tensors(self, device: torch.device) -> tuple[Tensor, Tensor]:
        """Adjacency among the nodes that exist, and 1 for those, float64."""
        adjacency = self._weights().to(device)
        nodes = torch.arange(adjacency.shape[1], device=device)
        sizes = torch.full((len(adjacency),), adjacency.shape[1]) if self.sizes is None else torch.as_tensor(self.sizes)
        present = (nodes < sizes.to(device)[:, None]).to(torch.float64)
        return adjacency * present[:, :, None] * present[:, None, :], present
