"""How predictions change with their inputs: gradients, and the average of their outer products."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from neural_kernels.exact.gradients import as_rows, differentiated
from neural_kernels.features import FeatureMap
from neural_kernels.runtime.types import Array
from neural_kernels.solvers.system import as_weights

_BLOCK = 2**17  # features at a time
_CHANNELS = 64  # of a position inside a map, about


class InputGradients:
    """Private base: what follows from gradients, which a subclass computes."""

    def _input_gradients(self, X: Any, along: Array | None = None) -> Array:
        """Gradients (n, o, *shape) of the outputs; of the training rows themselves, if X is None.

        With `along`, (n, k), those of the last k outputs' sum with these weights, (n, 1, *shape).
        """
        raise NotImplementedError

    def gradient(self, X: Any) -> Array:
        r"""Gradients of the outputs by the inputs.

        Of the outputs that predictions are made of: of a classifier the scores of its classes (one of two classes).

        Parameters
        ----------
        X : array-like of shape (n, d), or (n, channels, ...)

        Returns
        -------
        ndarray of shape (n, n_outputs, d), or (n, n_outputs, channels, ...), float64

        Notes
        -----
        Kernels of networks with kinks, such as that of ReLU, have a kink where two rows are one, as |x| has at 0: the
        mean of both sides counts there, and for rows that are nearer than 2e-5 of their norm. A row of zeros has none.

        Networks on vectors: some four times the cost of the kernel between X and the training rows (two and a half
        times without biases), with 2 n m d operations for each output; other kernels, and feature maps, go through
        autograd, block by block of rows, which takes some hundred times their cost.
        """
        return self._input_gradients(X)

    def agop(self, X: Any = None, diag: bool = False, sample_weight: Any = None) -> Array:
        r"""Average gradient outer product: which directions of the input the predictions depend on.

        .. math:: G = \frac 1 n \sum_{j, c} \nabla f_c(x_j) \nabla f_c(x_j)^T.

        Parameters
        ----------
        X : array-like of shape (n, d), optional
            Rows to average over; the training rows (distinct ones), if the model has kept them.
        diag : bool
            The diagonal alone: how much each column counts.
        sample_weight : array-like of shape (n,), optional
            Non-negative weights of the rows in the average; default all 1.

        Returns
        -------
        ndarray of shape (d, d), or (d,) with `diag`
            Of images, d counts all numbers of one.

        References
        ----------
        A. Radhakrishnan, D. Beaglehole, P. Pandit, M. Belkin, "Mechanism of feature learning in deep fully connected
        networks and kernel machines that recursively learn features", 2022, arXiv:2212.13881.
        """
        found = self._input_gradients(X)
        rows = found.reshape(-1, int(np.prod(found.shape[2:])))
        shares = np.full(len(found), 1 / len(found))
        if sample_weight is not None:
            weights = as_weights(sample_weight, len(found))
            shares = weights / weights.sum()
        rows *= np.sqrt(np.repeat(shares, found.shape[1]))[:, None]
        return np.square(rows).sum(axis=0) if diag else rows.T @ rows


def gradients_on_features(fitted: FeatureMap, coefficients: Array, X: Any, along: Array | None = None) -> Array:
    """Gradients (n, o, *shape) of features times coefficients, (m, o); with `along` as above."""
    weights = torch.from_numpy(coefficients)
    rows = as_rows(X)
    outputs = lambda part: fitted(part)[:, : len(weights)].to(weights) @ weights  # noqa: E731
    features = max(fitted.columns, _CHANNELS * rows[0, 0].numel())
    return differentiated(outputs, rows, max(1, _BLOCK // features), along)
