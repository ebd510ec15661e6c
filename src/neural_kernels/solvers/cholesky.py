"""Kernel ridge regression by one Cholesky factorisation."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from scipy.linalg import cho_solve, get_lapack_funcs
from torch import Tensor
from typing_extensions import override

from neural_kernels.runtime.lazy import cached_property
from neural_kernels.runtime.types import Array
from neural_kernels.runtime.workers import share_out
from neural_kernels.solvers import system
from neural_kernels.solvers.factorise import factorise_lower, mirror_lower
from neural_kernels.solvers.protocol import RidgeSystem, Solver, vectors_memory
from neural_kernels.solvers.spectral import SpectralRidge
from neural_kernels.solvers.updates import joined_factor, without_rows, worth_an_update

_TILE = 128  # rows and columns at a time: small enough for the cache, and to waste little above a diagonal


@dataclass(frozen=True)
class Cholesky(Solver):
    """A Cholesky factorisation: the cheapest exact solver for one ridge.

    Time n^3 / 3 for a ridge, and as much again for its leave-one-out residuals; training times take an
    eigendecomposition, about 9 n^3, when the first one is asked for. Memory: one n x n float64 matrix, three more for
    training times.

    Examples
    --------
    >>> from neural_kernels.solvers import Cholesky
    >>> Cholesky().system([[2.0, 1.0], [1.0, 2.0]]).solve([1.0, 1.0], ridge=1.0)
    array([0.25, 0.25])
    """

    @override
    def system(self, gram: npt.ArrayLike, sample_weight: npt.ArrayLike | None = None) -> CholeskyRidge:
        return CholeskyRidge(gram, sample_weight=sample_weight)

    @override
    def memory(self, n: int, outputs: int = 1) -> int:
        # The matrix, whether its entries are finite, and two strips of the factor's inverse for each thread.
        strips = min(n, 2 * torch.get_num_threads() * _TILE)
        return 8 * n * (n + n // 8 + strips) + vectors_memory(n, outputs)


class CholeskyRidge(RidgeSystem):
    r"""Kernel ridge regression by a Cholesky factorisation, made anew when another ridge is asked for.

    .. math:: a = S (S K S + \lambda I)^{-1} S y, \qquad S = \mathrm{diag}(\sqrt{w}),

    as :class:`RidgeSystem` says. Nothing is added to the matrix but the ridge that was asked for.

    Parameters
    ----------
    gram : array-like of shape (n, n)
        The kernel matrix of the training examples, symmetric; only its lower triangle is read.
    ridge : float, optional
        :math:`\lambda`, at least 0, for which the matrix is factorised at once, and which `solve` and `loo_residuals`
        take by default. None: a ridge is named in each call.
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
    Time n^3 / 3 to factorise, 2 n^2 a target to solve, n^2 / 3 for each of the `loo_residuals`; memory one n x n
    float64 matrix: the factor lies in its lower triangle, the Gram matrix in the other, ready for the next ridge.

    Examples
    --------
    >>> import numpy as np
    >>> from neural_kernels.solvers import CholeskyRidge
    >>> system = CholeskyRidge([[2.0, 1.0], [1.0, 2.0]], ridge=1.0)
    >>> system.solve([1.0, 1.0])
    array([0.25, 0.25])
    >>> system.loo_residuals([1.0, 1.0])
    array([0.66666667, 0.66666667])
    """

    def __init__(self, gram: npt.ArrayLike, ridge: float | None = None, sample_weight: npt.ArrayLike | None = None):
        self._matrix, self.root = system.weighted_gram(gram, sample_weight)
        self._diagonal = np.diagonal(self._matrix).copy()
        mirror_lower(self._matrix)
        self._factorised: float | None = None  # the ridge whose factor lies in the lower triangle
        self._overwritten = False
        self._whole_diagonal: Array | None = None
        self._ridge = None if ridge is None else system.as_ridge(ridge)
        if self._ridge is not None:
            self._factorise(self._ridge)

    @property
    def ridge(self) -> float:
        """The one that the system was made for."""
        if self._ridge is None:
            raise ValueError("ridge: expected a number, as the system was made without one")
        return self._ridge

    @override
    def solve(self, targets: npt.ArrayLike, ridge: float | None = None, time: float = np.inf) -> Array:
        ridge = self.ridge if ridge is None else system.as_ridge(ridge)
        if system.as_time(time) < np.inf:
            return self._spectral.solve(targets, ridge, time)
        y, shape = system.as_targets(targets, len(self.root))
        return (self.root[:, None] * self._dual(y, ridge)).reshape(shape)

    @override
    def loo_residuals(
        self,
        targets: npt.ArrayLike,
        ridges: float | npt.ArrayLike | None = None,
        rows: np.ndarray | None = None,
    ) -> Array:
        system.require_weights(self.root, "loo_residuals")
        y, shape = system.as_targets(targets, len(self.root))
        given = self.ridge if ridges is None else ridges
        kept = np.arange(len(y)) if rows is None else rows
        residuals = []
        for ridge in np.atleast_1d(np.asarray(given, dtype=np.float64)):
            dual = self._dual(y, system.as_ridge(ridge))[kept]
            residuals.append((dual / (self.root[kept] * self._inverse_diagonal(kept))[:, None]).reshape(-1, *shape[1:]))
        return np.stack(residuals) if np.ndim(given) else residuals[0]

    @override
    def inverse_blocks(self, ridge: float, size: int) -> Array:
        system.require_weights(self.root, "inverse_blocks")
        self._factorise(system.as_ridge(ridge))
        rows, step = np.arange(len(self.root)), size * max(1, _TILE // size)
        squares = self._of_halves(rows, step, lambda half: (half.mT @ half).numpy())
        return np.stack(
            [
                square[start : start + size, start : start + size]
                for square in squares
                for start in range(0, len(square), size)
            ]
        )

    @override
    def log_determinant(self, ridge: float) -> float:
        system.require_weights(self.root, "log_determinant")
        self._factorise(system.as_ridge(ridge))
        return float(2 * np.log(np.diagonal(self._matrix)).sum())

    def without(self, rows: npt.ArrayLike, ridge: float) -> CholeskyRidge:
        """The system without some of its examples: exact, about 4 n^2 operations each, for this ridge.

        Parameters
        ----------
        rows : array-like of int
            Positions; one example at least has to stay.
        ridge : float
            Whose factor is updated. Another one takes a factorisation, as ever.
        """
        gone = np.unique(np.asarray(rows, dtype=np.intp))
        ridge, kept = system.as_ridge(ridge), np.delete(np.arange(len(self.root)), gone)
        if not worth_an_update(len(self.root), len(gone)):
            return CholeskyRidge._of(self._gram(kept), self.root[kept])
        self._factorise(ridge)
        matrix = without_rows(self._matrix, gone)
        return CholeskyRidge._of(matrix, self.root[kept], self._diagonal[kept], ridge)

    def joined(
        self, cross: npt.ArrayLike, gram: npt.ArrayLike, ridge: float, sample_weight: npt.ArrayLike | None = None
    ) -> CholeskyRidge:
        r"""The system with more examples behind its own: exact, about n^2 operations each, for this ridge.

        Parameters
        ----------
        cross : array-like of shape (k, n)
            The kernel of the new examples with those of the system.
        gram : array-like of shape (k, k)
            And among themselves.
        ridge : float
            Whose factor is extended.
        sample_weight : array-like of shape (k,), optional

        Raises
        ------
        numpy.linalg.LinAlgError
            If the matrix with its ridge is not positive definite in float64.
        """
        n, (corner, root) = len(self.root), system.weighted_gram(gram, sample_weight)
        rows = root[:, None] * np.asarray(cross, dtype=np.float64) * self.root
        diagonal = np.concatenate([self._diagonal, np.diagonal(corner)])
        self._factorise(system.as_ridge(ridge))
        matrix = np.empty((n + len(root),) * 2, order="F")
        matrix[:n, :n], matrix[:n, n:], matrix[n:, n:] = self._matrix, rows.T, np.tril(corner, -1).T
        corner[np.diag_indices_from(corner)] += ridge
        corner = np.tril(corner) + np.tril(corner, -1).T
        try:
            matrix[n:, :n], last = joined_factor(self._matrix, rows, corner)
        except np.linalg.LinAlgError as error:
            raise system.singular(f"with {len(root)} more examples: {error}", ridge) from error
        matrix[n:, n:] += last
        return CholeskyRidge._of(matrix, np.concatenate([self.root, root]), diagonal, ridge)

    @classmethod
    def _of(
        cls, matrix: Array, root: Array, diagonal: Array | None = None, ridge: float | None = None
    ) -> CholeskyRidge:
        """From S K S; with a ridge its factor and, above it, S K S, whose diagonal stands apart."""
        self = cls.__new__(cls)
        self._matrix, self.root, self._ridge = matrix, root, ridge
        self._diagonal = np.diagonal(matrix).copy() if diagonal is None else diagonal
        self._factorised, self._overwritten, self._whole_diagonal = ridge, ridge is not None, None
        return self

    def _gram(self, rows: np.ndarray) -> Array:
        """S K S of some examples, both triangles."""
        matrix = np.array(self._matrix[np.ix_(rows, rows)], order="F")
        matrix[np.diag_indices_from(matrix)] = self._diagonal[rows]
        mirror_lower(matrix.T)
        return matrix

    def _dual(self, y: Array, ridge: float) -> Array:
        """(S K S + ridge I)^{-1} S y."""
        self._factorise(ridge)
        return cho_solve((self._matrix, True), self.root[:, None] * y)

    def _factorise(self, ridge: float) -> None:
        """Have the Cholesky factor for this ridge in the lower triangle."""
        if ridge == self._factorised:
            return
        if self._overwritten:
            mirror_lower(self._matrix.T)
        self._factorised, self._whole_diagonal, self._overwritten = None, None, True
        self._matrix[np.diag_indices_from(self._matrix)] = self._diagonal + ridge
        pocon, lange = get_lapack_funcs(("pocon", "lange"), (self._matrix,))
        norm = lange("1", self._matrix)
        if failed := factorise_lower(self._matrix):
            raise system.singular(f"the leading minor of order {failed} is not", ridge)
        self._factorised = ridge
        reciprocal, _ = pocon(self._matrix, norm, uplo="L")
        system.warn_if_ill_conditioned(reciprocal, ridge)

    def _inverse_diagonal(self, rows: np.ndarray) -> Array:
        """Those entries of the diagonal of (S K S + ridge I)^{-1}, for the ridge in use; of all rows kept."""
        if self._whole_diagonal is not None:
            return self._whole_diagonal[rows]
        diagonal = np.concatenate(self._of_halves(rows, _TILE, lambda half: half.square().sum(0).numpy()))
        if len(rows) == len(self.root):
            self._whole_diagonal = diagonal
        return diagonal

    def _of_halves(self, rows: np.ndarray, size: int, use: Callable[[Tensor], Array]) -> list[Array]:
        """What `use` makes of columns of the inverse of the factor L, so many at a time: (L L^T)^{-1} = L^{-T} L^{-1}.

        Column i is 0 above row i, where it is left out: n columns cost as much as the factorisation, n^3 / 3. By torch
        alone, a thread for each group of columns: NumPy and SciPy have threads each, which get in each other's way (of
        1,000 examples on two cores that took 15 times as long).
        """
        parts = [rows[start : start + size] for start in range(0, len(rows), size)]
        results: list[Any] = [None] * len(parts)

        def work(k: int, memory: dict[str, Any]) -> None:
            results[k] = use(self._half(parts[k]))

        share_out(range(len(parts)), work)
        return results

    def _half(self, rows: np.ndarray) -> Tensor:
        """Those columns of the inverse of L, from the first of these rows on."""
        first = rows[0]
        factor = torch.from_numpy(self._matrix)[first:, first:]
        half = torch.zeros((len(factor), len(rows)), dtype=torch.float64)
        half[torch.from_numpy(rows - first), torch.arange(len(rows))] = 1
        for k in range(0, len(half), _TILE):
            now, later = slice(k, k + _TILE), slice(k + _TILE, None)
            half[now] = torch.linalg.solve_triangular(factor[now, now], half[now], upper=False)
            half[later].addmm_(factor[later, now], half[now], alpha=-1)
        return half

    @cached_property
    def _spectral(self) -> SpectralRidge:
        """The same system by its eigendecomposition, which training times need: about 9 n^3, at first use."""
        return SpectralRidge.of_weighted(self._gram(np.arange(len(self.root))), self.root)
