"""SRHT: random signs, a Hadamard transform, a sample of its rows."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor
from typing_extensions import override

from neural_kernels.sketches.checked_rows import Rows, dense
from neural_kernels.sketches.hadamard import padded, transform_signed
from neural_kernels.sketches.seeds import draw_order, draw_signs
from neural_kernels.sketches.sketch import Sketch


class SRHT(Sketch):
    r"""Subsampled randomised Hadamard transform.

    .. math:: S x = \frac 1 {\sqrt m} P H D x, \qquad E \langle S x, S y \rangle = \langle x, y \rangle,

    with D random signs, H the unnormalised Hadamard matrix of the width w = 2^k >= d, rows padded with zeros, and P
    a sample of m of its rows without replacement [1]_. Linear. Where m > w, further transforms with signs of their own
    follow, whole ones first. For m a multiple of w the map is an isometry: a sketch of width w loses nothing.

    Parameters
    ----------
    in_features : int
        Width d of the rows.
    n_components : int
        Width m of the result.
    seed : int
        The map depends on it and on the sizes, and on nothing else.
    shuffle : bool
        Whether the components come in random order, which inner products do not see but entrywise products of two
        sketches do (`TensorSRHT`). Sorted ones need not be gathered where m is a multiple of w.

    Attributes
    ----------
    signs : Tensor of shape (ceil(m / w), d), int8
    rows : Tensor of shape (m,), int32
        Rows of the stacked Hadamard matrices.

    Raises
    ------
    TypeError, ValueError
        For sizes that are no positive integers, and for inputs of another width.

    Notes
    -----
    Time ceil(m / w) w log w a row, whatever its zeros. Memory: m + m d / w integers, and blocks of about 1 MB.

    References
    ----------
    .. [1] N. Ailon, B. Chazelle, "The fast Johnson-Lindenstrauss transform and approximate nearest neighbors", SIAM J.
       Comput. 2009; J. A. Tropp, "Improved analysis of the subsampled randomized Hadamard transform", 2011,
       arXiv:1011.1595.

    Examples
    --------
    >>> import numpy as np
    >>> from neural_kernels.sketches import SRHT
    >>> z = SRHT(in_features=5, n_components=8)(np.eye(5))
    >>> np.allclose(z @ z.T, np.eye(5))
    True
    """

    signs: Tensor
    rows: Tensor

    def __init__(self, in_features: int, n_components: int, seed: int = 0, shuffle: bool = False):
        super().__init__(in_features, n_components, seed)
        in_features, n_components, seed = self.sizes
        self.padded_width = padded(in_features)
        whole, rest = divmod(n_components, self.padded_width)
        blocks = whole + (rest > 0)
        sample = draw_order(self.padded_width, seed, "sample")[:rest].sort().values
        rows = torch.cat([torch.arange(whole * self.padded_width), whole * self.padded_width + sample])
        if shuffle:
            rows = rows[draw_order(n_components, seed, "shuffle")]
        self.sorted_and_whole = not rest and not shuffle
        self.register_buffer("signs", draw_signs(blocks * in_features, seed, "signs").view(blocks, in_features))
        self.register_buffer("rows", rows.to(torch.int32))

    @property
    @override
    def working_width(self) -> int:
        return len(self.signs) * self.padded_width

    @override
    def sketch(self, rows: Rows, out: Float[Tensor, "n m"] | None = None) -> Float[Tensor, "n m"]:
        whole = self.transformed(rows, self.n_components**-0.5, out if self.sorted_and_whole else None)
        return whole if self.sorted_and_whole else torch.index_select(whole, 1, self.rows, out=out)

    def transformed(self, rows: Rows, scale: float = 1.0, out: Tensor | None = None) -> Float[Tensor, "n width"]:
        """Return scale H D x: all rows of H, of all transforms one behind the other."""
        x = dense(rows)
        signs = scale * self.signs.to(x.dtype)
        target = None if out is None else out.view(len(x), len(signs), -1)
        return transform_signed(x, signs, target).flatten(1)
