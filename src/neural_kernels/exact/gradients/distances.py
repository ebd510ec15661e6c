r"""Gradients of kernels of the distance alone, in closed form.

.. math:: \nabla f(x) = -\gamma e \sum_i a_i\, k(x, z_i)\, |x - z_i|^{e - 2} (x - z_i).
"""

from __future__ import annotations

from typing import Any

import numpy as np

from neural_kernels.exact.arrays import read_pair, require_vectors
from neural_kernels.exact.gradients.autograd import as_rows
from neural_kernels.exact.stationary import GammaExponential, squared_distances

_ENTRIES = 2**23  # of the kernel at a time: a few float64 arrays of them are in memory
_NEAR = 1e-14  # of squared norms: the distance of rows nearer than that is rounding alone


def by_distances(kernel: GammaExponential, x: Any, support: Any, coefficients: np.ndarray) -> np.ndarray:
    """As `gradients`: the cost of the kernel and a product of matrices for each output."""
    first, second = (require_vectors(side, kernel).rows for side in read_pair(as_rows(x), as_rows(support)))
    rows, others = as_rows(x).numpy(), as_rows(support).numpy()
    result = np.empty((len(rows), coefficients.shape[1], rows.shape[1]))
    sizes = np.square(others).sum(1)
    step = max(1, _ENTRIES // len(others))
    for start in range(0, len(rows), step):
        part = slice(start, start + step)
        squared = squared_distances(first, second, part, slice(None)).numpy()
        apart = squared > _NEAR * (np.square(rows[part]).sum(1)[:, None] + sizes)
        np.copyto(squared, 1.0, where=~apart)
        slopes = np.exp(-kernel.gamma * squared ** (kernel.exponent / 2)) * squared ** (kernel.exponent / 2 - 1)
        slopes *= -kernel.gamma * kernel.exponent * apart
        for c, a in enumerate(coefficients.T):
            weighted = slopes * a
            result[part, c] = weighted.sum(1)[:, None] * rows[part] - weighted @ others
    return result
