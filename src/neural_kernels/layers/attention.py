"""Self-attention over all positions, in the limit of many heads, and the embeddings of positions it sees."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

import torch
from torch import Tensor, nn
from typing_extensions import override

from neural_kernels.algebra import (
    K,
    KernelPair,
    Layer,
    Matrix,
    PerExample,
    PerExampleMatrix,
    Separable,
    Traits,
    short_repr,
)
from neural_kernels.checks import require_choice, require_integer, require_number, require_positive
from neural_kernels.errors import ArchitectureError
from neural_kernels.layers import windows as _windows
from neural_kernels.runtime.types import Shape

if TYPE_CHECKING:
    from neural_kernels.finite.mixing import Embed


@dataclass(frozen=True)
class Positions:
    r"""Random embeddings of positions, the same for all examples and not trained.

    With the covariance of the positions' embeddings :math:`v_e R`, R = 1 or
    :math:`R_{pq} = \exp(-|p - q|^2 / (2 \ell^2))`, the units seen have

    .. math:: \tilde K = K + v_e R, \quad \tilde \Theta = \Theta \qquad \text{("sum")}, \qquad
              \tilde K = \frac{n K + m v_e R}{n + m}, \quad \tilde \Theta = \frac{n \Theta}{n + m}
              \qquad \text{("concat")},

    n the number of channels of the input, m that of the embedding.

    Parameters
    ----------
    kind : {"sum", "concat"}
    weight_var : float
        :math:`v_e`.
    length : float or None
        :math:`\ell`, in positions; None: embeddings of different positions are independent.
    channels : int or None
        m, for "concat".
    values : bool
        Whether values see the embeddings too, not only keys and queries.

    References
    ----------
    Hron, Bahri, Sohl-Dickstein, Novak 2020, arXiv 2006.10540, section 3.

    Examples
    --------
    >>> import neural_kernels as nk
    >>> nk.Attention(positions=nk.Positions("sum", weight_var=0.5))
    Attention(positions=Positions(kind='sum', weight_var=0.5))
    """

    kind: str
    weight_var: float = 1.0
    length: float | None = None
    channels: int | None = None
    values: bool = False

    __repr__ = short_repr

    def __post_init__(self) -> None:
        require_choice(self, ("sum", "concat"), kind=self.kind)
        require_number(self, weight_var=self.weight_var)
        if self.length is not None:
            require_positive(self, length=self.length)  # None makes positions independent
        if self.channels is not None:
            require_integer(self, channels=self.channels)
            object.__setattr__(self, "channels", int(self.channels))
        if (self.kind == "concat") != (self.channels is not None):
            raise ValueError(f"{self!r}: give channels with 'concat', where they count, and only there")

    def embed(self, pair: KernelPair[K]) -> KernelPair[K]:
        """Return the pair of the units with their positions' embeddings, added or beside them."""
        embedding = (pair.nngp.zero() + 1.0).decorrelate()
        if self.length is not None:
            embedding = embedding.map(Separable(tuple(Matrix(self._root(size)) for size in pair.nngp.positions)))
        share = 1.0
        if self.channels is not None:
            if pair.width is None:
                raise ValueError(f"{self!r}: the number of channels before it counts; give that affine layer a width")
            share = pair.width / (pair.width + self.channels)
        weight = self.weight_var * (1 if self.kind == "sum" else 1 - share)
        return pair.after(nngp=share * pair.nngp + weight * embedding, ntk=share * pair.ntk)

    def build(self, shape: Shape, generator: torch.Generator) -> Embed:
        """Make the module that embeds the positions of examples of shape ``(channels, *positions)``."""
        channels = shape[0] if self.channels is None else self.channels
        from neural_kernels.finite.mixing import Embed

        return Embed(channels, shape[1:], self.kind == "sum", self.weight_var, self.length, generator)

    def _root(self, size: int) -> Tensor:
        """Return a square root of R along one axis."""
        assert self.length is not None
        place = torch.arange(size, dtype=torch.float64) / self.length
        values, vectors = torch.linalg.eigh(torch.exp(-(place[:, None] - place).square() / 2))
        return vectors * values.clamp(min=0).sqrt()


@dataclass(frozen=True)
class Attention(Layer):
    r"""Self-attention over all positions, with infinitely many heads; a new affine map comes last.

    "linear" scaling divides queries times keys by the width, and keys and queries share their weights. With
    :math:`\kappa = \sqrt{v_k v_q}` and the similarity :math:`\zeta` (softmax over keys, or entry by entry),

    .. math:: A_x = \zeta(\kappa \tilde K(x, x)), \quad M = v_v v_o A_x K A_y^T, \quad K' = M + v_b, \quad
              \Theta' = v_v v_o A_x \Theta A_y^T + 2 M + v_b.

    "sqrt" scaling divides by its root, with the identity alone: attention then stays random. With
    :math:`g = v_k v_q v_v v_o` and :math:`\langle X, Y \rangle` the sum over all pairs of positions of X Y,

    .. math:: K' = g \langle \tilde K, K \rangle \tilde K + v_b, \qquad
              \Theta' = g ((\langle \tilde K, \Theta \rangle + \langle \tilde \Theta, K \rangle) \tilde K
              + \langle \tilde K, K \rangle (\tilde \Theta + 4 \tilde K)) + v_b.

    :math:`\tilde K, \tilde \Theta` are K and Theta with the embeddings of `positions`; they stand for K and Theta too
    where values see those. Nodes of a graph that do not exist are no keys. Cost: two matrix products of size positions
    for a pair of examples; the positions' own covariances are computed when the network is applied, O(n P^2).

    Parameters
    ----------
    similarity : {"softmax", "identity", "relu", "abs"}
    scaling : {"linear", "sqrt"}
    key_var, query_var, value_var, out_var, bias_var : float
        Variances of the weights of keys, queries, values and output, and of the output's bias.
    positions : Positions or None

    Raises
    ------
    ValueError
        "sqrt" with another similarity than "identity", or, when the network is used, vectors.
    ArchitectureError
        When the network is used, and embeddings would meet the input's few channels.

    References
    ----------
    Hron, Bahri, Sohl-Dickstein, Novak 2020, arXiv 2006.10540.

    Examples
    --------
    >>> import numpy as np
    >>> import neural_kernels as nk
    >>> net = nk.Sequential(nk.Dense(), nk.Attention(), nk.ReLU(), nk.GlobalAvgPool(), nk.Dense())
    >>> nk.NNGP(net)(np.ones((1, 3, 4)))
    array([[0.5]])
    """

    similarity: str = "softmax"
    scaling: str = "linear"
    key_var: float = 1.0
    query_var: float = 1.0
    value_var: float = 1.0
    out_var: float = 1.0
    bias_var: float = 0.0
    positions: Positions | None = None

    __repr__ = short_repr

    def __post_init__(self) -> None:
        require_choice(self, ("softmax", "identity", "relu", "abs"), similarity=self.similarity)
        require_choice(self, ("linear", "sqrt"), scaling=self.scaling)
        names = "key_var", "query_var", "value_var", "out_var", "bias_var"
        require_number(self, **{name: getattr(self, name) for name in names})
        if self.positions is not None and not isinstance(self.positions, Positions):
            raise TypeError(f"Attention(positions={self.positions!r}): expected nk.Positions(...) or None")
        if self.scaling == "sqrt" and self.similarity != "identity":
            raise ValueError(
                f"Attention(similarity={self.similarity!r}, scaling='sqrt'): attention stays random there, and only "
                "the identity has a kernel in closed form. Use scaling='linear' or similarity='identity'."
            )

    @override
    def rescaled(self, weights: Any, biases: Any) -> Self:
        raise TypeError("Attention: its variances are not learnt; learn the amplitude of the kernel alone")

    @override
    def propagate(self, pair: KernelPair[K]) -> KernelPair[K]:
        _windows.positions_of(self, pair, ordered=False)
        seen = pair if self.positions is None else self.positions.embed(pair)
        values = seen if self.positions is not None and self.positions.values else pair
        return self._linear(seen, values) if self.scaling == "linear" else self._sqrt(seen, values)

    def _linear(self, seen: KernelPair[K], values: KernelPair[K]) -> KernelPair[K]:
        scores = seen.nngp.position_gram().map(lambda cov: math.sqrt(self.key_var * self.query_var) * cov)
        if seen.graph is not None and self.similarity == "softmax":
            keys = seen.graph.present.sides
            sides = (s.masked_fill(k[:, None] == 0, -torch.inf) for s, k in zip(scores.sides, keys, strict=True))
            scores = PerExample(tuple(sides))
        attend = PerExampleMatrix(scores.map(self._attention).sides, values.nngp.positions)
        factor = self.value_var * self.out_var
        mean = factor * values.nngp.map(attend)
        ntk = factor * values.ntk.map(attend) + 2.0 * mean + self.bias_var  # type: ignore[operator]
        return values.after(mean + self.bias_var, ntk, width=None)

    def _attention(self, scores: Tensor) -> Tensor:
        if self.similarity == "softmax":
            return scores.softmax(-1)
        return {"identity": scores, "relu": scores.relu(), "abs": scores.abs()}[self.similarity]

    def _sqrt(self, seen: KernelPair[K], values: KernelPair[K]) -> KernelPair[K]:
        factor = self.key_var * self.query_var * self.value_var * self.out_var
        # With matrices of ones, S k S^T is the sum of k, at every pair of positions.
        total = Separable(tuple(Matrix(torch.ones(size, size)) for size in seen.nngp.positions))
        size = (seen.nngp * values.nngp).map(total)
        nngp = factor * (seen.nngp * size)
        change = (values.ntk * seen.nngp + seen.ntk * values.nngp).map(total)  # type: ignore[operator]
        ntk = change * seen.nngp + (seen.ntk + 4.0 * seen.nngp) * size  # type: ignore[operator]
        return values.after(nngp + self.bias_var, factor * ntk + self.bias_var, width=None)

    @override
    def check(self, traits: Traits) -> Traits:
        """Take anything, as the map of values to outputs is affine; but embeddings need many units to be added to."""
        if self.positions is not None and not traits.wide:
            raise ArchitectureError(
                f"{self!r} stands on the input, whose few channels make the kernel depend on the embeddings drawn. Put "
                "a Dense in front of it."
            )
        return traits.affine()

    @property
    @override
    def has_weights(self) -> bool:
        return True

    @override
    def build(self, shape: Shape, width: int, outputs: int, generator: torch.Generator) -> tuple[nn.Module, Shape]:
        """Make attention of heads as wide, or as many, as the network is wide."""
        from neural_kernels.finite.geometry import positions_of

        positions = positions_of(self, shape)
        shared, score_var = self.scaling == "linear", self.key_var * self.query_var
        from neural_kernels.finite.mixing import Heads, NTKAttention

        heads = Heads(self.similarity, shared, score_var, self.value_var, self.out_var, self.bias_var)
        embed = None if self.positions is None else self.positions.build(shape, generator)
        values_embed = self.positions is not None and self.positions.values
        module = NTKAttention(shape[0], width, outputs, heads, embed, values_embed, generator)
        return module, (outputs, *positions)
