"""A sketch of matrices, the same whether applied to a matrix or to the factors of a product.

The gradients of examples by one parameter go in, in either form; vectors of m numbers are added to features.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from neural_kernels.empirical.factored.contractions import OuterProducts
from neural_kernels.empirical.factored.gradients import GroupGradients, OuterGradients
from neural_kernels.empirical.rules.inputs import IndexInput, VectorInput
from neural_kernels.sketches.seeds import draw_order, draw_signs

_SCRATCH = 1 << 19  # numbers in a temporary that should stay in cache


@dataclass(frozen=True)
class SketchAxis:
    """Where every row of a matrix, or every column, goes in the sketch.

    Parameters
    ----------
    places : Tensor of int64, shape (count,)
        Below `width`; none repeats before all were taken.
    signs : Tensor of int8, shape (count,)
    width : int
        Numbers m in the sketch.
    """

    places: Tensor
    signs: Tensor
    width: int

    @classmethod
    def draw(cls, count: int, width: int, seed: int, *path: str) -> SketchAxis:
        """Draw places and signs at random; they depend on nothing but the arguments, the first ones not on `count`."""
        orders = [draw_order(width, seed, *path, "places", turn) for turn in range(-(-count // width))]
        return cls(torch.cat(orders)[:count], draw_signs(count, seed, *path, "signs"), width)

    @classmethod
    def count(cls, count: int, width: int, start: int, step: int) -> SketchAxis:
        """Places `step` apart from `start` on, without signs: so a matrix can be written out row by row."""
        places = start + step * torch.arange(count)
        return cls(places, torch.ones(count, dtype=torch.int8), width)

    def to(self, device: torch.device) -> SketchAxis:
        """Move the tensors to a device."""
        return replace(self, places=self.places.to(device), signs=self.signs.to(device))

    def spectrum(self, values: Tensor) -> Tensor:
        """The Fourier transform of signed values at their places, (..., count) to (..., width // 2 + 1)."""
        placed = values.new_zeros(*values.shape[:-1], self.width)
        placed.scatter_add_(-1, self.places.expand_as(values), values * self.signs.to(values))
        return torch.fft.rfft(placed)


@dataclass(frozen=True)
class GradientSketch:
    r"""A linear map of matrices of R rows and C columns to vectors of length m.

    .. math:: (S M)_b = \sum_{p_r + q_c \equiv b \ (m)} \sigma_r \tau_c M_{rc}, \qquad
        F S \sum_t u_t v_t^T = \sum_t F(\sigma u_t)_p \circ F(\tau v_t)_q

    with random signs sigma and tau, and random places p and q below m: the TensorSketch of Pham and Pagh [1]_, but with
    places that do not repeat, where there are m or fewer rows (columns). Two entries then meet only if both their rows
    and their columns differ, with probability 1 / (m - 1), and signs of different pairs are uncorrelated, so that

    .. math:: E \langle S M, S N \rangle = \langle M, N \rangle, \qquad
        \mathrm{Var} \langle S M, S N \rangle \le \frac{|M|^2 |N|^2 + \langle M, N \rangle^2}{m - 1} + O(m^{-2}),

    as of a Gaussian matrix on all R C entries. With hashes drawn independently, as in [1]_, and as good as that where
    there are far more than m rows or columns, it is up to three times that.
    Sketches of several matrices add up: those of different seeds are independent, so that the bound holds for the sum.

    Parameters
    ----------
    rows, columns : SketchAxis
        Of the matrix: the entry (r, c) goes to the sum of both places, with the product of both signs.

    References
    ----------
    .. [1] N. Pham, R. Pagh, "Fast and scalable polynomial kernels via explicit feature maps", KDD 2013.
    """

    rows: SketchAxis
    columns: SketchAxis

    @classmethod
    def draw(cls, rows: int, columns: int, width: int, seed: int, name: str) -> GradientSketch:
        """Draw a random sketch; it depends on nothing but the arguments."""
        return cls(
            SketchAxis.draw(rows, width, seed, name, "rows"), SketchAxis.draw(columns, width, seed, name, "columns")
        )

    @classmethod
    def place(cls, rows: int, columns: int, width: int, start: int) -> GradientSketch:
        """Make the sketch that writes out the matrix, row by row, from `start` on: it keeps inner products exactly."""
        return cls(SketchAxis.count(rows, width, start, columns), SketchAxis.count(columns, width, 0, 1))

    def to(self, device: torch.device) -> GradientSketch:
        """Move the tensors to a device."""
        return GradientSketch(self.rows.to(device), self.columns.to(device))

    def add(self, gradients: GroupGradients, into: Tensor) -> None:
        """Add the sketches of gradients, one output each, to vectors of shape (n, m)."""
        match gradients:
            case OuterGradients(OuterProducts(VectorInput() as read, wrote)):
                self._add_products(read.ordered(), wrote[:, :, 0], into)
            case OuterGradients(OuterProducts(IndexInput() as read, wrote)):
                self._add_looked_up(read, wrote[:, :, 0], into)
            case _:
                self._add_entries(gradients.materialise().view(len(into), len(self.rows.places), -1), into)

    def _add_entries(self, values: Tensor, into: Tensor) -> None:
        """Add every entry of matrices (n, R, C) at its place."""
        n, _, width = values.shape
        tau = self.columns.signs.to(values)
        for rows in _steps(values.shape[1], n * width):
            signed = values[:, rows] * tau * self.rows.signs[rows, None].to(values)
            places = (self.rows.places[rows, None] + self.columns.places) % into.shape[1]
            into.scatter_add_(1, places.flatten().expand(n, -1), signed.flatten(1))

    def _add_products(self, read: Tensor, wrote: Tensor, into: Tensor) -> None:
        """Add products of (n, t, C) and (n, t, R): cyclic convolutions, summed over t before the transform back."""
        n, positions, _ = read.shape
        for rows in _steps(n, positions * into.shape[1]):
            products = self.columns.spectrum(read[rows]) * self.rows.spectrum(wrote[rows])
            into[rows] += torch.fft.irfft(products.sum(1), n=into.shape[1])

    def _add_looked_up(self, read: IndexInput, wrote: Tensor, into: Tensor) -> None:
        """Add the gradients (n, t, k C) of the rows that were read, (n, t), in k tables one after the other."""
        n, width = len(wrote), len(self.columns.places)
        tau = self.columns.signs.to(wrote)
        for rows in _steps(n, wrote[0].numel()):
            ids = read.values[rows]
            tables = [side.view(-1, read.size)[:, ids].movedim(0, 2) for side in (self.rows.places, self.rows.signs)]
            places, sigma = (table[..., None] for table in tables)  # (n, t, k, 1)
            counts = (ids >= 0)[:, :, None, None]
            signed = wrote[rows].unflatten(2, (-1, width)) * (sigma * counts).to(wrote) * tau
            places = (places + self.columns.places) % into.shape[1]
            into[rows].scatter_add_(1, places.flatten(1), signed.flatten(1))


def _steps(count: int, each: int) -> Iterator[slice]:
    """Slices of an axis each of whose indices takes `each` numbers, so long that temporaries stay in cache."""
    step = max(1, _SCRATCH // max(1, each))
    return (slice(start, start + step) for start in range(0, count, step))
