"""Samples of a Gaussian process that no covariance matrix is factorised for: drawn before the data, then corrected."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from scipy.sparse import issparse, vstack

from neural_kernels.exact import Kernel
from neural_kernels.features import FeatureMap, RandomFeatures
from neural_kernels.runtime.types import Array

_COLUMNS = 4096  # of features that functions are drawn by
_MAPS = 32  # at most, each of draws of its own


def deviations(
    kernel: Kernel,
    train: Any,
    rows: Any,
    n_samples: int,
    generator: np.random.RandomState,
    correction: Callable[[Array], Array],
    noise: Array,
) -> Array:
    r"""What functions of the posterior differ by from its mean at some rows, for an amplitude of 1 [1]_:

    .. math:: g(x) - k(x, X) (K + \lambda W^{-1})^{-1} (g(X) + \epsilon), \qquad g \sim GP(0, k), \quad
       \epsilon_i \sim N(0, \lambda / w_i),

    with g a normal combination of random features, drawn anew for each of up to 32 parts of the samples, so that over
    many samples the covariance of g is k itself, as far as features are unbiased.

    Parameters
    ----------
    kernel : Kernel
    train, rows : array or CSR matrix, shapes (n, ...) and (m, ...)
    n_samples : int
    generator : RandomState
    correction : callable
        What (K + ...)^{-1} of (n, s), times k between rows and X, is: shape (m, s).
    noise : ndarray of shape (n,)
        Deviations of epsilon.

    Returns
    -------
    ndarray of shape (m, n_samples)

    Raises
    ------
    UnsuitableError
        There are no random features of this kernel.

    References
    ----------
    .. [1] J. Wilson, V. Borovitskiy, A. Terenin, P. Mostowsky, M. Deisenroth, "Pathwise conditioning of Gaussian
       processes", 2021, arXiv:2011.04026, eq. 2.
    """
    n = train.shape[0]
    both: Any = vstack([train, rows], format="csr") if issparse(train) else np.concatenate([train, rows])
    drawn = np.empty((both.shape[0], n_samples))
    for part in np.array_split(np.arange(n_samples), min(_MAPS, n_samples)):
        seed = int(generator.randint(np.iinfo(np.int32).max))
        fitted = FeatureMap(None, kernel, _COLUMNS, RandomFeatures(), seed)
        fitted(both[:1])  # the number of its columns
        drawn[:, part] = fitted.project(both, generator.standard_normal((fitted.columns, len(part))))
    before, here = drawn[:n], drawn[n:]
    return here - correction(before + noise[:, None] * generator.standard_normal(before.shape))
