"""Random directions in orthogonal blocks, by Hadamard transforms with random signs between them."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor, nn

from neural_kernels.sketches._hadamard import padded, transform
from neural_kernels.sketches._seeds import derive_seed, draw_signs

_SMALLEST = 16  # dimension: fewer features are filled up with zeros, so that directions are near normal
_ROUNDS = 3


class Directions(nn.Module):
    r"""Coordinates of rows along random directions: :math:`u_i = \sqrt D\, w_i \cdot x` with unit vectors w_i.

    The w_i come in blocks of D orthogonal ones, rows of :math:`(H S_3 H S_2 H S_1) / D^{3/2}` with the Hadamard matrix
    H and random signs S, which for a row x of norm 1 are in effect uniform on the sphere, so that u is about standard
    normal (Yu et al. 2016, arXiv:1610.09072).

    Parameters
    ----------
    in_features : int
    count : int
        Number of directions.
    seed : int
    normal : bool
        Multiply each u_i by a random length, so that it is standard normal in any dimension; else all w_i have one
        length, which is nearer where the function of u is homogeneous.

    Attributes
    ----------
    dimension : int
        D: a power of two, at least 16.
    """

    signs: Tensor
    lengths: Tensor | None

    def __init__(self, in_features: int, count: int, seed: int, normal: bool = False) -> None:
        super().__init__()
        self.count, self.dimension = count, max(_SMALLEST, padded(in_features))
        blocks = range(-(-count // self.dimension))
        signs = [
            torch.stack([draw_signs(self.dimension, seed, "directions", block, turn) for turn in range(_ROUNDS)])
            for block in blocks
        ]
        empty = torch.empty(0, _ROUNDS, self.dimension, dtype=torch.int8)
        self.register_buffer("signs", torch.stack(signs) if signs else empty)
        draws = np.random.default_rng(derive_seed(seed, "lengths"))
        lengths = np.sqrt(draws.chisquare(self.dimension, count) / self.dimension)
        self.register_buffer("lengths", torch.from_numpy(lengths) if normal else None)

    def blocks(self, x: Tensor) -> Iterator[tuple[slice, Tensor]]:
        """Columns of the result and u there, shape (n, <= D), one block after the other in the same memory."""
        start = torch.nn.functional.pad(x / self.dimension, (0, self.dimension - x.shape[1]))
        turned, after = torch.empty_like(start), torch.empty_like(start)
        for block, signs in enumerate(self.signs.to(x.dtype)):
            u = start
            for turn in signs:
                if x.requires_grad:
                    u = transform(u * turn)
                else:
                    u = transform(torch.mul(u, turn, out=turned), out=after)
            first = block * self.dimension
            columns = slice(first, min(first + self.dimension, self.count))
            u = u[:, : columns.stop - first]
            yield columns, u if self.lengths is None else u * self.lengths[columns].to(u.dtype)

    def forward(self, x: Tensor) -> Tensor:
        """All u, shape (n, count), for rows of shape (n, in_features)."""
        if x.requires_grad:
            return torch.cat([u for _, u in self.blocks(x)], 1)
        result = x.new_empty(len(x), self.count)
        for columns, u in self.blocks(x):
            result[:, columns] = u
        return result
