"""What a method of random columns brings along: features of the nonlinear part of an activation."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import ClassVar

from torch import Tensor

from neural_kernels.activations import Dual
from neural_kernels.runtime.plain_state import StoredModule


class Nonlinearity(StoredModule, ABC):
    """Random columns for the nonlinear part of one activation: of its value and of its slope.

    Attributes
    ----------
    mean : float
        The factor between the activation's mean over normal variables and that over the directions in use, which the
        column of the mean takes on.
    alike : bool
        Whether every column alone has the kernel as its mean, as in a `ColumnBlock`.
    """

    mean = 1.0
    alike = False

    @abstractmethod
    def forward(self, unit: Tensor, std: Tensor, low: Tensor) -> tuple[Tensor | None, Tensor | None]:
        """Make factors of what is left of value and slope beside their exact parts.

        Parameters
        ----------
        unit : Tensor, shape (n, in_features)
            Rows of norm 1.
        std : Tensor, shape (n,), float64
            Their standard deviations.
        low : Tensor, shape (n, 3)
            What is exact already: the mean, the linear coefficient and the mean slope.

        Returns
        -------
        value : Tensor, shape (n, columns), or None
        slope : Tensor, shape (n, as many as serve), or None
            None where nothing is left.
        """


class Strategy(ABC):
    """How a method makes factors pass the nonlinear part of an activation.

    Attributes
    ----------
    least_value, least_product : float
        The least share of all columns that activations have inside a network; products, sums and signs.
    """

    least_value: ClassVar[float]
    least_product: ClassVar[float]

    @abstractmethod
    def nonlinearity(self, dual: Dual, in_features: int, columns: int, seed: int) -> Nonlinearity:
        """Draw a module that takes factors of `in_features` columns and makes `columns` of them.

        Raises
        ------
        UnsuitableError
            The method cannot represent this activation.
        """
