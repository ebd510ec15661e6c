"""Random steps that do not depend on the activation: products of factors, sums over windows, signs of positions."""

from __future__ import annotations

from math import prod

import torch
from torch import Tensor, nn

from neural_kernels.algebra import Separable
from neural_kernels.sketches import SRHT, TensorSRHT, derive_seed
from neural_kernels.sketches._seeds import draw_bits, draw_signs


class TensorProduct(nn.Module):
    """The tensor product of two factors row by row: exact if it is no wider than asked for, else sketched.

    Parameters
    ----------
    first, second : int
        Widths of the factors.
    columns : int
        Of the sketch.
    seed : int
    """

    def __init__(self, first: int, second: int, columns: int, seed: int) -> None:
        super().__init__()
        self.sketch = TensorSRHT(first, second, columns, seed, complex_signs=True) if first * second > columns else None

    def forward(self, a: Tensor, b: Tensor) -> Tensor:
        """Shape (..., columns) of (..., first) and (..., second)."""
        if self.sketch is None:
            return (a[..., :, None] * b[..., None, :]).flatten(-2)
        return self.sketch.sketch(a.flatten(0, -2), b.flatten(0, -2)).reshape(*a.shape[:-1], self.sketch.n_components)


class SignedSum(nn.Module):
    r"""A sketch of the concatenation of all :math:`S_a \phi` that never makes it.

    The rows are mixed once (an SRHT at every position), and every :math:`S_a` of the result is added with random signs
    and a random rotation of its columns: unbiased by the signs, and by the rotation with about the variance of as many
    independent sketches, since columns of mixed rows are nearly independent.

    Parameters
    ----------
    in_features : int
    taps : int
        Number of the S_a.
    columns : int
    seed : int
    """

    signs: Tensor
    turns: Tensor

    def __init__(self, in_features: int, taps: int, columns: int, seed: int) -> None:
        super().__init__()
        self.mix = SRHT(in_features, columns, derive_seed(seed, "mix"))
        turns = draw_bits(taps, seed, "turns") % columns
        self.register_buffer("signs", draw_signs(taps * columns, seed, "signs").view(taps, columns))
        self.register_buffer("turns", torch.from_numpy(turns.astype("int64")))

    def forward(self, phi: Tensor, positions: Separable) -> Tensor:
        """Shape (n, *after, columns) of (n, *before, in_features)."""
        mixed = self.mix.sketch(phi.flatten(0, -2)).reshape(*phi.shape[:-1], self.mix.n_components).movedim(-1, 1)
        total = mixed.new_zeros(len(phi), *positions.after, mixed.shape[1])
        for part, signs, turn in zip(positions.spread(mixed, 0), self.signs, self.turns.tolist(), strict=True):
            total += part.movedim(1, -1).roll(turn, -1) * signs
        return total


class PositionSigns(nn.Module):
    """Independent signs for every column at every position, after mixing: different positions no longer correlate.

    Parameters
    ----------
    in_features : int
    positions : tuple of int
    columns : int
    seed : int
    """

    signs: Tensor

    def __init__(self, in_features: int, positions: tuple[int, ...], columns: int, seed: int) -> None:
        super().__init__()
        self.mix = SRHT(in_features, columns, derive_seed(seed, "mix"))
        signs = draw_signs(prod(positions) * columns, seed, "signs")
        self.register_buffer("signs", signs.view(*positions, columns))

    def forward(self, phi: Tensor) -> Tensor:
        """Shape (n, *positions, columns)."""
        return self.mix.sketch(phi.flatten(0, -2)).reshape(*phi.shape[:-1], self.mix.n_components) * self.signs
