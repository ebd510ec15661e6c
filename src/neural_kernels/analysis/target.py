"""How well a kernel matrix fits a task."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.linalg import vector_norm
from torch.nn.functional import one_hot

from neural_kernels.analysis.matrices import dress, read, read_kernel, require_comparable, require_positive


def alignment(kernel: Any, target: Any, centred: bool = True) -> Any:
    r"""Return the alignment of a kernel with targets, or with another kernel: the cosine between two matrices.

    .. math:: A = \frac{\langle K, T \rangle}{\|K\|_F \|T\|_F}, \qquad T = y y^T,

    with :math:`H K H` and :math:`H T H`, :math:`H = I - 1 1^T / n`, in place of K and T if `centred` [2]_, which makes
    it blind to a constant in the kernel or in the targets. Between 0 and 1 for positive semi-definite kernels; 1 for a
    kernel that knows the targets and nothing else.

    Parameters
    ----------
    kernel : array-like or Tensor, shape (n, n) or (n, n, o, o)
        Symmetric.
    target : array-like or Tensor
        - Numbers, shape (n,) or (n, o): :math:`T = Y Y^T`; beside a full kernel o is its number of outputs, and T has
          the entries :math:`Y_{ia} Y_{jb}`, of rank one [3]_.
        - Class labels, shape (n,), of an integer or boolean dtype: as one-hot rows. T then says which examples share a
          class, and the names of the classes do not matter; beside a full kernel label a is output a. (Whole numbers
          that are no labels: pass them as floats.)
        - Another kernel, shape (n, n) or (n, n, o, o). A square matrix is always read as a kernel: where there are as
          many outputs as examples, pass ``Y @ Y.T``.
    centred : bool
        Whether to centre both; over examples, each output by itself.

    Returns
    -------
    float, or Tensor of shape ()

    Raises
    ------
    TypeError, ValueError
        For a kernel that is not finite, symmetric and non-empty, targets of other shapes, and where K or T is 0 (if
        centred: constant), which has no direction.

    Notes
    -----
    Time of a few passes over K and T; memory: some six float64 matrices of the size of K. Differentiable in torch
    arguments.

    References
    ----------
    .. [1] N. Cristianini, J. Shawe-Taylor, A. Elisseeff, J. Kandola, "On kernel-target alignment", NeurIPS 2001.
    .. [2] C. Cortes, M. Mohri, A. Rostamizadeh, "Algorithms for learning kernels based on centered alignment", 2012,
       arXiv:1203.0550.
    .. [3] A. Baratin et al., "Implicit regularization via neural feature alignment", 2021, arXiv:2008.00938.

    Examples
    --------
    >>> import numpy as np
    >>> import neural_kernels.analysis as analysis
    >>> y = np.array([1.0, 1.0, -1.0, -1.0])
    >>> round(analysis.alignment(np.outer(y, y) + 3, y), 6)
    1.0
    >>> round(analysis.alignment(np.eye(4), [0, 0, 1, 1], centred=False), 6)
    0.707107
    """
    gram = read_kernel(kernel, "kernel")
    other = _target_kernel(target, gram).to(gram.device)
    if centred:
        gram, other = _centre(gram, "kernel"), _centre(other, "target")
    return dress(_cosine(gram, other), kernel)


def _target_kernel(target: Any, gram: Tensor) -> Tensor:
    y = read(target, "target")
    if y.ndim == 4 or (y.ndim == 2 and y.shape[0] == y.shape[1] != 1):
        other = read_kernel(target, "target")
        require_comparable(gram, other, ("kernel", "target"))
        return other
    shape = tuple(y.shape)
    if y.ndim == 1:
        y = y[:, None] if y.is_floating_point() else _one_hot(y, gram)
    if y.ndim != 2 or len(y) != len(gram) or (gram.ndim == 4 and y.shape[1] != gram.shape[3]):
        columns = f"{gram.shape[3]} outputs" if gram.ndim == 4 else "any number of outputs"
        raise ValueError(
            f"target has shape {shape}, the kernel {tuple(gram.shape)}: expected {len(gram)} numbers or rows "
            f"with {columns}, {len(gram)} integer class labels, or another kernel matrix"
        )
    y = y.double()
    return y @ y.T if gram.ndim == 2 else torch.einsum("ia,jb->ijab", y, y)


def _one_hot(labels: Tensor, gram: Tensor) -> Tensor:
    if gram.ndim == 2:
        return one_hot(torch.unique(labels, return_inverse=True)[1])
    o = gram.shape[3]
    if labels.numel() and not 0 <= labels.min() <= labels.max() < o:
        raise ValueError(
            f"target: labels from {int(labels.min())} to {int(labels.max())}, the kernel has {o} outputs; expected "
            f"labels from 0 to {o - 1}, one output each. Pass numbers that are no labels as floats."
        )
    return one_hot(labels, o)


def _centre(gram: Tensor, name: str) -> Tensor:
    """H K H for every pair of outputs; raises where nothing is left of the matrix."""
    columns, rows = gram.mean(0, keepdim=True), gram.mean(1, keepdim=True)
    centred = gram - columns - rows + rows.mean(0, keepdim=True)
    rounding = len(gram) * torch.finfo(gram.dtype).eps * vector_norm(gram)
    if vector_norm(centred) <= rounding:
        raise ValueError(f"{name}: nothing is left of it when centred, it is the same for all examples")
    return centred


def _cosine(gram: Tensor, other: Tensor) -> Tensor:
    norm = require_positive(vector_norm(gram), "the norm of the kernel")
    other_norm = require_positive(vector_norm(other), "the norm of the target")
    left, right = gram / norm, other / other_norm
    if left.ndim != right.ndim:
        # <F, K (x) I> takes the trace of F over outputs, and |K (x) I| is sqrt(o) |K|.
        full, plain = (left, right) if left.ndim == 4 else (right, left)
        left, right = full.diagonal(dim1=2, dim2=3).sum(-1), plain / full.shape[3] ** 0.5
    return (left * right).sum().clamp(-1, 1)  # rounding passes 1 by about 1e-12 in sums of millions
