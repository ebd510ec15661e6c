"""Spectra of kernel matrices, and numbers that sum them up."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from scipy.sparse.linalg import eigsh
from torch import Tensor

from neural_kernels.analysis.matrices import as_matrix, dress, read_kernel, require_positive

DENSE = 512  # rows up to which a whole eigendecomposition takes milliseconds


def spectrum(kernel: Any) -> Any:
    r"""Return the eigenvalues of a kernel matrix, largest first.

    .. math:: K v_i = \lambda_i v_i, \qquad \lambda_1 \ge \lambda_2 \ge \dots

    Under gradient flow on the squared error, :math:`df/dt = -K (f - y)`, what is left of the error along :math:`v_i`
    decays as :math:`e^{-\lambda_i t}` [1]_.

    Parameters
    ----------
    kernel : array-like or Tensor, shape (n, n) or (n, n, o, o)
        Symmetric. A full kernel counts as the matrix with a row per pair (example, output).

    Returns
    -------
    ndarray or Tensor, shape (n,) or (n o,)
        In the kernel's precision. Nothing is clipped: eigenvalues of a positive semi-definite kernel come out negative
        by rounding, about 1e-16 of the largest, 1e-7 if the kernel was computed in float32.

    Raises
    ------
    TypeError, ValueError
        For what is not a finite, symmetric, non-empty matrix of real numbers.

    Notes
    -----
    Time about 4/3 (n o)^3, memory two float64 matrices of n o rows. Differentiable in a torch kernel.

    References
    ----------
    .. [1] A. Jacot, F. Gabriel, C. Hongler, "Neural tangent kernel: convergence and generalization in neural
       networks", 2018, arXiv:1806.07572.

    Examples
    --------
    >>> import neural_kernels.analysis as analysis
    >>> analysis.spectrum([[2.0, 1.0], [1.0, 2.0]])
    array([3., 1.])
    """
    return dress(eigenvalues(read_kernel(kernel, "kernel")), kernel)


def effective_rank(kernel: Any) -> Any:
    r"""Return the exponential of the entropy of the spectrum: how many directions a kernel matrix has.

    .. math:: \exp\Big(-\sum_i p_i \log p_i\Big), \qquad p_i = |\lambda_i| \Big/ \sum_j |\lambda_j|.

    Between 1 (one direction) and n (a multiple of the identity); a kernel that stands for :math:`K \otimes I_o` has o
    times the effective rank of K.

    Parameters
    ----------
    kernel : array-like or Tensor, shape (n, n) or (n, n, o, o)
        Symmetric.

    Returns
    -------
    float, or Tensor of shape ()

    Raises
    ------
    TypeError, ValueError
        As for `spectrum`, and for a kernel that is 0.

    Notes
    -----
    Cost of `spectrum`. The same name is also used for :math:`\mathrm{tr} K / \lambda_1`, which ignores how the smaller
    eigenvalues are distributed and is never larger; it is ``s.sum() / s[0]`` with ``s = spectrum(kernel)``.

    References
    ----------
    .. [1] O. Roy, M. Vetterli, "The effective rank: a measure of effective dimensionality", EUSIPCO 2007.

    Examples
    --------
    >>> import neural_kernels.analysis as analysis
    >>> round(analysis.effective_rank([[1.0, 0.0], [0.0, 1.0]]), 6)
    2.0
    >>> round(analysis.effective_rank([[1.0, 1.0], [1.0, 1.0]]), 6)
    1.0
    """
    sizes = eigenvalues(read_kernel(kernel, "kernel")).abs()
    p = sizes / require_positive(sizes.sum(), "the sum of the kernel's singular values")
    return dress(torch.special.entr(p).sum().exp(), kernel)


def condition_number(kernel: Any) -> Any:
    r"""Return the ratio of the largest to the smallest eigenvalue.

    .. math:: \lambda_{\max} / \lambda_{\min}

    The slowest direction needs this many times the training time of the fastest. It was proposed as a predictor of
    trainability at initialisation [1]_; later studies found such numbers unreliable for choosing architectures.

    Parameters
    ----------
    kernel : array-like or Tensor, shape (n, n) or (n, n, o, o)
        Symmetric.

    Returns
    -------
    float, or Tensor of shape ()
        Infinity if the smallest eigenvalue is at most n o times the float64 rounding of the largest: the matrix cannot
        be told from a singular one. What a kernel computed in float32 says beyond 1e6 is rounding already.

    Raises
    ------
    TypeError, ValueError
        As for `spectrum`, and for a kernel without a positive eigenvalue.

    Notes
    -----
    Cost of `spectrum`.

    References
    ----------
    .. [1] W. Chen, X. Gong, Z. Wang, "Neural architecture search on ImageNet in four GPU hours: a theoretically
       inspired perspective", 2021, arXiv:2102.11535.

    Examples
    --------
    >>> import neural_kernels.analysis as analysis
    >>> analysis.condition_number([[4.0, 0.0], [0.0, 1.0]])
    4.0
    """
    values = eigenvalues(read_kernel(kernel, "kernel"))
    largest, smallest = require_positive(values[0], "the kernel's largest eigenvalue"), values[-1]
    if smallest <= len(values) * torch.finfo(values.dtype).eps * largest:
        return dress(torch.full_like(largest, torch.inf), kernel)
    return dress(largest / smallest, kernel)


def eigenvalues(gram: Tensor) -> Tensor:
    """All eigenvalues of a checked kernel matrix in descending order; differentiable."""
    return torch.linalg.eigvalsh(as_matrix(gram)).flip(0)


def largest_eigenvalue(gram: Tensor) -> Tensor:
    """The Rayleigh quotient of the leading eigenvector, by Lanczos iterations where the matrix is large.

    Its error is the square of the vector's, and its derivative in the matrix is exact with the vector held fixed.
    """
    matrix = as_matrix(gram)
    constant = matrix.detach()
    if len(matrix) <= DENSE or not constant.any():  # ARPACK refuses a matrix of zeros
        vector = torch.linalg.eigh(constant).eigenvectors[:, -1]
    else:
        # Not a constant start: it lies in the null space of a centred kernel.
        start = np.random.default_rng(0).standard_normal(len(matrix))
        _, vectors = eigsh(constant.cpu().numpy(), k=1, which="LA", v0=start)
        vector = torch.from_numpy(vectors[:, 0]).to(matrix.device)
    return vector @ matrix @ vector
