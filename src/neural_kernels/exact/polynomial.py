"""The polynomial kernel."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from typing_extensions import override

from neural_kernels.checks import require_integer, require_number
from neural_kernels.exact.arrays import dress, read, read_pair, require_vectors
from neural_kernels.exact.kernel import Kernel
from neural_kernels.exact.lazy import diagonal_by_blocks, gram_by_blocks
from neural_kernels.runtime.boundary import require_range


@dataclass(frozen=True)
class PolynomialKernel(Kernel):
    r"""The polynomial kernel.

    .. math:: k(x, y) = (\gamma\, x \cdot y + b)^q

    Parameters
    ----------
    degree : int
        q, at least 1.
    bias : float
        b, at least 0: the weight of lower powers. With 0 the kernel has the power q alone.
    gamma : float
        Factor of the inner product, positive.

    Notes
    -----
    Not to be mixed up with the activation :class:`~neural_kernels.Polynomial`. O(n1 n2 d) time, and for CSR matrices
    that of their product; differentiable.

    Examples
    --------
    >>> import numpy as np
    >>> import neural_kernels as nk
    >>> nk.PolynomialKernel(degree=2)(np.eye(2))
    array([[4., 1.],
           [1., 4.]])
    """

    degree: int = 3
    bias: float = 1.0
    gamma: float = 1.0

    def __post_init__(self) -> None:
        require_integer(self, degree=self.degree)
        require_number(self, bias=self.bias, gamma=self.gamma)
        if self.gamma == 0:
            raise ValueError("gamma=0: expected a positive number; the kernel would be a constant")
        object.__setattr__(self, "degree", int(self.degree))

    @property
    @override
    def takes_sparse(self) -> bool:
        """Whether examples are known to be taken as sparse matrices."""
        return True

    @gram_by_blocks
    def __call__(self, x1: Any, x2: Any = None) -> Any:
        """The Gram matrix, shape (n1, n2), of the kind, device and precision of `x1`.

        Parameters
        ----------
        x1, x2 : array, shape (n1, d) and (n2, d)
            NumPy, torch, SciPy sparse, pandas, polars or lists; None for `x2` means `x1`.

        Raises
        ------
        OverflowError
            Powers that are not finite in the precision of the data.
        """
        first, second = read_pair(x1, x2)
        left, right = (require_vectors(batch, self).data for batch in (first, second))
        found: Any = left @ right.T
        product = found if isinstance(found, Tensor) else _dense(found)
        if x2 is None:  # matrix products need not round alike on both sides of the diagonal
            product = (product + product.T) / 2
        return dress(self._power(product), first, second)

    @diagonal_by_blocks
    def diag(self, x: Any) -> Any:
        """k(x, x) for every row, shape (n,)."""
        batch = require_vectors(read(x, "x"), self)
        squares = batch.rows.std.square() * batch.data.shape[1]
        return batch.dress(self._power(squares.to(batch.rows.dtype)))

    def _power(self, product: Tensor) -> Tensor:
        return require_range((self.gamma * product + self.bias) ** self.degree, "powers of inner products")


def _dense(product: Any) -> Tensor:
    return torch.from_numpy(product.toarray())
