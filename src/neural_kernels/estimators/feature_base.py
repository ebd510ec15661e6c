"""Ridge regression on a feature map, block by block of rows: what regressor and classifier share."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from typing import Any

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.utils import check_random_state
from sklearn.utils.validation import _check_sample_weight, check_is_fitted, validate_data
from tqdm import tqdm

from neural_kernels.estimators import inputs as _inputs
from neural_kernels.estimators import settings as _settings
from neural_kernels.estimators.examples import Examples
from neural_kernels.exact.graphs import Graphs
from neural_kernels.features import FeatureMap, Nystrom
from neural_kernels.runtime.types import Array
from neural_kernels.solvers.moments import Moments, RidgePath

KERNELS = ("ntk", "nngp")
_BLOCK = 2**24  # numbers in the features of one block of rows
_JUDGES = 2**14  # rows by which alpha and temperature are chosen
_FEW = 0.2  # of all rows: fewer are no fair sample


class FeatureModel(BaseEstimator):
    """Private base: parameters that describe a map, and reading of input; documented in its subclasses."""

    network: Any
    kernel: str
    n_components: int
    method: Any
    random_state: Any

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        return tags

    def _read(self, X: Any, **options: Any) -> Any:
        """Validate as scikit-learn does, options (y, reset, ...) included; float32, float64 and images are kept."""
        if isinstance(X, Graphs):
            raise TypeError(f"{type(self).__name__} takes arrays, got nk.Graphs, of which there are no feature maps")
        if options.get("reset") is False:
            _inputs.check_shape(self, X, self.map_.shape or ())
        return validate_data(self, X, accept_sparse="csr", dtype=[np.float32, np.float64], allow_nd=True, **options)

    def _set_map(self, rows: Any) -> None:
        """Set `network_` and `map_`, built for data like these."""
        _settings.choice("kernel", self.kernel, KERNELS)
        self.network_ = _settings.network(self.network)
        seed = int(check_random_state(self.random_state).randint(np.iinfo(np.int32).max))
        with _inputs.advice_on_images(rows):
            self.map_ = FeatureMap(self.network_, self.kernel, self.n_components, self.method, seed).fit(rows)  # pyright: ignore[reportArgumentType]
        self.method_, self.reason_ = self.map_.method_, self.map_.reason_


class FeatureRidge(FeatureModel):
    """Private base: the linear model on features."""

    alpha: Any
    memory_budget: int | None
    verbose: int
    moments_: Moments
    loo_scores_: Any

    def _read_training(self, X: Any, y: Any, sample_weight: Any, **options: Any) -> tuple[Any, Any, Array]:
        X, y = self._read(X, y=y, **options)
        weights = _check_sample_weight(sample_weight, X, dtype=np.float64)
        if (weights < 0).any() or not weights.any():
            raise ValueError("sample_weight: expected non-negative numbers, not all 0")
        return X, y, weights

    def _learn(self, X: Any, targets: Array, weights: Array, anew: bool, loo: bool) -> tuple[Examples, Any]:
        """Take in rows and solve anew for `coef_` (o, m) and `intercept_` (o,).

        Returns those of the distinct rows among them by which it judges, and, with `loo`, their exact leave-one-out
        residuals, (rows, o).
        """
        alphas = _settings.alphas(self.alpha)
        examples = Examples.of(X, targets, weights)
        whole = len(examples.support) == X.shape[0]  # then in order, and no copy is needed
        rows = X if whole else X[examples.support]
        if anew:
            self._check_memory(rows, len(alphas) > 1)
            self._set_map(rows)
            self.moments_ = Moments(self.map_.columns, targets.shape[1])
        for block in self._blocks(rows, "features"):
            self.moments_.update(self._features(rows[block]), examples.targets[block], examples.weights[block])
        ridges = alphas * self._scale()
        self.loo_scores_, residuals, best = None, None, 0
        if loo or len(alphas) > 1:
            path = self.moments_.path(ridges)
            judges = self._judges(rows.shape[0], anew)
            rows, examples = (rows, examples) if len(judges) == rows.shape[0] else (rows[judges], examples.take(judges))
            residuals = self._loo_residuals(path, rows, examples)
            if len(alphas) > 1:
                self.loo_scores_ = self._scores(residuals, examples)
                best = int(np.argmax(self.loo_scores_))
            residuals, coefficients, intercept = residuals[best], path.coefficients[best], path.intercepts[best]
        else:
            coefficients, intercept = self.moments_.solve(ridges[0])
        self.alpha_, self.ridge_ = float(alphas[best]), float(ridges[best])
        self.coef_, self.intercept_ = np.ascontiguousarray(coefficients.T), intercept
        return examples, residuals

    def _judges(self, count: int, anew: bool) -> np.ndarray:
        """Rows whose leave-one-out residuals are computed: at most so many, and none that the map learned from.

        A landmark has a column that hardly any other row has a part in: left out, it says nothing of new rows.
        """
        rows = np.arange(count)
        others = np.setdiff1d(rows, self.map_.learned) if anew else rows
        rows = others if len(others) >= _FEW * count else rows
        return rows if len(rows) <= _JUDGES else rows[np.linspace(0, len(rows) - 1, _JUDGES).astype(np.intp)]

    def _warn_if_narrow(self) -> None:
        """After the first of several calls, whose rows alone a map by landmarks knows."""
        if self.map_.columns < self.n_components:
            warnings.warn(
                f"the first call of partial_fit had {self.map_.columns} distinct rows for n_components="
                f"{self.n_components}, and no more columns will ever be used: give it more rows, or a method that "
                "does not learn from data",
                stacklevel=3,
            )

    def _features(self, rows: Any) -> np.ndarray:
        return self.map_(rows)[:, : self.map_.columns]

    def _blocks(self, rows: Any, what: str) -> Iterator[slice]:
        step = _block_rows(self.map_.columns)
        starts = range(0, rows.shape[0], step)
        return (slice(k, k + step) for k in tqdm(starts, desc=what, unit="block", disable=not self.verbose))

    def _scale(self) -> float:
        scale = self.moments_.mean_square
        if not scale > 0:
            raise ValueError(
                f"the features' mean square is {scale:.3g}, expected a positive number: all inputs are 0, or the "
                "network ignores them (with a bias_var > 0 the kernel of zero inputs is positive)"
            )
        return scale

    def _loo_residuals(self, path: RidgePath, rows: Any, examples: Examples) -> Array:
        """A second pass: (r, m, o)."""
        y, w = examples.targets, examples.weights
        if self.moments_.weight <= w.max():
            raise ValueError(
                "leave-one-out needs at least 2 distinct samples, got n_samples=1; give more, or one number as alpha"
            )
        blocks = self._blocks(rows, "leave-one-out")
        return np.concatenate([path.loo_residuals(self._features(rows[b]), y[b], w[b]) for b in blocks], axis=1)

    def _scores(self, residuals: Array, examples: Examples) -> Array:
        """Leave-one-out R^2 of each ridge, averaged over outputs."""
        total = examples.weights @ np.square(examples.targets - self.moments_.target_mean) + examples.scatter
        lost = np.square(residuals).transpose(0, 2, 1) @ examples.weights + examples.scatter
        return (1 - lost / np.where(total > 0, total, 1)).mean(axis=1)

    def _outputs(self, X: Any) -> Array:
        """Predict, (n, o)."""
        check_is_fitted(self)
        X = self._read(X, reset=False)
        return self.map_.project(X, np.atleast_2d(self.coef_).T) + self.intercept_

    def _check_memory(self, rows: Any, several: bool) -> None:
        """Raise before anything large is made."""
        budget = self.memory_budget
        if budget is None:
            return
        if isinstance(budget, bool) or not isinstance(budget, (int, float, np.number)) or not budget > 0:
            raise ValueError(f"memory_budget={budget!r}: expected a positive number of bytes, or None")
        bounded = self.method is None or isinstance(self.method, Nystrom)
        m, itemsize = int(min(self.n_components, rows.shape[0]) if bounded else self.n_components), rows.dtype.itemsize
        need = (itemsize + 8 * (4 if several else 3)) * m * m + 3 * itemsize * _block_rows(m) * m
        if need > budget:
            raise MemoryError(
                f"ridge regression on {m:,} features takes {need:,} bytes; memory_budget is {int(budget):,}. Use fewer "
                f"n_components{', one alpha' if several else ''} or raise the budget."
            )


def _block_rows(columns: int) -> int:
    """So many that passes over the moments, one a block, cost little beside products."""
    return max(256, min(4096, _BLOCK // columns))
