"""How new rows are to a model on features."""

from __future__ import annotations

from typing import Any

import numpy as np

from neural_kernels.estimators.built import blocks, features, squared_norms
from neural_kernels.estimators.feature_base import FeatureRidge, Solution
from neural_kernels.runtime.types import Array

_SAMPLE = 100  # training rows that tell how new a row usually is
SMALLEST = 1e-6  # of 1 - leverage: less is rounding of float32


class FeatureNovelty(FeatureRidge):
    """Private base: novelty of rows, by what the features know of the kernel and by what they do not."""

    _usual: tuple[Solution, float] | None = None

    def novelty(self, X: Any) -> Array:
        r"""How new rows are to the model: about 1 if they are like the training rows, large if they lie far outside.

        .. math:: \sqrt{v(x) / \mathrm{median}_i\, v_{-i}(x_i)}, \qquad
           v(x) = \lambda h(x) + k(x, x) - |\phi(x)|^2,

        with the leverage h, and :math:`v_{-i}` the one without the training row i. Like that of
        :class:`NeuralKernelRegressor`, whose features are exact, v is the posterior variance of a Gaussian process; of
        landmarks, what they leave out of k(x, x) is large where none is near.

        Parameters
        ----------
        X : array-like of shape (m, ...), or source of blocks

        Returns
        -------
        ndarray of shape (m,)

        Raises
        ------
        ValueError
            For an alpha of 0: without noise nothing is known of new rows.

        Notes
        -----
        As much as a prediction, and the columns' number squared operations a row; the median is that of 100 of the
        rows that are kept.
        """
        return self._of_rows(X, self._novelty_of)

    def _novelty_of(self, X: Any) -> Array:
        X, solution = self._read(X, self._shape, reset=False), self._solved()
        if self.ridge_ == 0:
            raise ValueError("novelty needs an alpha above 0, the noise of the targets")
        if self._usual is None or self._usual[0] is not solution:
            self._usual = solution, self._usual_variance(solution)
        variance, fitted = np.empty(X.shape[0]), solution.built.map
        for block in blocks(X.shape[0], fitted.columns, None):
            phi = features(fitted, X[block])
            variance[block] = self.ridge_ * solution.path.leverage(phi)[0] + self._lacked(X[block], phi)
        return np.sqrt(variance / self._usual[1])

    def _usual_variance(self, solution: Solution) -> float:
        """Median, over some training rows, of the variance without the row."""
        kept = solution.built.judges(self._seen().kept[0])
        rows = kept.take(np.unique(np.linspace(0, len(kept) - 1, min(len(kept), _SAMPLE)).astype(np.intp)))
        phi = features(solution.built.map, rows.data)
        leverage = solution.path.leverage(phi)[0]
        without = leverage / np.maximum(1 - rows.weights * leverage, SMALLEST)
        return max(float(np.median(self.ridge_ * without + self._lacked(rows.data, phi))), np.finfo(np.float64).tiny)

    def _lacked(self, rows: Any, phi: np.ndarray) -> Array:
        """What the features leave out of the kernel's diagonal."""
        return np.maximum(np.asarray(self.kernel_.diag(rows), dtype=np.float64) - squared_norms(phi), 0)
