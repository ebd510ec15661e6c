"""How far two kernel matrices of the same examples are apart."""

from __future__ import annotations

from typing import Any

import numpy as np
from torch import Tensor
from torch.linalg import vector_norm

from neural_kernels.analysis.matrices import dress, read_kernels, require_positive
from neural_kernels.analysis.spectra import largest_eigenvalue


def distance(first: Any, second: Any) -> Any:
    r"""Return the relative Frobenius distance of the second kernel from the first.

    .. math:: \|K - K'\|_F / \|K\|_F

    Beside a full kernel an (n, n) one stands for :math:`K \otimes I_o`, which is not formed: the first argument a full
    kernel and the second a pseudo- or trace-NTK, it is the first of the three gaps of [1]_, which fall as the inverse
    square root of the width.

    Parameters
    ----------
    first, second : array-like or Tensor, shape (n, n) or (n, n, o, o)
        Symmetric, of the same examples.

    Returns
    -------
    float, or Tensor of shape ()
        Of the kind of `first`.

    Raises
    ------
    TypeError, ValueError
        For kernels that are not finite, symmetric and non-empty, of different examples or outputs, or a first one
        that is 0.

    Notes
    -----
    Time of a few passes over the kernels; memory: float64 copies and their difference. Differentiable in torch kernels.

    References
    ----------
    .. [1] M. A. Mohamadi, W. Bae, D. J. Sutherland, "A fast, well-founded approximation to the empirical neural
       tangent kernel", 2023, arXiv:2206.12543.

    Examples
    --------
    >>> import numpy as np
    >>> import neural_kernels.analysis as analysis
    >>> analysis.distance(np.eye(4), 1.5 * np.eye(4))
    0.5
    >>> full = np.einsum("ij,ab->ijab", np.eye(4), np.ones((2, 2)))
    >>> round(analysis.distance(full, np.eye(4)), 6)
    0.707107
    """
    left, right = read_kernels(first, second, ("first", "second"))
    copies = right.shape[3] if left.ndim < right.ndim else 1
    norm = require_positive(vector_norm(left), "the norm of the first kernel") * copies**0.5
    return dress(vector_norm(_difference(left, right)) / norm, first)


def eigenvalue_gap(first: Any, second: Any) -> Any:
    r"""Return the relative difference of the largest eigenvalues.

    .. math:: |\lambda_{\max}(K) - \lambda_{\max}(K')| / \lambda_{\max}(K)

    The largest eigenvalue bounds the step of gradient descent (`neural_kernels.solvers.max_learning_rate`). That of
    :math:`K \otimes I_o` is that of K, so a full kernel and an (n, n) one compare as they are: the second of the three
    gaps of [1]_.

    Parameters
    ----------
    first, second : array-like or Tensor, shape (n, n) or (n, n, o, o)
        Symmetric, of the same examples.

    Returns
    -------
    float, or Tensor of shape ()
        Of the kind of `first`.

    Raises
    ------
    TypeError, ValueError
        As for `distance`, and for a first kernel without a positive eigenvalue.
    scipy.sparse.linalg.ArpackNoConvergence
        If Lanczos iterations do not find the largest eigenvalue (not seen on kernels).

    Notes
    -----
    Time (n o)^2 for each of some tens of Lanczos steps where the matrix has more than 512 rows, on the CPU; below, of
    an eigendecomposition. Memory: float64 copies of the kernels. Differentiable in torch kernels.

    References
    ----------
    .. [1] M. A. Mohamadi, W. Bae, D. J. Sutherland, "A fast, well-founded approximation to the empirical neural
       tangent kernel", 2023, arXiv:2206.12543.

    Examples
    --------
    >>> import numpy as np
    >>> import neural_kernels.analysis as analysis
    >>> analysis.eigenvalue_gap(np.diag([2.0, 1.0]), np.diag([3.0, 0.0]))
    0.5
    """
    left, right = read_kernels(first, second, ("first", "second"))
    largest = require_positive(largest_eigenvalue(left), "the largest eigenvalue of the first kernel")
    return dress((largest - largest_eigenvalue(right)).abs() / largest, first)


def velocity(before: Any, after: Any, time: float = 1.0) -> Any:
    r"""Return how fast a kernel turns between two checkpoints of training.

    .. math:: \frac 1 t \Big(1 - \frac{\langle K, K' \rangle}{\|K\|_F \|K'\|_F}\Big)

    0 while the network trains like its linearisation; blind to a change of scale alone. With time=1 it is the kernel
    distance of [1]_, between 0 and 1 for positive semi-definite kernels.

    Parameters
    ----------
    before, after : array-like or Tensor, shape (n, n) or (n, n, o, o)
        Symmetric, of the same examples, both of the same shape.
    time : float
        Between the checkpoints, in any unit: steps, epochs. Positive.

    Returns
    -------
    float, or Tensor of shape ()
        Of the kind of `before`.

    Raises
    ------
    TypeError, ValueError
        For kernels that are not finite, symmetric and non-empty, of different shapes, or 0; a time that is not a
        positive number.

    Notes
    -----
    Time of a few passes over the kernels, memory: float64 copies. Nothing cancels, however close the kernels: small
    velocities have the relative accuracy of the kernels' difference. Differentiable in torch kernels.

    References
    ----------
    .. [1] S. Fort et al., "Deep learning versus kernel learning: an empirical study of loss landscape geometry and the
       time evolution of the neural tangent kernel", 2020, arXiv:2010.15110.

    Examples
    --------
    >>> import numpy as np
    >>> import neural_kernels.analysis as analysis
    >>> analysis.velocity(np.eye(2), 4 * np.eye(2))
    0.0
    >>> round(analysis.velocity(np.eye(2), np.ones((2, 2)), time=10.0), 6)
    0.029289
    """
    left, right = read_kernels(before, after, ("before", "after"))
    if left.shape != right.shape:
        raise ValueError(f"before and after have shapes {tuple(left.shape)}, {tuple(right.shape)}: expected the same")
    if not (np.isfinite(time) and time > 0):
        raise ValueError(f"time={time!r}: expected a positive number")
    left = left / require_positive(vector_norm(left), "the norm of the kernel before")
    right = right / require_positive(vector_norm(right), "the norm of the kernel after")
    # Of unit vectors 1 - <u, v> = |u - v|^2 / 2, in which nothing cancels.
    return dress((left - right).square().sum() / (2 * time), before)


def _difference(left: Tensor, right: Tensor) -> Tensor:
    """Up to its sign, with an (n, n) kernel taken from the blocks' diagonals of a full one."""
    if left.ndim == right.ndim:
        return left - right
    full, plain = (left, right) if left.ndim == 4 else (right, left)
    difference = full.clone()
    difference.diagonal(dim1=2, dim2=3).sub_(plain[:, :, None])
    return difference
