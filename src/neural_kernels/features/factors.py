r"""The representation by factors: a kernel as :math:`k = \phi \phi^T`, which every layer maps to another factor.

Sums are concatenations, multiples are scaled columns. What is not linear in phi, an activation or the product of two
kernels, is random, and a strategy's business. Randomness is addressed: the n-th random step of a network has the
address n, whatever the data, so that a map is rebuilt from the network and a seed.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor, nn

from neural_kernels.activations import Dual
from neural_kernels.algebra import PerExample, PositionMap, Representation
from neural_kernels.features.method import UnsuitableError
from neural_kernels.sketches import SRHT, TensorSRHT, derive_seed


class Draws(nn.Module):
    """Random modules by the number of the step that uses them: made in the first pass, the same in all later ones."""

    def __init__(self, seed: int) -> None:
        super().__init__()
        self.seed, self._step = seed, 0
        self.steps = nn.ModuleList()

    def restart(self) -> None:
        """Begin a pass over the network."""
        self._step = 0

    def take(self, make: Callable[[int], nn.Module]) -> nn.Module:
        """The next module; `make` takes its seed."""
        if self._step == len(self.steps):
            self.steps.append(make(derive_seed(self.seed, "step", self._step)))
        self._step += 1
        return self.steps[self._step - 1]


class Strategy(Protocol):
    """How factors pass an activation."""

    @property
    def width(self) -> int:
        """Columns that an activation or a product may have."""
        ...

    def activate(self, phi: Tensor, std: Tensor, dual: Dual, draws: Draws) -> tuple[Tensor, Tensor]:
        """Factors of kappa(k) and slope(k); `std`, shape (n,), are the exact roots of the diagonal of k."""
        ...


@dataclass(frozen=True)
class Factor(Representation):
    """A kernel by a factor of it.

    Parameters
    ----------
    phi : Tensor, shape (n, m)
    diagonal : Tensor, shape (n,), float64
        The kernel of every row with itself: exact, not |phi|^2, since a layer's coefficients must not see the noise.
    strategy : Strategy
    draws : Draws
    """

    phi: Tensor
    diagonal: Tensor
    strategy: Strategy
    draws: Draws

    def _with(self, phi: Tensor, diagonal: Tensor) -> Factor:
        return Factor(phi, diagonal, self.strategy, self.draws)

    def __add__(self, other: Factor | float) -> Factor:  # pyright: ignore[reportIncompatibleMethodOverride]
        """Concatenate, or append a constant column."""
        if isinstance(other, Factor):
            return self._with(torch.cat([self.phi, other.phi], 1), self.diagonal + other.diagonal)
        if not other:
            return self
        column = self.phi.new_full((len(self.phi), 1), other**0.5)
        return self._with(torch.cat([self.phi, column], 1), self.diagonal + other)

    def __mul__(self, other: Factor | float) -> Factor:  # pyright: ignore[reportIncompatibleMethodOverride]
        """Sketch the tensor product; exactly, if that is no wider."""
        if not isinstance(other, Factor):
            return self._with(self.phi * other**0.5, self.diagonal * other)
        a, b, width = self.phi, other.phi, self.strategy.width
        if a.shape[1] * b.shape[1] <= width:
            product = (a[:, :, None] * b[:, None, :]).flatten(1)
        else:
            sketch = self.draws.take(lambda seed: TensorSRHT(a.shape[1], b.shape[1], width, seed))
            product = sketch(a, b)
        return self._with(product, self.diagonal * other.diagonal)

    def zero(self) -> Factor:
        """No columns."""
        return self._with(self.phi[:, :0], torch.zeros_like(self.diagonal))

    def activate(self, dual: Dual) -> tuple[Factor, Factor]:
        """By the strategy."""
        std = self.diagonal.sqrt()
        value, slope = self.strategy.activate(self.phi, std, dual, self.draws)
        return self._with(value, dual.std(std).square()), self._with(slope, dual.slope_std(std).square())

    def scale(self, factor: PerExample) -> Factor:
        """Row by row."""
        side = factor.sides[0]
        rows = side[:, None].to(self.phi.dtype) if side.ndim else side.to(self.phi.dtype)
        return self._with(self.phi * rows, self.diagonal * side.square())

    def inflate(self, factor: float) -> Factor:
        """Of a row with itself alone, which no factor shows."""
        return self._with(self.phi, self.diagonal * factor)

    def map(self, positions: PositionMap) -> Factor:
        """Not defined: vectors have no positions."""
        raise UnsuitableError("feature maps take vectors; for images use nk.NTK, or flatten them for a dense network")

    def decorrelate(self) -> Factor:
        """Nothing: there are no positions."""
        return self

    @property
    def positions(self) -> tuple[int, ...]:
        """None."""
        return ()

    @property
    def variance(self) -> PerExample:
        """The exact diagonal."""
        return PerExample((self.diagonal,))

    def position_gram(self) -> PerExample:
        """Not defined: vectors have no positions."""
        raise UnsuitableError("vectors have no positions")


def compressed(phi: Tensor, columns: int, draws: Draws) -> Tensor:
    """With so many columns: sketched if there are more, filled up with zeros if there are less."""
    if phi.shape[1] <= columns:
        return torch.nn.functional.pad(phi, (0, columns - phi.shape[1]))
    return draws.take(lambda seed: SRHT(phi.shape[1], columns, seed))(phi)
