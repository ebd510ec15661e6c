"""How predictions change with their inputs: gradients of sums of kernels.

- `networks`: those of networks on vectors, by the compiled kernel;
- `distances`: those of the distance, in closed form;
- `autograd`: all others.
"""

from typing import Any

import numpy as np

from neural_kernels.exact.arrays import read
from neural_kernels.exact.gradients.autograd import as_rows, by_autograd, differentiated
from neural_kernels.exact.gradients.distances import by_distances
from neural_kernels.exact.gradients.networks import by_compiled_kernel
from neural_kernels.exact.kernel import AffineKernel, Kernel, KernelSum
from neural_kernels.exact.measured import MetricKernel
from neural_kernels.exact.network import NetworkKernel
from neural_kernels.exact.stationary import GammaExponential

__all__ = ["as_rows", "differentiated", "gradients"]


def gradients(
    kernel: Kernel, x: Any, support: Any, coefficients: np.ndarray, along: np.ndarray | None = None
) -> np.ndarray:
    r"""Gradients of :math:`f_c(x) = \sum_i k(x, x_i) a_{ic}` by the input.

    Parameters
    ----------
    kernel : Kernel
    x : array, shape (n, *shape)
    support : array, shape (m, *shape)
        The rows :math:`x_i`.
    coefficients : ndarray of shape (m, o)
    along : ndarray of shape (n, k), optional
        Of the last k outputs' sum with these weights, one a row, in place of all outputs.

    Returns
    -------
    ndarray of shape (n, o, *shape), float64; with `along` of shape (n, 1, *shape)

    Notes
    -----
    Networks on vectors, kernels of the distance, their sums, multiples and metrics take a few times the kernel's cost;
    all else goes through autograd, block by block of rows, at some hundred times the cost. Rows that are one have no
    distance, and the sum's derivative by it is dropped: kernels with kinks have none there. A row of zeros has
    gradient 0 under a kernel of a network.
    """
    if isinstance(kernel, KernelSum):
        parts = (gradients(part, x, support, coefficients, along) for part in (kernel.first, kernel.second))
        return sum(parts)  # pyright: ignore[reportReturnType]
    if isinstance(kernel, AffineKernel):
        return kernel.scale * gradients(kernel.kernel, x, support, coefficients, along)
    if isinstance(kernel, MetricKernel):
        first = kernel.seen(read(x, "x"))
        second = first if support is x else kernel.seen(read(support, "support"))
        return _through(kernel.metric.root, gradients(kernel.kernel, first, second, coefficients, along))
    if isinstance(kernel, GammaExponential):
        return _summed(by_distances(kernel, x, support, coefficients), along)
    fast = by_compiled_kernel(kernel, x, support, coefficients) if isinstance(kernel, NetworkKernel) else None
    return by_autograd(kernel, x, support, coefficients, along) if fast is None else _summed(fast, along)


def _summed(found: np.ndarray, along: np.ndarray | None) -> np.ndarray:
    """Gradients of all outputs as those of their weighted sums, if these are asked for."""
    return found if along is None else np.einsum("no,no...->n...", along, found[:, -along.shape[1] :])[:, None]


def _through(root: np.ndarray, found: np.ndarray) -> np.ndarray:
    """Gradients by what was mapped, (n, o, *shape), as those by the inputs."""
    if root.ndim == 1:
        return found * root.reshape(-1, *[1] * (found.ndim - 3))
    return np.moveaxis(np.moveaxis(found, 2, -1) @ root, -1, 2)
