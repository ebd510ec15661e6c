"""What labelling one more example would change, without training again."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from neural_kernels.analysis.matrices import as_array, dress, read, read_kernel
from neural_kernels.analysis.ridge import ridge_system
from neural_kernels.runtime.boundary import index_of
from neural_kernels.runtime.types import Array
from neural_kernels.solvers import CholeskyRidge
from neural_kernels.solvers.system import singular


def look_ahead(kernel: Any, targets: Any, variances: Any, pool: Any, labels: Any = None, alpha: float = 1e-2) -> Any:
    r"""Return how much the predictions on a pool would change if a candidate was added to the training examples.

    .. math:: s_c = \sum_p \|f_{+c}(x_p) - f(x_p)\|_2

    for every candidate c, with f the kernel ridge regression on n labelled examples and :math:`f_{+c}` the one on them
    and :math:`(x_c, y_c)` with the same ridge. The inverse of the bordered matrix gives it without another solve:

    .. math:: f_{+c}(x_p) - f(x_p)
       = \frac{k(x_p, x_c) - k_p^T A k_c}{k(x_c, x_c) + \lambda - k_c^T A k_c} (y_c - f(x_c)),
       \qquad A = (K + \lambda I)^{-1}, \quad \lambda = \alpha\, \overline{K_{ii}},

    where k_p and k_c are the kernels of a pool example and of the candidate with the labelled ones. With the class that
    the model predicts as the label, the candidate of the largest score is the one of the most likely model output
    change [1]_.

    Parameters
    ----------
    kernel : array-like or Tensor, shape (n + c, n)
        Of the labelled examples, then of the candidates, with the labelled ones.
    targets : array-like or Tensor, shape (n,) or (n, o)
        Of the labelled examples; for a network f_0 and its empirical NTK :math:`y - f_0(x)`.
    variances : array-like or Tensor, shape (c,)
        k(x, x) of the candidates: the kernel's ``diag``.
    pool : array-like or Tensor, shape (p, n + c)
        Kernel of the examples whose predictions matter with the labelled ones, then with the candidates.
    labels : array-like or Tensor, shape (c,) or (c, o), optional
        What the candidates' targets are taken to be, coded as `targets`. By default the class with the largest output,
        for which targets have to be one-hot, with any two values. (A regression's own prediction would change nothing.)
    alpha : float
        Ridge in units of the mean diagonal of the labelled examples' kernel, as for the estimators; at least 0.

    Returns
    -------
    ndarray or Tensor, shape (c,)
        Scores, in the units of the targets; of the kind and precision of `kernel`.

    Raises
    ------
    TypeError, ValueError
        For what is not finite, shapes that do not fit, no labels where targets are not one-hot, a negative alpha.
    numpy.linalg.LinAlgError
        If the labelled examples' matrix with its ridge, alone or with a candidate, is not positive definite in float64.

    Notes
    -----
    Time n^3 / 3 + 2 n^2 c + 2 n p c, memory n (n + c) + 2 p c float64 numbers; a refit for every candidate takes
    c n^3 / 3. Solved on the CPU; not differentiable. An (n, n) kernel serves all outputs: take the pseudo- or trace-NTK
    of a network.

    References
    ----------
    .. [1] M. A. Mohamadi, W. Bae, D. J. Sutherland, "Making look-ahead active learning strategies feasible with neural
       tangent kernels", 2022, arXiv:2206.12569.

    Examples
    --------
    >>> import numpy as np
    >>> import neural_kernels as nk
    >>> import neural_kernels.analysis as analysis
    >>> labelled, candidates = np.array([[-1.0], [1.0]]), np.array([[-1.1], [0.0], [3.0]])
    >>> k, both = nk.Laplace(1.0), np.concatenate([labelled, candidates])
    >>> grid = np.linspace(-2, 4, 61)[:, None]
    >>> scores = analysis.look_ahead(k(both, labelled), np.eye(2), k.diag(candidates), k(grid, both))
    >>> int(scores.argmax())  # far from what is labelled, and near to much
    2
    """
    known, y = read(kernel, "kernel"), _matrix(targets, "targets")
    n = len(y)
    if known.ndim != 2 or known.shape[1] != n or len(known) <= n:
        raise ValueError(
            f"kernel has shape {tuple(known.shape)}: expected (n + c, n), the labelled examples and then at least one "
            f"candidate against the n = {n} examples that have targets; for a full empirical kernel take the trace-NTK"
        )
    cross = as_array(known[n:])
    c = len(cross)
    prior, reach = _vector(variances, c), _pool(pool, n + c)
    system = ridge_system(read_kernel(known[:n], "kernel of the labelled examples"), alpha)
    gains = system.solve(cross.T)
    predictions = gains.T @ y
    added = _most_likely(y, predictions) if labels is None else _labels(labels, predictions.shape)
    influence = (reach[:, n:] - reach[:, :n] @ gains) / _schur(prior, cross, gains, system)
    scores = np.abs(influence).sum(axis=0) * np.linalg.norm(added - predictions, axis=1)
    names = index_of(kernel)
    return dress(torch.from_numpy(scores), kernel, None if names is None else names[n:])


def _schur(prior: Array, cross: Array, gains: Array, system: CholeskyRidge) -> Array:
    """The last pivot of the matrix with each candidate added to it: its posterior variance plus the ridge."""
    pivots = prior + system.ridge - np.einsum("cn,nc->c", cross, gains)
    rounding = len(gains) * np.finfo(np.float64).eps * (np.abs(prior) + system.ridge)
    if (pivots <= rounding).any():
        worst = int(np.argmin(pivots - rounding))
        raise singular(f"candidate {worst} adds {pivots[worst]:.3g}: it equals labelled examples", system.ridge)
    return pivots


def _most_likely(y: Array, predictions: Array) -> Array:
    """Targets, coded as those of the labelled examples, that say the predicted class."""
    low, high = y.min(), y.max()
    one_hot = y.shape[1] > 1 and ((y == high).sum(axis=1) == 1).all() and ((y == low) | (y == high)).all()
    if not one_hot:
        raise ValueError(
            "labels=None takes the predicted class as the label, for which targets have to be one-hot, shape (n, o) "
            f"with o > 1; got targets {y.shape}, which are not. One-hot encode the classes, or pass labels"
        )
    return np.where(np.arange(y.shape[1]) == predictions.argmax(axis=1)[:, None], high, low)


def _labels(labels: Any, shape: tuple[int, ...]) -> Array:
    added = _matrix(labels, "labels")
    if added.shape != shape:
        raise ValueError(f"labels have shape {added.shape}: expected {shape}, candidates and outputs of the targets")
    return added


def _matrix(values: Any, name: str) -> Array:
    array = as_array(read(values, name))
    if array.ndim not in (1, 2) or array.size == 0:
        raise ValueError(f"{name} have shape {array.shape}: expected numbers (n,) or (n, n_outputs), at least one")
    return array.reshape(len(array), -1)


def _vector(values: Any, c: int) -> Array:
    array = as_array(read(values, "variances"))
    if array.shape != (c,) or (array < 0).any():
        raise ValueError(f"variances have shape {array.shape}: expected ({c},), non-negative, one per candidate")
    return array


def _pool(values: Any, columns: int) -> Array:
    array = as_array(read(values, "pool"))
    if array.ndim != 2 or array.shape[1] != columns or array.size == 0:
        raise ValueError(
            f"pool has shape {array.shape}: expected (p, {columns}), against the labelled examples and then the "
            "candidates"
        )
    return array
