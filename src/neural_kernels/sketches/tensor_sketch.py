"""TensorSketch: a power of a row by a product of spectra of count sketches."""

from __future__ import annotations

from functools import reduce

import torch
from jaxtyping import Float
from torch import Tensor, nn
from typing_extensions import override

from neural_kernels.sketches.checked_rows import Rows, require_range
from neural_kernels.sketches.count_sketch import CountSketch
from neural_kernels.sketches.seeds import derive_seed
from neural_kernels.sketches.sketch import Sketch, require_degree


class TensorSketch(Sketch):
    r"""Sketch the p-th tensor power of a row, the features of the kernel :math:`\langle x, y \rangle^p`.

    .. math:: S x^{\otimes p} = F^{-1} \left( \prod_{l=1}^p F C_l x \right), \qquad
        E \langle S x^{\otimes p}, S y^{\otimes p} \rangle = \langle x, y \rangle^p,

    with independent count sketches C_l and the Fourier transform F: the count sketch of the tensor power whose bucket
    is the sum of buckets modulo m and whose sign is the product of signs [1]_. The variance grows as 3^p / m; from
    degree 4 on prefer `PolySketch`.

    Parameters
    ----------
    in_features : int
        Width d of the rows.
    n_components : int
        Width m of the result; transforms are fastest for products of small primes.
    degree : int
        The power p, at least 1.
    seed : int
        The map depends on it and on the sizes, and on nothing else.

    Attributes
    ----------
    factors : ModuleList of CountSketch

    Raises
    ------
    TypeError, ValueError
        For sizes that are no positive integers, and for inputs of another width. The power 0 is the constant 1:
        append a column of ones.

    Notes
    -----
    Time p (nnz + m log m) a row. Memory: 5 p d bytes, and blocks of about 1 MB.

    References
    ----------
    .. [1] N. Pham, R. Pagh, "Fast and scalable polynomial kernels via explicit feature maps", KDD 2013.

    Examples
    --------
    >>> import numpy as np
    >>> from neural_kernels.sketches import TensorSketch
    >>> x = np.full((1, 4), 0.5)
    >>> z = TensorSketch(in_features=4, n_components=4096, degree=2)(x)
    >>> bool(abs(z @ z.T - 1) < 0.1)
    True
    """

    def __init__(self, in_features: int, n_components: int, degree: int, seed: int = 0):
        super().__init__(in_features, n_components, seed)
        require_degree(self, degree)
        in_features, n_components, seed = self.sizes
        self.degree = degree = int(degree)
        self.factors = nn.ModuleList(
            CountSketch(in_features, n_components, derive_seed(seed, "factor", k)) for k in range(degree)
        )

    @property
    @override
    def working_width(self) -> int:
        return self.n_components

    @override
    def sketch(self, rows: Rows, out: Float[Tensor, "n m"] | None = None) -> Float[Tensor, "n m"]:
        factors = [factor for factor in self.factors if isinstance(factor, CountSketch)]
        if self.degree == 1:
            return factors[0].sketch(rows, out)
        spectra = (torch.fft.rfft(factor.sketch(rows)) for factor in factors)
        return require_range(torch.fft.irfft(reduce(torch.mul, spectra), n=self.n_components, out=out))

    @override
    def extra_repr(self) -> str:
        return f"{super().extra_repr()}, degree={self.degree}"
