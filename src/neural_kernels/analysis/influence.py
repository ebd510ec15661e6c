"""Which training examples a prediction comes from."""

from __future__ import annotations

from numbers import Integral
from typing import Any

import torch
from torch import Tensor

from neural_kernels.analysis.matrices import as_array, dress, read, read_kernel
from neural_kernels.analysis.ridge import ridge_system
from neural_kernels.runtime import boundary


def attribution(cross: Any, train: Any, residual: Any, alpha: float = 1e-2) -> Any:
    r"""Return what every training example contributes to the predictions of kernel ridge regression.

    .. math:: c_{ti} = k(x_t, x_i)\, a_i, \qquad a = (K + \lambda I)^{-1} r, \quad \lambda = \alpha\, \overline{K_{ii}},

    so that :math:`\sum_i c_{ti} = f(x_t)`. For a network f_0 and its empirical NTK, with :math:`r = y - f_0(X)`, the
    sum is what training adds to :math:`f_0(x_t)` [1]_; for an estimator, :math:`r = y - m`, with the offset m that it
    takes off the targets and adds to the sum.

    Parameters
    ----------
    cross : array-like or Tensor, shape (m, n) or (m, n, o, o)
        Kernel of test against training examples.
    train : array-like or Tensor, shape (n, n) or (n, n, o, o)
        Kernel of the training examples, symmetric; full if `cross` is.
    residual : array-like or Tensor, shape (n,) or (n, o)
        What there is to learn; (n, o) with full kernels.
    alpha : float
        Ridge in units of the mean diagonal of `train`, as for the estimators; at least 0.

    Returns
    -------
    ndarray or Tensor, shape (m, n) or (m, n, o)
        Contributions, in the shape of the residual after the first axis; of the kind and precision of `cross`.

    Raises
    ------
    TypeError, ValueError
        For what is not finite, shapes that do not fit, a negative alpha.
    numpy.linalg.LinAlgError
        If the matrix with its ridge is not positive definite in float64.

    Notes
    -----
    Time n^3 / 3 + m n o, memory one n x n float64 matrix and the result; with full kernels n o in place of n. Solved on
    the CPU; not differentiable.

    References
    ----------
    .. [1] A. Jacot, F. Gabriel, C. Hongler, "Neural tangent kernel: convergence and generalization in neural
       networks", 2018, arXiv:1806.07572.

    Examples
    --------
    >>> import numpy as np
    >>> import neural_kernels.analysis as analysis
    >>> cross, train = np.array([[1.0, 0.5]]), np.eye(2)
    >>> analysis.attribution(cross, train, [2.0, -2.0], alpha=1.0)
    array([[ 1. , -0.5]])
    """
    gram, rows, r = read_kernel(train, "train"), read(cross, "cross").detach().double(), read(residual, "residual")
    if rows.ndim != gram.ndim or rows.shape[1:] != gram.shape[1:]:
        expected = "(m, " + ", ".join(map(str, gram.shape[1:])) + ")"
        raise ValueError(f"cross has shape {tuple(rows.shape)}: expected {expected}, as train is {tuple(gram.shape)}")
    _check_residual(r, gram)
    solution = ridge_system(gram, alpha).solve(as_array(r.flatten() if gram.ndim == 4 else r))
    a = torch.from_numpy(solution).reshape(r.shape).to(rows.device)
    if gram.ndim == 4:
        return dress(torch.einsum("tiab,ib->tia", rows, a), cross)
    contributions = torch.einsum("ti,i...->ti...", rows, a)
    return dress(contributions, cross, boundary.index_of(cross), boundary.columns_of(cross))


def _check_residual(r: Tensor, gram: Tensor) -> None:
    n, full = len(gram), gram.ndim == 4
    fits = r.shape == gram.shape[1:3] if full else r.ndim in (1, 2) and len(r) == n
    if not fits:
        expected = f"({n}, {gram.shape[2]})" if full else f"({n},) or ({n}, n_outputs)"
        raise ValueError(f"residual has shape {tuple(r.shape)}: expected {expected}, as train is {tuple(gram.shape)}")


def top_influences(contributions: Any, k: int) -> Any:
    """Return the training examples with the largest contributions in size, the largest first.

    Parameters
    ----------
    contributions : array-like or Tensor, shape (m, n) or (m, n, o)
        From `attribution`.
    k : int
        How many, from 1 to n.

    Returns
    -------
    ndarray or Tensor of integers, shape (m, k) or (m, k, o)
        Indices into the training examples; ``np.take_along_axis(contributions, indices, axis=1)`` are their
        contributions.

    Raises
    ------
    TypeError, ValueError
        For what is not finite, other shapes, another k.

    Examples
    --------
    >>> import neural_kernels.analysis as analysis
    >>> analysis.top_influences([[0.1, -3.0, 2.0]], k=2)
    array([[1, 2]])
    """
    values = read(contributions, "contributions")
    if values.ndim not in (2, 3):
        raise ValueError(f"contributions have shape {tuple(values.shape)}: expected (m, n) or (m, n, o)")
    if isinstance(k, bool) or not isinstance(k, Integral) or not 1 <= k <= values.shape[1]:
        raise ValueError(f"k={k!r}: expected an integer from 1 to {values.shape[1]}, the number of training examples")
    indices = values.abs().topk(int(k), dim=1).indices
    return boundary.dress(indices, contributions, boundary.index_of(contributions))
