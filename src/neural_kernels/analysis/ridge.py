"""Kernel ridge regression with the estimators' measure of regularisation."""

from __future__ import annotations

from numbers import Real

import numpy as np
from torch import Tensor

from neural_kernels.analysis.matrices import as_array, as_matrix
from neural_kernels.solvers import CholeskyRidge
from neural_kernels.solvers.system import mean_diagonal


def ridge_system(train: Tensor, alpha: float) -> CholeskyRidge:
    """The system of K + alpha mean(diag K) I, factorised in float64 on the CPU."""
    if isinstance(alpha, bool) or not isinstance(alpha, Real) or not (np.isfinite(alpha) and alpha >= 0):
        raise ValueError(f"alpha={alpha!r}: expected a finite number, at least 0")
    gram = as_array(as_matrix(train))
    return CholeskyRidge(gram, float(alpha) * mean_diagonal(gram, None, "the kernel is 0 at all of the examples"))
