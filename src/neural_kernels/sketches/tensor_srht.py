"""TensorSRHT: a sketch of the tensor product of two rows."""

from __future__ import annotations

import math
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor
from typing_extensions import override

from neural_kernels.checks import require_integer
from neural_kernels.runtime.plain_state import StoredModule
from neural_kernels.sketches.blocks import over_blocks
from neural_kernels.sketches.checked_rows import Rows, dress, read, read_out, require_range
from neural_kernels.sketches.complex import ComplexSRHT
from neural_kernels.sketches.seeds import derive_seed
from neural_kernels.sketches.srht import SRHT


class TensorSRHT(StoredModule):
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
    complex_signs : bool
        Draw D_1 and D_2 from 1, -1, i and -i, and take real and imaginary parts of m / 2 products as columns [2]_: for
        rows that are alike, the variance is smaller (by a quarter at cosines of 0.7), and as much for all others, from
        m about 1.5 times the padded width of the inputs on. Costs the same from twice that width on, up to twice as
        much where m is less.

    Attributes
    ----------
    first, second : SRHT or ComplexSRHT

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
    .. [2] J. Wacker, M. Ohana, M. Filippone, "Complex-to-real sketches for tensor products with applications to the
       polynomial kernel", 2022, arXiv:2202.02031.

    Examples
    --------
    >>> import numpy as np
    >>> from neural_kernels.sketches import TensorSRHT
    >>> TensorSRHT(3, 5, n_components=16)(np.ones((2, 3)), np.ones((2, 5))).shape
    (2, 16)
    """

    def __init__(
        self, first_features: int, second_features: int, n_components: int, seed: int = 0, complex_signs: bool = False
    ):
        super().__init__()
        require_integer(self, first_features=first_features, second_features=second_features, n_components=n_components)
        first_features, second_features, n_components = int(first_features), int(second_features), int(n_components)
        self.n_components, self.seed, self.complex_signs = n_components, seed, complex_signs
        seeds = derive_seed(seed, "first"), derive_seed(seed, "second")
        if complex_signs:
            count = -(-n_components // 2)
            self.first = ComplexSRHT(first_features, count, seeds[0])
            self.second = ComplexSRHT(second_features, count, seeds[1])
        else:
            self.first = SRHT(first_features, n_components, seeds[0])
            self.second = SRHT(second_features, n_components, seeds[1], shuffle=True)

    def forward(self, x: Any, y: Any, out: Any = None) -> Any:
        """Return the sketch of the tensor product of every row of x with the same row of y, shape (n, m).

        Parameters
        ----------
        x, y : array or sparse matrix, shapes (n, first_features) and (n, second_features)
            Of any make that `SRHT` takes and of one precision; the result is of x's make.
        out : Tensor or ndarray of shape (n, m), optional
            Memory for the result, which is returned.

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
        result = require_range(over_blocks(self.sketch, first, second, width=width, shape=shape, out=target))
        return dress(result, x) if out is None else out

    def sketch(self, x: Rows, y: Rows, out: Float[Tensor, "n m"] | None = None) -> Float[Tensor, "n m"]:
        """Sketch checked rows of both inputs, all at once, on the caller's thread."""
        sides = self.first.transformed(x), self.first.rows, self.second.transformed(y), self.second.rows
        if self.complex_signs:
            return self._complex_products(*sides, out)
        return entry_products(*sides, self.n_components**-0.5, out)

    def _complex_products(
        self, first: Tensor, rows1: Tensor, second: Tensor, rows2: Tensor, out: Tensor | None
    ) -> Float[Tensor, "n m"]:
        """The real parts of the products of complex rows, then their imaginary parts."""
        scale = math.sqrt(2 / self.n_components)
        if _plain(first, second):
            from neural_kernels.sketches.loops import multiply_complex

            out = first.new_empty(len(first), self.n_components) if out is None else out
            multiply_complex(first.numpy(), rows1.numpy(), second.numpy(), rows2.numpy(), scale, out.numpy())
            return out
        (a, b), (c, d) = first.index_select(-1, rows1).unbind(1), second.index_select(-1, rows2).unbind(1)
        result = torch.cat([a * c - b * d, a * d + b * c], 1)[:, : self.n_components] * scale
        return result if out is None else out.copy_(result)

    @override
    def extra_repr(self) -> str:
        return f"n_components={self.n_components}, seed={self.seed}"


def entry_products(
    first: Tensor, rows1: Tensor, second: Tensor, rows2: Tensor, scale: float, out: Tensor | None = None
) -> Float[Tensor, "n m"]:
    """Return ``scale * first[:, rows1] * second[:, rows2]``, the products of transforms that make up a `TensorSRHT`."""
    if _plain(first, second):
        from neural_kernels.sketches.loops import multiply_entries

        out = first.new_empty(len(first), len(rows1)) if out is None else out
        multiply_entries(first.numpy(), rows1.numpy(), second.numpy(), rows2.numpy(), scale, out.numpy())
        return out
    result = first.index_select(-1, rows1) * second.index_select(-1, rows2) * scale
    return result if out is None else out.copy_(result)


def _plain(first: Tensor, second: Tensor) -> bool:
    """Whether compiled loops will do: they run on the CPU alone and give no gradients."""
    return first.device.type == "cpu" and not (first.requires_grad or second.requires_grad)
