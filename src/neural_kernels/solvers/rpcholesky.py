"""Randomly pivoted Cholesky: which rows say most about a kernel matrix, from few of its columns."""

from __future__ import annotations

from typing import Any, Protocol, runtime_checkable

import numpy as np
import torch

_EXPLAINED = 1e-6  # of k(x, x): what is left below that is rounding of single precision


@runtime_checkable
class KernelFunction(Protocol):
    """What pivots are drawn by: the Gram matrix of two batches, and the diagonal of one."""

    def __call__(self, x1: Any, x2: Any = None) -> Any:
        """Return the entries, shape (n1, n2), NumPy or torch; None for `x2` means `x1`."""
        ...

    def diag(self, x: Any) -> Any:
        """Return k(x, x), shape (n,)."""
        ...


def pivots(kernel: KernelFunction, rows: Any, count: int, generator: np.random.Generator) -> np.ndarray:
    """Draw rows one after the other in proportion to what those before do not explain of k(x, x).

    Parameters
    ----------
    kernel : callable with `diag`
    rows : array, shape (n, ...)
        What `kernel` takes: NumPy, torch or CSR.
    count : int
        How many; fewer are drawn if fewer explain all of the kernel.
    generator : numpy.random.Generator

    Returns
    -------
    ndarray of int, shape (<= count,)
        Positions among the rows, in the order of drawing.

    Notes
    -----
    Costs n count kernel entries, n count^2 operations and n count numbers. Pivots are proposed in blocks and kept or
    rejected [2]_, which follows the distribution of one at a time [1]_ exactly and makes products of matrices of it.

    References
    ----------
    .. [1] Y. Chen, E. Epperly, J. Tropp, R. Webber, "Randomly pivoted Cholesky: practical approximation of a kernel
       matrix with few entry evaluations", 2022, arXiv:2207.06503, algorithm 1.
    .. [2] E. Epperly, J. Tropp, R. Webber, "Embrace rejection: kernel matrix approximation by accelerated randomly
       pivoted Cholesky", 2024, arXiv:2410.03969, algorithms 2.1 and 2.2.
    """
    return pivoted_factor(kernel, rows, count, generator)[0]


def pivoted_factor(
    kernel: KernelFunction, rows: Any, count: int, generator: np.random.Generator
) -> tuple[np.ndarray, torch.Tensor]:
    """The `pivots`, and the factor F of shape (n, r) that they make: F F^T equals the kernel in their rows."""
    variance = torch.as_tensor(kernel.diag(rows))
    left = variance.clone()
    factor = left.new_empty((len(left), count))
    chosen: list[int] = []
    block = max(16, count // 16)
    while (k := len(chosen)) < count:
        left[left < _EXPLAINED * variance] = 0
        if not left.any():
            break
        share = left.to(torch.float64).cpu().numpy()
        drawn = generator.choice(len(share), size=block, p=share / share.sum())
        residual = torch.as_tensor(kernel(rows, rows[drawn]))
        residual -= factor[:, :k] @ factor[drawn, :k].T
        kept = _accept(residual[drawn].to(torch.float64).cpu().numpy(), share[drawn], generator)[: count - k]
        new = drawn[kept]
        root = torch.linalg.cholesky_ex(residual[new][:, kept].to(torch.float64))[0].to(factor)
        factor[:, k : k + len(new)] = torch.linalg.solve_triangular(root, residual[:, kept].T, upper=False).T
        left -= factor[:, k : k + len(new)].square().sum(1)
        left[new] = 0  # rounding would leave a little, and draw the row again
        chosen.extend(new.tolist())
    return np.array(chosen, dtype=np.intp), factor[:, : len(chosen)]


def _accept(residual: np.ndarray, proposal: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    """Which of the rows drawn by `proposal` to keep, one after the other, by what those kept before leave of them."""
    residual, kept = residual.copy(), []
    for i in range(len(residual)):
        if generator.random() * proposal[i] < residual[i, i] and residual[i, i] > _EXPLAINED * proposal[i]:
            column = residual[:, i] / np.sqrt(residual[i, i])
            residual -= np.outer(column, column)
            kept.append(i)
    return np.array(kept, dtype=np.intp)
