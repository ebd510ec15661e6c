"""Finite counterparts of what mixes positions as the data say: attention and sums over neighbours."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from typing_extensions import override

from neural_kernels.runtime.types import Shape

HEAD_SIZE = 4  # With scores over sqrt(size) the limit is in the number of heads; their size does not enter it.


class Embed(nn.Module):
    """Embeddings of positions, added to the channels or beside them; drawn once and not trained.

    Parameters
    ----------
    channels : int
        Of the embeddings.
    positions : tuple of int
    added : bool
        Whether they are added; otherwise they are further channels.
    weight_var : float
        Variance of their entries.
    length : float or None
        Of the Gaussian covariance of positions; None: independent ones.
    generator : torch.Generator
    """

    def __init__(
        self,
        channels: int,
        positions: Shape,
        added: bool,
        weight_var: float,
        length: float | None,
        generator: torch.Generator,
    ) -> None:
        super().__init__()
        self.channels, self.added = channels, added
        grid = torch.cartesian_prod(*(torch.arange(n, dtype=torch.float64) for n in positions))
        grid = grid.reshape(-1, len(positions))
        root = torch.eye(len(grid), dtype=torch.float64)
        if length is not None:
            values, vectors = torch.linalg.eigh((-(torch.cdist(grid, grid) ** 2) / (2 * length**2)).exp())
            root = values.clamp(min=0).sqrt() * vectors
        draws = torch.randn(channels, len(grid), generator=generator).to(root) @ root.T
        self.register_buffer("embedding", (math.sqrt(weight_var) * draws).float())

    @override
    def forward(self, x: Tensor) -> Tensor:
        """Embed the positions of x, shape (n, channels, P), giving the same shape or more channels."""
        embedding = self.get_buffer("embedding").to(x)
        return x + embedding if self.added else torch.cat([x, embedding.expand(len(x), -1, -1)], 1)


@dataclass(frozen=True)
class Heads:
    """How attention scores, and the variances of its weights.

    Parameters
    ----------
    similarity : {"softmax", "identity", "relu", "abs"}
    shared : bool
        Whether keys and queries share their weights and scores are divided by the size of a head: the limit is then one
        of wide heads, and there is one head as wide as the network. Otherwise they are independent, scores are divided
        by the root of the size and stay random in every head, and the limit is one of many heads: as many as the
        network is wide.
    score_var, value_var, out_var, bias_var : float
        The product of the variances of keys and queries, and those of values, output and the output's bias.
    """

    similarity: str
    shared: bool
    score_var: float
    value_var: float
    out_var: float
    bias_var: float


class NTKAttention(nn.Module):
    """Self-attention whose variances are factors in `forward`.

    Parameters
    ----------
    channels, width, outputs : int
    heads : Heads
    embed : Embed or None
        What keys and queries see, not only the channels.
    values_embed : bool
        Whether values see it too.
    generator : torch.Generator
        Of the weights of keys, values, output and (unless shared) queries, then of the bias.
    """

    def __init__(
        self,
        channels: int,
        width: int,
        outputs: int,
        heads: Heads,
        embed: Embed | None,
        values_embed: bool,
        generator: torch.Generator,
    ) -> None:
        super().__init__()
        self.similarity = _similarity(heads.similarity)
        self.embed = nn.Identity() if embed is None else embed
        self.values_embed = values_embed
        seen = channels + (0 if embed is None or embed.added else embed.channels)
        valued = seen if values_embed else channels
        count, size = (1, width) if heads.shared else (width, HEAD_SIZE)

        def draw(*shape: int) -> nn.Parameter:
            return nn.Parameter(torch.randn(*shape, generator=generator))

        self.key, self.value, self.out = draw(count, size, seen), draw(count, size, valued), draw(outputs, count, size)
        self.query = None if heads.shared else draw(count, size, seen)
        self.bias = draw(outputs)
        self.score_factor = math.sqrt(heads.score_var) / seen / (size if heads.shared else size**0.5)
        self.factor = math.sqrt(heads.value_var / valued * heads.out_var / (count * size))
        self.bias_factor = math.sqrt(heads.bias_var)

    @override
    def forward(self, x: Tensor) -> Tensor:
        """Give every position the values of all, weighted by their similarity to it."""
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

    @override
    def forward(self, x: Tensor) -> Tensor:
        """Node i sums ``adjacency[i, j]`` times node j: (n, channels, nodes) to the same."""
        if self.adjacency is None:
            raise TypeError("graph aggregation needs the network's root, which takes (x, adjacency)")
        return x @ self.adjacency.to(x).mT


class GraphNetwork(nn.Sequential):
    """A network on graphs: a function of the nodes, (n, channels, nodes), and of who is whose neighbour.

    Graphs of a batch have the same number of nodes, all of which exist; run smaller ones apart.
    """

    @override
    def forward(self, x: Tensor, adjacency: Tensor) -> Tensor:  # pyright: ignore[reportIncompatibleMethodOverride]
        """Apply the network, with ``adjacency`` of shape (n, nodes, nodes)."""
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


def as_network(module: nn.Module) -> nn.Sequential:
    """Return a module as a network of its own: one that takes (x, adjacency) where a part sums over neighbours."""
    modules = module if isinstance(module, nn.Sequential) else (module,)
    on_graphs = any(isinstance(part, Aggregate) for part in module.modules())
    return GraphNetwork(*modules) if on_graphs else nn.Sequential(*modules)
