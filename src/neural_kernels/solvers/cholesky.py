"""Kernel ridge regression by one Cholesky factorisation."""

from __future__ import annotations

from functools import cached_property

import numpy as np
import numpy.typing as npt
from scipy.linalg import cho_solve, get_lapack_funcs

from neural_kernels.runtime.types import Array
from neural_kernels.solvers import system
from neural_kernels.solvers.spectral import SpectralRidge


class CholeskyRidge:
    r"""Kernel ridge regression for one ridge: the cheapest exact solver.

    Minimises :math:`\sum_i w_i (y_i - f(x_i))^2 + \lambda |f|_K^2` over :math:`f = \sum_j a_j k(\cdot, x_j)`:

    .. math:: a = S (S K S + \lambda I)^{-1} S y, \qquad S = \mathrm{diag}(\sqrt{w}).

    A weight of 0 equals leaving the example out. Nothing is added to the matrix but the ridge that was asked for.

    Parameters
    ----------
    gram : array-like of shape (n, n)
        The kernel matrix of the training examples, symmetric; only its lower triangle is read.
    ridge : float
        :math:`\lambda`, at least 0.
    sample_weight : array-like of shape (n,), optional
        Non-negative weights; default all 1.

    Raises
    ------
    ValueError
        For a matrix that is not square or not finite, a negative ridge or weight.
    numpy.linalg.LinAlgError
        If the matrix with its ridge is not positive definite in float64.

    Warns
    -----
    scipy.linalg.LinAlgWarning
        If its condition number exceeds 1 / eps: no digit of the result can be trusted.

    Notes
    -----
    Time n^3 / 3 to factorise, 2 n^2 a target to solve, n^3 more for `loo_residuals`; memory one n x n float64 matrix.

    Examples
    --------
    >>> import numpy as np
    >>> from neural_kernels.solvers import CholeskyRidge
    >>> ridge = CholeskyRidge([[2.0, 1.0], [1.0, 2.0]], ridge=1.0)
    >>> ridge.solve([1.0, 1.0])
    array([0.25, 0.25])
    >>> ridge.loo_residuals([1.0, 1.0])
    array([0.66666667, 0.66666667])
    """

    def __init__(self, gram: npt.ArrayLike, ridge: float, sample_weight: npt.ArrayLike | None = None):
        matrix, self.root = system.weighted_gram(gram, sample_weight)
        self.ridge = system.as_ridge(ridge)
        matrix[np.diag_indices_from(matrix)] += self.ridge
        potrf, pocon, lange = get_lapack_funcs(("potrf", "pocon", "lange"), (matrix,))
        norm = lange("1", matrix)
        self.factor, failed = potrf(matrix, lower=1, clean=1, overwrite_a=1)
        if failed:
            raise system.singular(f"the leading minor of order {failed} is not", self.ridge)
        reciprocal, _ = pocon(self.factor, norm, uplo="L")
        system.warn_if_ill_conditioned(reciprocal, self.ridge)

    def solve(self, targets: npt.ArrayLike) -> Array:
        """Return the coefficients a, in the shape of the targets, (n,) or (n, o): f is ``cross_gram @ a``."""
        y, shape = system.as_targets(targets, len(self.root))
        s = self.root[:, None]
        return (s * cho_solve((self.factor, True), s * y)).reshape(shape)

    def loo_residuals(self, targets: npt.ArrayLike) -> Array:
        """Exact leave-one-out residuals y_i - f_{-i}(x_i), in the shape of the targets; the ridge stays as it is.

        Raises
        ------
        ValueError
            If a weight is 0.
        """
        system.require_weights(self.root, "loo_residuals")
        y, shape = system.as_targets(targets, len(self.root))
        s = self.root[:, None]
        dual = cho_solve((self.factor, True), s * y)
        return (dual / (s * self._inverse_diagonal[:, None])).reshape(shape)

    @cached_property
    def _inverse_diagonal(self) -> Array:
        (potri,) = get_lapack_funcs(("potri",), (self.factor,))
        inverse, _ = potri(self.factor, lower=1)
        return np.diagonal(inverse).copy()

    @cached_property
    def spectral(self) -> SpectralRidge:
        """The same system by its eigendecomposition, which training times need: about 9 n^3, at first use."""
        matrix = self.factor @ self.factor.T
        matrix[np.diag_indices_from(matrix)] -= self.ridge
        return SpectralRidge.of_weighted(matrix, self.root)
