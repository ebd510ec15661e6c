"""Kernel ridge regression on a network's kernel: what regressor and classifier share."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.utils.validation import _check_sample_weight, check_is_fitted, validate_data

from neural_kernels.estimators import inputs as _inputs
from neural_kernels.estimators import settings as _settings
from neural_kernels.estimators.examples import Examples
from neural_kernels.runtime.types import Array
from neural_kernels.solvers import CholeskyRidge, SpectralRidge
from neural_kernels.solvers.system import as_time

BLOCK = 2**27  # bytes of one block of rows in prediction, unless memory_budget is smaller


class KernelModel(BaseEstimator):
    """Private base: the parameters are documented in its subclasses, which add what their targets mean."""

    network: Any
    kernel: str
    alpha: Any
    solver: str
    memory_budget: int | None
    verbose: int
    loo_scores_: Any

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.pairwise = self.kernel == "precomputed"
        tags.input_tags.sparse = self.kernel != "precomputed"
        return tags

    def _read(self, X: Any, **options: Any) -> Any:
        """Validate as scikit-learn does, options (y, reset, ...) included; float32 and float64 are kept."""
        _inputs.refuse_graphs(self, X)
        options |= {"dtype": [np.float32, np.float64]}
        if self.kernel != "precomputed":
            options |= {"accept_sparse": "csr", "allow_nd": True}
            if not options.get("reset", True):
                _inputs.check_shape(self, X, self.X_fit_.shape[1:])
        return validate_data(self, X, **options)

    def _read_training(self, X: Any, y: Any, sample_weight: Any, **options: Any) -> tuple[Any, Any, Array]:
        _settings.choice("kernel", self.kernel, _settings.KERNELS)
        X, y = self._read(X, y=y, **options)
        if self.kernel == "precomputed":
            _check_gram(X)
        weights = _check_sample_weight(sample_weight, X, dtype=np.float64)
        if (weights < 0).any() or not weights.any():
            raise ValueError("sample_weight: expected non-negative numbers, not all 0")
        return X, y, weights

    def _fit_examples(self, X: Any, examples: Examples) -> None:
        """Set `dual_coef_` (m, o), `y_offset_` (o,) and all that does not depend on what targets mean."""
        alphas = _settings.alphas(self.alpha)
        solver = _settings.solver(self.solver, len(alphas) > 1)
        self.support_ = examples.support
        m = len(self.support_)
        _settings.check_memory(self.memory_budget, m, X.dtype.itemsize, 2 if solver == "cholesky" else 3)
        gram = self._training_gram(X)
        scale = _scale(gram, examples.weights)
        ridges = alphas * scale
        if solver == "cholesky":
            self._system = CholeskyRidge(gram, ridges[0], examples.weights)
        else:
            self._system = SpectralRidge(gram, examples.weights)
        best = self._select(examples, ridges)
        self.alpha_, self.ridge_ = float(alphas[best]), float(ridges[best])
        self.y_offset_ = examples.offset
        self._mass = float(examples.weights.sum())
        self._targets = examples.targets - self.y_offset_
        self.dual_coef_ = self._solve(self._targets)

    def _training_gram(self, X: Any) -> np.ndarray:
        if self.kernel == "precomputed":
            return X[np.ix_(self.support_, self.support_)]
        self.network_ = _settings.network(self.network)
        self.X_fit_ = X[self.support_]
        kernel = self._kernel(self.kernel)
        with _inputs.advice_on_images(X):
            _inputs.check_outputs(kernel, X)
            return kernel(self.X_fit_)

    def _kernel(self, name: str) -> Any:
        from neural_kernels.exact import NNGP, NTK

        return (NTK if name == "ntk" else NNGP)(self.network_, progress=bool(self.verbose))

    def _select(self, examples: Examples, ridges: Array) -> int:
        """Return the index of the best ridge, by leave-one-out R^2 averaged over outputs, where there are several."""
        self.loo_scores_ = None
        if len(ridges) == 1:
            return 0
        total = examples.weights @ np.square(examples.targets - examples.offset) + examples.scatter
        lost = np.square(self._loo_residuals(examples, ridges)).transpose(0, 2, 1) @ examples.weights + examples.scatter
        self.loo_scores_ = (1 - lost / np.where(total > 0, total, 1)).mean(axis=1)
        return int(np.argmax(self.loo_scores_))

    def _loo_residuals(self, examples: Examples, ridges: Array) -> Array:
        """Exact residuals (r, m, o) of predictions without the example itself, neither in f nor in the offset.

        Without example i the mean of the others shifts by -w_i y_i / (W - w_i), y centred; residuals are linear in the
        targets, so the shift costs one more column, of ones.
        """
        w, centred = examples.weights, examples.targets - examples.offset
        if len(w) < 2:
            raise ValueError(
                "leave-one-out needs at least 2 distinct samples, got n_samples=1; pass one number as alpha"
            )
        targets = np.column_stack([centred, np.ones(len(w))])
        if isinstance(self._system, CholeskyRidge):
            residuals = self._system.loo_residuals(targets)[None]
        else:
            residuals = self._system.loo_residuals(targets, ridges)
        shift = -(w / (w.sum() - w))[:, None] * centred
        return residuals[..., :-1] - shift * residuals[..., -1:]

    def _solve(self, targets: Array, time: float = np.inf) -> Array:
        """Coefficients after training for `time`, in units of the solver."""
        if not isinstance(self._system, CholeskyRidge):
            return self._system.solve(targets, self.ridge_, time)
        if time == np.inf:
            return self._system.solve(targets)
        return self._system.spectral.solve(targets, self.ridge_, time)

    def _rate(self, time: float | None) -> float:
        """Training time in units of the solver: the loss is a mean over examples and outputs."""
        return np.inf if time is None else as_time(time) / (self._mass * self._targets.shape[1])

    def _outputs(self, X: Any, time: float | None) -> Array:
        """Predict, (n, o), block by block of rows."""
        check_is_fitted(self)
        X = self._read(X, reset=False)
        rate = self._rate(time)
        coefficients = self.dual_coef_ if rate == np.inf else self._solve(self._targets, rate)
        coefficients = coefficients.reshape(len(self.support_), -1)
        outputs = np.empty((X.shape[0], coefficients.shape[1]))
        for rows in self._blocks(X.shape[0]):
            outputs[rows] = self._cross(X[rows]) @ coefficients + self.y_offset_
        return outputs

    def _blocks(self, n: int) -> Iterator[slice]:
        budget = BLOCK if self.memory_budget is None else min(BLOCK, self.memory_budget)
        step = max(1, int(budget) // (16 * len(self.support_)))  # a float64 copy beside the kernel
        return (slice(start, start + step) for start in range(0, n, step))

    def _cross(self, X: Any) -> np.ndarray:
        if self.kernel == "precomputed":
            return X[:, self.support_]
        return self._kernel(self.kernel)(X, self.X_fit_)


def _check_gram(gram: np.ndarray) -> None:
    if gram.shape[0] != gram.shape[1]:
        raise ValueError(f'kernel="precomputed": expected a square Gram matrix to fit, got shape {gram.shape}')
    tolerance = 1e-4 * np.abs(np.diagonal(gram)).max()
    strips = (slice(start, start + 256) for start in range(0, len(gram), 256))
    if not all(np.allclose(gram[s], gram[:, s].T, rtol=1e-4, atol=tolerance) for s in strips):
        raise ValueError('kernel="precomputed": expected a symmetric matrix')


def _scale(gram: np.ndarray, weights: Array) -> float:
    """Mean diagonal, weighted so that repeating an example is the same as doubling its weight."""
    scale = float(np.average(np.diagonal(gram).astype(np.float64), weights=weights))
    if not scale > 0:
        raise ValueError(
            f"the mean diagonal of the training kernel is {scale:.3g}, expected a positive number: all inputs are 0, "
            "or the network ignores them (with a bias_var > 0 the kernel of zero inputs is positive)"
        )
    return scale
