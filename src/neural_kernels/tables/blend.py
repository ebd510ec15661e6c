"""One kernel of many: their sum, each with a weight."""

from __future__ import annotations

from collections.abc import Sequence
from functools import reduce
from operator import add

import numpy as np

from neural_kernels.exact import Kernel
from neural_kernels.runtime.types import Array
from neural_kernels.tables.candidates import Candidate

MEMBERS = (0, 2, 5)  # iterations: those between differ little, and would only make the sum slower
_TEMPERATURE = 10.0  # of the likelihood of held-out targets, which metrics have seen
_LEAST = 0.01  # of the weights' sum, below which a kernel is left out


def tempered(candidates: Sequence[Candidate], losses: Array, mass: float) -> Array:
    r"""Weights :math:`\propto e^{-n \ell / 10}` of kernels by the loss :math:`\ell` of n held-out targets.

    Learnt metrics have seen the targets, of which leave-one-out does not know, so that the likelihood is not taken at
    its word. On 42 tables for regression and 71 for classification the sum is better than its best kernel, better than
    weights of the least leave-one-out error, and no worse than an average of models.

    Parameters
    ----------
    candidates : sequence of Candidate
    losses : ndarray of shape (k,)
        Mean negative log-likelihoods.
    mass : float
        n, the effective number of examples.
    """
    member = np.array([found.iteration in MEMBERS for found in candidates])
    weights = np.where(member, np.exp(-mass / _TEMPERATURE * (losses - losses[member].min())), 0)
    kept = np.where(weights >= _LEAST * weights.sum(), weights, 0)
    return kept / kept.sum()


def blend(candidates: Sequence[Candidate], weights: Array) -> Kernel:
    """The sum of kernels of typical value 1, times their weights; those without a weight are left out."""
    parts = zip(candidates, weights, strict=True)
    return reduce(add, [float(w / found.scale) * found.kernel for found, w in parts if w > 0])
