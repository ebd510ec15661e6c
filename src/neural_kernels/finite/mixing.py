"""Finite counterparts of the layers that mix positions as the data say: attention and graph aggregation."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

HEAD_SIZE = 4  # With scores over sqrt(size) the limit is in the number of heads; their size does not enter it.


class Embed(nn.Module):
    """Embeddings of positions, added to the channels or beside them; drawn once and not trained."""

    def __init__(self, layer: Any, shape: tuple[int, ...], generator: torch.Generator) -> None:
        super().__init__()
        self.added = layer.kind == "sum"
        grid = torch.cartesian_prod(*(torch.arange(n, dtype=torch.float64) for n in shape[1:])).reshape(
            -1, len(shape) - 1
        )
        root = torch.eye(len(grid), dtype=torch.float64)
        if layer.length is not None:
            values, vectors = torch.linalg.eigh((-(torch.cdist(grid, grid) ** 2) / (2 * layer.length**2)).exp())
            root = values.clamp(min=0).sqrt() * vectors
        channels = shape[0] if self.added else layer.channels
        draws = torch.randn(channels, len(grid), generator=generator).to(root) @ root.T
        self.register_buffer("embedding", (math.sqrt(layer.weight_var) * draws).float())

    def forward(self, x: Tensor) -> Tensor:
        """(n, channels, P) to the same, or more channels."""
        embedding = self.get_buffer("embedding").to(x)
        return x + embedding if self.added else torch.cat([x, embedding.expand(len(x), -1, -1)], 1)


class NTKAttention(nn.Module):
    """Self-attention whose variances are factors in `forward`.

    With scores divided by the size of a head, keys and queries share their weights and the limit is one of wide heads:
    one head as wide as the network. With the square root they are independent, scores stay random in every head, and
    the limit is one of many heads: as many as the network is wide.
    """

    def __init__(
        self, layer: Any, shape: tuple[int, ...], width: int, outputs: int, generator: torch.Generator
    ) -> None:
        super().__init__()
        self.similarity, linear = _similarity(layer.similarity), layer.scaling == "linear"
        self.embed = nn.Identity() if layer.positions is None else Embed(layer.positions, shape, generator)
        self.values_embed = layer.positions is not None and layer.positions.values
        added = layer.positions.channels if layer.positions is not None and layer.positions.kind == "concat" else 0
        seen = shape[0] + added
        valued = seen if self.values_embed else shape[0]
        heads, size = (1, width) if linear else (width, HEAD_SIZE)

        def draw(*shape: int) -> nn.Parameter:
            return nn.Parameter(torch.randn(*shape, generator=generator))

        self.key, self.value, self.out = draw(heads, size, seen), draw(heads, size, valued), draw(outputs, heads, size)
        self.query = None if linear else draw(heads, size, seen)
        self.bias = draw(outputs)
        self.score_factor = math.sqrt(layer.key_var * layer.query_var) / seen / (size if linear else size**0.5)
        self.factor = math.sqrt(layer.value_var / valued * layer.out_var / (heads * size))
        self.bias_factor = math.sqrt(layer.bias_var)

    def forward(self, x: Tensor) -> Tensor:
        """Every position takes the values of all, weighted by their similarity to it."""
        flat = x.flatten(2)
        seen = self.embed(flat)
        key, query = (_heads(weight, seen) for weight in (self.key, self.key if self.query is None else self.query))
        value = _heads(self.value, seen if self.values_embed else flat)
        weights = self.similarity(self.score_factor * query @ key.mT)
        z = self.factor * torch.einsum("nhpd,ohd->nop", weights @ value, self.out)
        return (z + self.bias_factor * self.bias[:, None]).reshape(len(x), -1, *x.shape[2:])


def _heads(weight: Tensor, x: Tensor) -> Tensor:
    return torch.einsum("hdc,ncp->nhpd", weight, x)


def _similarity(name: str) -> Callable[[Tensor], Tensor]:
    return {"softmax": _softmax, "identity": _identity, "relu": torch.relu, "abs": torch.abs}[name]


def _softmax(scores: Tensor) -> Tensor:
    return scores.softmax(-1)


def _identity(scores: Tensor) -> Tensor:
    return scores


class Aggregate(nn.Module):
    """Weighted sums over neighbours, by the adjacency that the network was called with."""

    adjacency: Tensor | None = None

    def forward(self, x: Tensor) -> Tensor:
        """Node i sums ``adjacency[i, j]`` times node j: (n, channels, nodes) to the same."""
        if self.adjacency is None:
            raise TypeError("graph aggregation needs the network's root, which takes (x, adjacency)")
        return x @ self.adjacency.to(x).mT


class GraphNetwork(nn.Sequential):
    """A network on graphs: a function of the nodes, (n, channels, nodes), and of who is whose neighbour.

    Graphs of a batch have the same number of nodes, all of which exist; run smaller ones apart.
    """

    def forward(self, x: Tensor, adjacency: Tensor) -> Tensor:  # pyright: ignore[reportIncompatibleMethodOverride]
        """Adjacency of shape (n, nodes, nodes)."""
        if adjacency.shape != (len(x), x.shape[-1], x.shape[-1]):
            raise ValueError(f"expected adjacency of shape {(len(x), x.shape[-1], x.shape[-1])}; got {adjacency.shape}")
        aggregates = [module for module in self.modules() if isinstance(module, Aggregate)]
        for module in aggregates:
            module.adjacency = adjacency
        try:
            return super().forward(x)
        finally:
            for module in aggregates:
                module.adjacency = None
