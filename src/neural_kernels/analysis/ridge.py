"""Kernel ridge regression with the estimators' measure of regularisation."""

from __future__ import annotations

from numbers import Real

import numpy as np
from torch import Tensor

from neural_kernels.analysis.matrices import as_array, as_matrix, require_positive
from neural_kernels.solvers import CholeskyRidge


def ridge_system(train: Tensor, alpha: float) -> CholeskyRidge:
    """The system of K + alpha mean(diag K) I, factorised in float64 on the CPU."""
    if isinstance(alpha, bool) or not isinstance(alpha, Real) or not (np.isfinite(alpha) and alpha >= 0):
        raise ValueError(f"alpha={alpha!r}: expected a finite number, at least 0")
    gram = as_matrix(train)
    scale = require_positive(gram.diagonal().mean(), "the mean diagonal of the training kernel")
    return CholeskyRidge(as_array(gram), float(alpha) * float(scale))
