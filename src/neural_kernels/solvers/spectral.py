"""Kernel ridge regression and gradient flow for every ridge and every time, by one eigendecomposition."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.linalg import eigh, eigvalsh
from typing_extensions import override

from neural_kernels.runtime.types import Array
from neural_kernels.solvers import system
from neural_kernels.solvers.protocol import RidgeSystem, Solver, vectors_memory

SMALLEST = 1e-200  # a rate at which g(l) = (1 - exp(-t l)) / l equals its limit t to rounding, for 1e-100 < t < 1e180


@dataclass(frozen=True)
class Spectral(Solver):
    """An eigendecomposition: one for all ridges and training times.

    Time about 9 n^3 once, then 4 n^2 a target, ridge and time. Memory: three n x n float64 matrices, of which two stay.

    Examples
    --------
    >>> from neural_kernels.solvers import Spectral
    >>> Spectral().system([[2.0, 1.0], [1.0, 2.0]]).solve([1.0, 1.0], ridge=1.0)
    array([0.25, 0.25])
    """

    @override
    def system(self, gram: npt.ArrayLike, sample_weight: npt.ArrayLike | None = None) -> SpectralRidge:
        return SpectralRidge(gram, sample_weight)

    @override
    def memory(self, n: int, outputs: int = 1) -> int:
        return 3 * 8 * n * n + vectors_memory(n, outputs)


class SpectralRidge(RidgeSystem):
    r"""Kernel ridge regression for any ridge, its leave-one-out residuals, and gradient flow to any time.

    With the eigendecomposition :math:`S K S = V \mathrm{diag}(l) V^T`, :math:`S = \mathrm{diag}(\sqrt{w})`, every
    result is

    .. math:: a = S V g(l + \lambda) V^T S y, \qquad g(l) = \frac{1 - e^{-t l}}{l} \xrightarrow{t \to \infty} \frac 1 l,

    the minimiser of :math:`\sum_i w_i (y_i - f(x_i))^2 + \lambda |f|_K^2` for :math:`t = \infty`, and otherwise
    gradient flow from f = 0 under :math:`K + \lambda I` at time t [1]_. A weight of 0 equals leaving the example out.

    Parameters
    ----------
    gram : array-like of shape (n, n)
        The kernel matrix of the training examples, symmetric; only its lower triangle is read.
    sample_weight : array-like of shape (n,), optional
        Non-negative weights; default all 1.

    Attributes
    ----------
    values : ndarray of shape (n,)
        Eigenvalues l, ascending.
    vectors : ndarray of shape (n, n)
        Eigenvectors V, in columns.
    root : ndarray of shape (n,)
        Square roots of the weights.

    Raises
    ------
    ValueError
        For a matrix that is not square or not finite, negative weights, ridges or times.
    numpy.linalg.LinAlgError
        If the time is infinite and the matrix with its ridge is not positive definite in float64.

    Notes
    -----
    Time about 9 n^3 once, then 4 n^2 a target, ridge and time; memory two n x n float64 matrices, a third while
    `loo_residuals` runs.

    References
    ----------
    .. [1] J. Lee et al., "Wide neural networks of any depth evolve as linear models under gradient descent", 2019,
       arXiv:1902.06720, eqs. 10-11.

    Examples
    --------
    >>> import numpy as np
    >>> from neural_kernels.solvers import SpectralRidge
    >>> ridge = SpectralRidge([[2.0, 1.0], [1.0, 2.0]])
    >>> ridge.solve([1.0, 1.0], ridge=1.0)
    array([0.25, 0.25])
    >>> ridge.loo_residuals([1.0, 1.0], ridges=[0.0, 1.0])
    array([[0.5       , 0.5       ],
           [0.66666667, 0.66666667]])
    >>> ridge.solve([1.0, 1.0], ridge=0.0, time=0.1).round(4)
    array([0.0864, 0.0864])
    """

    def __init__(self, gram: npt.ArrayLike, sample_weight: npt.ArrayLike | None = None):
        matrix, self.root = system.weighted_gram(gram, sample_weight)
        self.values, self.vectors = _decompose(matrix)

    @classmethod
    def of_weighted(cls, matrix: Array, root: Array) -> SpectralRidge:
        """From S K S itself, which is overwritten, and the diagonal of S."""
        self = cls.__new__(cls)
        self.root = root
        self.values, self.vectors = _decompose(matrix)
        return self

    @override
    def solve(self, targets: npt.ArrayLike, ridge: float, time: float = np.inf) -> Array:
        y, shape = system.as_targets(targets, len(self.root))
        s = self.root[:, None]
        dual = self.vectors @ (self._response(ridge, time)[:, None] * (self.vectors.T @ (s * y)))
        return (s * dual).reshape(shape)

    def decay(self, errors: npt.ArrayLike, ridge: float, time: float) -> Array:
        r"""Return what is left at time t of training errors: :math:`S^{-1} V e^{-t (l + \lambda)} V^T S` of them.

        Raises
        ------
        ValueError
            If a weight is 0: training does not act on that error.
        """
        system.require_weights(self.root, "decay")
        e, shape = system.as_targets(errors, len(self.root))
        s = self.root[:, None]
        rates = np.maximum(self.values + system.as_ridge(ridge), 0)
        left = np.exp(-_product(rates, system.as_time(time)))
        return (self.vectors @ (left[:, None] * (self.vectors.T @ (s * e))) / s).reshape(shape)

    @override
    def loo_residuals(
        self, targets: npt.ArrayLike, ridges: float | npt.ArrayLike, rows: np.ndarray | None = None
    ) -> Array:
        system.require_weights(self.root, "loo_residuals")
        y, shape = system.as_targets(targets, len(self.root))
        kept = slice(None) if rows is None else rows
        s, vectors = self.root[kept, None], self.vectors[kept]
        projected = self.vectors.T @ (self.root[:, None] * y)
        squares = np.square(vectors)
        residuals = []
        for ridge in np.atleast_1d(np.asarray(ridges, dtype=np.float64)):
            response = self._response(ridge, np.inf)[:, None]
            dual = vectors @ (response * projected)
            residuals.append((dual / (s * (squares @ response))).reshape(-1, *shape[1:]))
        return np.stack(residuals) if np.ndim(ridges) else residuals[0]

    @override
    def inverse_blocks(self, ridge: float, size: int) -> Array:
        system.require_weights(self.root, "inverse_blocks")
        vectors = self.vectors.reshape(-1, size, len(self.values))
        return (vectors * self._response(ridge, np.inf)) @ vectors.swapaxes(1, 2)

    @override
    def log_determinant(self, ridge: float) -> float:
        system.require_weights(self.root, "log_determinant")
        return float(-np.log(self._response(ridge, np.inf)).sum())

    def _response(self, ridge: float, time: float) -> Array:
        """g(l + ridge), with its limit t where an eigenvalue is not positive."""
        rates = self.values + system.as_ridge(ridge)
        if system.as_time(time) < np.inf:
            rates = np.maximum(rates, SMALLEST)
            return -np.expm1(-time * rates) / rates
        noise = len(rates) * np.finfo(np.float64).eps * abs(self.values[-1])
        if rates[0] <= noise:
            raise system.singular(f"its smallest eigenvalue is {rates[0]:.3g}, the largest {rates[-1]:.3g}", ridge)
        return 1 / rates


def max_learning_rate(gram: npt.ArrayLike, n_outputs: int = 1, momentum: float = 0.0) -> float:
    r"""Return the largest step with which gradient descent on the mean squared error converges.

    .. math:: \eta = \frac{2 (1 + m) n o}{l_{max}}

    for the loss :math:`|f - y|^2 / (2 n o)` over n examples and o outputs, with heavy-ball momentum m.

    Parameters
    ----------
    gram : array-like of shape (n, n)
        The tangent kernel of the training examples.
    n_outputs : int
        Number o of outputs.
    momentum : float
        In [0, 1).

    Examples
    --------
    >>> max_learning_rate([[2.0, 0.0], [0.0, 1.0]])
    2.0
    """
    if not 0 <= momentum < 1:
        raise ValueError(f"momentum={momentum!r}: expected a number in [0, 1)")
    matrix, _ = system.weighted_gram(gram, None)
    n = len(matrix)
    largest = eigvalsh(matrix, subset_by_index=[n - 1, n - 1])[0]
    if largest <= 0:
        raise system.singular(f"its largest eigenvalue is {largest:.3g}", 0.0)
    return float(2 * (1 + momentum) * n * n_outputs / largest)


def _decompose(matrix: Array) -> tuple[Array, Array]:
    values, vectors = eigh(matrix, lower=True, overwrite_a=True, check_finite=False, driver="evd")
    return values, vectors


def _product(rates: Array, time: float) -> Array:
    """Multiply; 0 where the rate is 0 whatever the time."""
    return np.where(rates > 0, np.maximum(rates, SMALLEST) * time, 0.0)
