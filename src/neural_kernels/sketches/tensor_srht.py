"""TensorSRHT: a sketch of the tensor product of two rows."""

from __future__ import annotations

from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from neural_kernels.sketches._base import require_positive
from neural_kernels.sketches._blocks import over_blocks
from neural_kernels.sketches._rows import Rows, dress, read, read_out
from neural_kernels.sketches._seeds import derive_seed
from neural_kernels.sketches.srht import SRHT


class TensorSRHT(nn.Module):
    r"""Sketch x (x) y as the entrywise product of two SRHTs.

    .. math:: S (x \otimes y) = \frac 1 {\sqrt m} (P_1 H D_1 x) \circ (P_2 H D_2 y), \qquad
        E \langle S (x \otimes y), S (x' \otimes y') \rangle = \langle x, x' \rangle \langle y, y' \rangle,

    with independent signs and samples, as in [1]_ (definition 14). Linear in each argument. The samples are without
    replacement, as in `SRHT`; each component by itself is unbiased, whatever the sample.

    Parameters
    ----------
    first_features, second_features : int
        Widths of the rows of the two inputs.
    n_components : int
        Width m of the result.
    seed : int
        The map depends on it and on the sizes, and on nothing else.

    Attributes
    ----------
    first, second : SRHT

    Raises
    ------
    TypeError, ValueError
        For sizes that are no positive integers; for inputs of another width, or of different precision or length.

    Notes
    -----
    Time: of the two SRHTs.

    References
    ----------
    .. [1] T. D. Ahle, M. Kapralov, J. B. T. Knudsen, R. Pagh, A. Velingker, D. Woodruff, A. Zandieh, "Oblivious
       sketching of high-degree polynomial kernels", SODA 2020, arXiv:1909.01410.

    Examples
    --------
    >>> import numpy as np
    >>> from neural_kernels.sketches import TensorSRHT
    >>> TensorSRHT(3, 5, n_components=16)(np.ones((2, 3)), np.ones((2, 5))).shape
    (2, 16)
    """

    def __init__(self, first_features: int, second_features: int, n_components: int, seed: int = 0):
        super().__init__()
        require_positive(
            self, first_features=first_features, second_features=second_features, n_components=n_components
        )
        self.n_components, self.seed = int(n_components), seed
        self.first = SRHT(first_features, n_components, derive_seed(seed, "first"))
        self.second = SRHT(second_features, n_components, derive_seed(seed, "second"), shuffle=True)

    def forward(self, x: Any, y: Any, out: Any = None) -> Any:
        """Return the sketch of the tensor product of every row of x with the same row of y, shape (n, m).

        Parameters
        ----------
        x, y : Tensor, ndarray, or CSR matrix of SciPy or torch, shapes (n, first_features) and (n, second_features)
            Of one precision; the result is of x's make.
        out : Tensor or ndarray of shape (n, m), optional
            Memory for the result.

        Raises
        ------
        TypeError, ValueError
            For another width, device or layout, numbers that are not real, NaN or infinity, unfit `out`, or where
            x and y differ in precision or length.
        """
        device = self.first.signs.device
        first = read(x, "x", self.first.in_features, device)
        second = read(y, "y", self.second.in_features, device)
        if first.dtype != second.dtype:
            raise TypeError(f"x is {first.dtype}, y is {second.dtype}; convert one of them")
        if first.shape[0] != second.shape[0]:
            raise ValueError(f"x has {first.shape[0]} rows, y has {second.shape[0]}; they must agree")
        width = max(self.first.working_width, self.second.working_width)
        target = read_out(out, first, self.n_components)
        shape = (self.n_components,)
        return dress(over_blocks(self.sketch, first, second, width=width, shape=shape, out=target), x)

    def sketch(self, x: Rows, y: Rows, out: Float[Tensor, "n m"] | None = None) -> Float[Tensor, "n m"]:
        """Sketch checked rows."""
        return torch.mul(self.left(x), self.right(y), out=out)

    def left(self, x: Rows) -> Float[Tensor, "n m"]:
        """P_1 H D_1 x / sqrt(m)."""
        return self.first.sketch(x)

    def right(self, y: Rows) -> Float[Tensor, "n m"]:
        """P_2 H D_2 y."""
        return self.second.scaled(y, 1.0)

    def extra_repr(self) -> str:
        """Size and seed."""
        return f"n_components={self.n_components}, seed={self.seed}"
