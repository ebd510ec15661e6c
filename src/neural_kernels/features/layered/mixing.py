"""Random steps that do not depend on the activation: products of factors, sums over windows, signs of positions."""

from __future__ import annotations

from math import prod, sqrt

import torch
from torch import Tensor

from neural_kernels.algebra import Separable
from neural_kernels.runtime.plain_state import StoredModule
from neural_kernels.sketches import SRHT, TensorSRHT, derive_seed
from neural_kernels.sketches.seeds import draw_bits, draw_signs


class TensorProduct(StoredModule):
    """The tensor product of two factors row by row: exact if it is no wider than asked for, else sketched.

    Parameters
    ----------
    first, second : int
        Widths of the factors.
    columns : int
        What the sketch has; the exact product may have fewer.
    seed : int
    """

    def __init__(self, first: int, second: int, columns: int, seed: int) -> None:
        super().__init__()
        self.sketch = TensorSRHT(first, second, columns, seed, complex_signs=True) if first * second > columns else None
        self.alike = self.sketch is not None  # of each column the mean is the product of the kernels

    def forward(self, a: Tensor, b: Tensor) -> Tensor:
        """Multiply rows of shapes (..., first) and (..., second) to one of shape (..., columns)."""
        if self.sketch is None:
            return (a[..., :, None] * b[..., None, :]).flatten(-2)
        return self.sketch.sketch(a.flatten(0, -2), b.flatten(0, -2)).reshape(*a.shape[:-1], self.sketch.n_components)


class CoupledProduct(StoredModule):
    r"""A sketch of the tensor product with a factor whose columns are alike, which need no mixing.

    .. math:: S (a \otimes b)_j = \sqrt k\, (P H D a)_j\, b_j / \sqrt m,

    unbiased by the random signs D alone. Where the b_j are signs, the variance is
    :math:`[1 + 2 \langle a, a' \rangle^2 - \langle a, a' \rangle^2 \langle b, b' \rangle^2] / m` at most, for rows of
    norm 1, that of `TensorSRHT` with the square of b's inner product in it no more than once; and it costs half.

    Parameters
    ----------
    first : int
        Width of a.
    columns : int
        m.
    seed : int
    """

    alike = True

    def __init__(self, first: int, columns: int, seed: int) -> None:
        super().__init__()
        self.mix = SRHT(first, columns, seed)

    def forward(self, a: Tensor, b: Tensor) -> Tensor:
        """Multiply rows of shapes (..., first) and (..., k), k no less than columns, to one of shape (..., columns)."""
        mixed = self.mix.sketch(a.flatten(0, -2)).unflatten(0, a.shape[:-1])
        return mixed * b[..., : mixed.shape[-1]] * sqrt(b.shape[-1])


class SignedSum(StoredModule):
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
        """Sketch the S_a of phi, shape (n, *before, in_features); the result has the shape (n, *after, columns)."""
        mixed = self.mix.sketch(phi.flatten(0, -2)).reshape(*phi.shape[:-1], self.mix.n_components)
        if positions.mixing or mixed.requires_grad or mixed.device.type != "cpu":
            return self._spread(mixed.movedim(-1, 1), positions)
        from neural_kernels.features.layered.loops import add_windows

        total = mixed.new_empty(len(phi), prod(positions.after), mixed.shape[-1])
        factors = positions.weight * self.signs.to(mixed.dtype)
        windows = positions.sources.numpy(), factors.numpy(), self.turns.numpy()
        add_windows(mixed.flatten(1, -2).numpy(), *windows, total.numpy())
        return total.reshape(len(phi), *positions.after, -1)

    def _spread(self, mixed: Tensor, positions: Separable) -> Tensor:
        """The sum by torch: for maps that mix positions, for gradients and on any device."""
        total = mixed.new_zeros(len(mixed), *positions.after, mixed.shape[1])
        for part, signs, turn in zip(positions.spread(mixed, 0), self.signs, self.turns.tolist(), strict=True):
            total += part.movedim(1, -1).roll(turn, -1) * signs
        return total


class PositionSigns(StoredModule):
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
        """Sketch phi, shape (n, *positions, in_features), to the shape (n, *positions, columns)."""
        return self.mix.sketch(phi.flatten(0, -2)).reshape(*phi.shape[:-1], self.mix.n_components) * self.signs
