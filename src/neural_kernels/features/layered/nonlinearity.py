"""What a method of random columns brings along: features of the nonlinear part of an activation."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import ClassVar, Protocol

from torch import Tensor, nn

from neural_kernels.activations import Dual


class Nonlinearity(nn.Module, ABC):
    """The nonlinear part of one activation.

    Attributes
    ----------
    mean : float
        By which the mean of the activation is to be multiplied, as the columns of the step see it.
    alike : bool
        Whether its columns are, as in a `ColumnBlock`.
    """

    mean = 1.0
    alike = False

    @abstractmethod
    def forward(self, unit: Tensor, std: Tensor, low: Tensor) -> tuple[Tensor | None, Tensor | None]:
        """Factors of value and slope.

        It takes rows of norm 1, shape (n, in_features), their standard deviations, shape (n,), and what is exact
        already, ``low``, shape (n, 3): the mean, the linear coefficient and the mean slope. It returns factors of the
        rest, of the value with `columns` columns, of the slope with as many as serve; None where nothing is left.
        """


class Strategy(Protocol):
    """How factors pass the nonlinear part of an activation.

    Attributes
    ----------
    least_value, least_product : float
        Of all columns, the least that activations and products have inside a network.
    """

    least_value: ClassVar[float]
    least_product: ClassVar[float]

    def nonlinearity(self, dual: Dual, in_features: int, columns: int, seed: int) -> Nonlinearity:
        """A module for factors with so many columns."""
        ...
