"""Random directions: in orthogonal blocks, by Hadamard transforms with random signs between them; or independent."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor

from neural_kernels.runtime.plain_state import StoredModule
from neural_kernels.sketches.hadamard import padded, transform
from neural_kernels.sketches.seeds import derive_seed, draw_normal, draw_rotation, draw_signs

SMALLEST = 16  # dimension: fewer features are filled up with zeros, so that directions are near normal
_ROUNDS = 3
_HAAR = 64  # the largest dimension of rotations that are matrices: Hadamard transforms are too regular there


class Directions(StoredModule):
    r"""Coordinates of rows along random directions: :math:`u_i = \sqrt D\, w_i \cdot x` with unit vectors w_i.

    The w_i come in blocks of D orthogonal ones, rows of :math:`(H S_3 H S_2 H S_1) / D^{3/2}` with the Hadamard matrix
    H and random signs S, which for a row x of norm 1 are in effect uniform on the sphere, so that u is about standard
    normal (Yu et al. 2016, arXiv:1610.09072). Up to D = 64 a block is drawn uniformly from all rotations.

    Parameters
    ----------
    in_features : int
    count : int
        How many directions.
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
    rotations: Tensor | None
    lengths: Tensor | None

    def __init__(self, in_features: int, count: int, seed: int, normal: bool = False) -> None:
        super().__init__()
        self.count, self.dimension = count, max(SMALLEST, padded(in_features))
        blocks = range(-(-count // self.dimension))
        haar = self.dimension <= _HAAR
        rotations = [draw_rotation(self.dimension, seed, "rotation", block) for block in blocks if haar]
        self.register_buffer("rotations", torch.stack(rotations) if rotations else None)
        signs = [
            torch.stack([draw_signs(self.dimension, seed, "directions", block, turn) for turn in range(_ROUNDS)])
            for block in blocks
            if not haar
        ]
        empty = torch.empty(0, _ROUNDS, self.dimension, dtype=torch.int8)
        self.register_buffer("signs", torch.stack(signs) if signs else empty)
        draws = np.random.default_rng(derive_seed(seed, "lengths"))
        lengths = np.sqrt(draws.chisquare(self.dimension, count) / self.dimension)
        self.register_buffer("lengths", torch.from_numpy(lengths) if normal else None)

    def blocks(self, x: Tensor) -> Iterator[tuple[slice, Tensor]]:
        """Yield, block by block, which columns of the result it makes and u there, shape (n, <= D).

        Every block is in the same memory as the one before: use it up first.
        """
        width = self.dimension
        start = torch.nn.functional.pad(x, (0, width - x.shape[1]))
        turned = self._rotated(start) if self.rotations is not None else self._transformed(start / width)
        for first, u in zip(range(0, self.count, width), turned, strict=True):
            columns = slice(first, min(first + width, self.count))
            u = u[:, : columns.stop - first]
            yield columns, u if self.lengths is None else u * self.lengths[columns].to(u.dtype)

    def _rotated(self, x: Tensor) -> Iterator[Tensor]:
        """Blocks of u by rotations that are kept as matrices."""
        assert self.rotations is not None
        return (math.sqrt(self.dimension) * x @ rotation for rotation in self.rotations.to(x.dtype))

    def _transformed(self, x: Tensor) -> Iterator[Tensor]:
        """Blocks of u by Hadamard transforms, all in the same two buffers unless gradients pass."""
        turned, after = torch.empty_like(x), torch.empty_like(x)
        for signs in self.signs.to(x.dtype):
            u = x
            for turn in signs:
                if x.requires_grad:
                    u = transform(u * turn)
                else:
                    u = transform(torch.mul(u, turn, out=turned), out=after)
            yield u

    def forward(self, x: Tensor) -> Tensor:
        """Coordinates along all directions, shape (n, count), of rows of shape (n, in_features)."""
        if x.requires_grad:
            return torch.cat([u for _, u in self.blocks(x)], 1)
        result = x.new_empty(len(x), self.count)
        for columns, u in self.blocks(x):
            result[:, columns] = u
        return result


class IndependentDirections(StoredModule):
    r"""Coordinates of rows along independent random directions, by a matrix product.

    Parameters
    ----------
    in_features : int
    count : int
    seed : int
    normal : bool
        Standard normal directions; else of the length :math:`\sqrt d`, uniform on the sphere. These are the exact
        leverage-score samples of homogeneous activations of degree 1: the density :math:`|w|^2 N(w; 0, I)` is
        isotropic, and the length cancels in :math:`\sigma(w \cdot x) / |w|` (Zandieh et al. 2021, arXiv:2106.07880,
        draw from it by a Gibbs sampler).

    Attributes
    ----------
    dimension : int
        That of the directions, d: here no features are filled up.
    """

    matrix: Tensor

    def __init__(self, in_features: int, count: int, seed: int, normal: bool = False) -> None:
        super().__init__()
        self.count, self.dimension = count, in_features
        matrix = draw_normal(in_features * count, seed, "independent").view(in_features, count)
        if not normal:
            matrix = matrix * (math.sqrt(in_features) / torch.linalg.vector_norm(matrix, dim=0))
        self.register_buffer("matrix", matrix)

    def forward(self, x: Tensor) -> Tensor:
        """Coordinates along all directions, shape (n, count), of rows of shape (n, in_features)."""
        return x @ self.matrix.to(x.dtype)
