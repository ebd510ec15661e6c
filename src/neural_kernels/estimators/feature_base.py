"""Ridge regression on a feature map, block by block of rows: what regressor and classifier share."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_is_fitted
from tqdm import tqdm

from neural_kernels.estimators import inputs, settings
from neural_kernels.estimators.examples import Examples
from neural_kernels.estimators.scores import r2
from neural_kernels.estimators.selection import AlphaChoice
from neural_kernels.exact.graphs import Graphs
from neural_kernels.features import FeatureMap, Nystrom
from neural_kernels.features.method import Method
from neural_kernels.runtime.types import Array
from neural_kernels.solvers.moments import Moments, RidgePath
from neural_kernels.solvers.system import require_scale

_BLOCK = 2**24  # numbers in the features of one block of rows
_VALIDATION = 2**14  # rows by which alpha and temperature are chosen
_FEW = 0.2  # of all rows: fewer are no fair sample


class FeatureModel(BaseEstimator):
    """Private base: parameters that describe a map, and reading of input; documented in its subclasses."""

    network: Any
    kernel: Any
    n_components: int
    method: Any
    random_state: Any

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = settings.takes_sparse(self.kernel)
        return tags

    def _read(self, X: Any, **options: Any) -> Any:
        """Validate as scikit-learn does, options (y, reset, ...) included; images are kept."""
        if isinstance(X, Graphs):
            raise TypeError(f"{type(self).__name__} takes arrays, got nk.Graphs, of which there are no feature maps")
        if options.get("reset") is False:
            inputs.check_shape(self, X, self.map_.shape or ())
        return inputs.validate(self, X, accept_sparse="csr", allow_nd=True, **options)

    def _set_map(self, rows: Any) -> None:
        """Set `kernel_`, `network_` and `map_`, built for data like these."""
        self.kernel_ = settings.kernel(self.kernel, self.network)
        self.network_ = getattr(self.kernel_, "net", None)
        seed = int(check_random_state(self.random_state).randint(np.iinfo(np.int32).max))
        with inputs.advice_on_images(rows):
            self.map_ = FeatureMap(None, self.kernel_, self.n_components, self.method, seed).fit(rows)
        self.method_, self.reason_ = self.map_.method_, self.map_.reason_


@dataclass(frozen=True)
class TrainingRows:
    """Distinct rows of one call.

    Parameters
    ----------
    data : array of shape (n, ...)
    examples : Examples
        Their targets and weights.
    unlearned : ndarray of int
        Positions of those that the map did not learn from.
    """

    data: Any
    examples: Examples
    unlearned: np.ndarray

    def validation(self) -> TrainingRows:
        """Those whose leave-one-out residuals are computed: not too many, and none that the map learned from.

        A landmark has a column that hardly any other row has a part in: left out, it says nothing of new rows.
        """
        count = len(self.examples.support)
        rows = self.unlearned if len(self.unlearned) >= _FEW * count else np.arange(count)
        if len(rows) > _VALIDATION:
            rows = rows[np.linspace(0, len(rows) - 1, _VALIDATION).astype(np.intp)]
        if len(rows) == count:
            return self
        return TrainingRows(self.data[rows], self.examples.take(rows), np.arange(len(rows)))


class FeatureRidge(FeatureModel):
    """Private base: the linear model on features."""

    alpha: Any
    memory_budget: int | None
    verbose: int
    moments_: Moments
    loo_scores_: Any

    def _read_training(self, X: Any, y: Any, sample_weight: Any, **options: Any) -> tuple[Any, Any, Array]:
        X, y = self._read(X, y=y, **options)
        return X, y, inputs.read_weights(sample_weight, X)

    def _begin(self, X: Any, targets: Array, weights: Array) -> TrainingRows:
        """Build the map for these rows, and take them in: all that is known until `_add`."""
        data, examples = _distinct(X, targets, weights)
        self._check_memory(data, len(settings.alphas(self.alpha)))
        self._set_map(data)
        self.moments_ = Moments(self.map_.columns, targets.shape[1])
        self._accumulate(data, examples)
        return TrainingRows(data, examples, np.setdiff1d(np.arange(data.shape[0]), self.map_.learned))

    def _add(self, X: Any, targets: Array, weights: Array) -> TrainingRows:
        """Take in more rows, with the map and the moments as they are."""
        data, examples = _distinct(X, targets, weights)
        self._accumulate(data, examples)
        return TrainingRows(data, examples, np.arange(data.shape[0]))

    def _accumulate(self, data: Any, examples: Examples) -> None:
        for block in self._blocks(data, "features"):
            self.moments_.update(self._features(data[block]), examples.targets[block], examples.weights[block])

    def _solve(self, rows: TrainingRows) -> None:
        """Set `coef_` (o, m) and `intercept_` (o,) for the only alpha, or for the best of several."""
        alphas = settings.alphas(self.alpha)
        if len(alphas) > 1:
            self._solve_with_residuals(rows)
            return
        chosen = AlphaChoice.of(alphas, self._scale(), np.zeros_like)
        self._use(chosen, *self.moments_.solve(chosen.ridge))

    def _solve_with_residuals(self, rows: TrainingRows) -> tuple[Examples, Array]:
        """As `_solve`; also return some of the rows' examples, and their exact leave-one-out residuals (n, o)."""
        alphas, scale = settings.alphas(self.alpha), self._scale()
        path = self.moments_.path(alphas * scale)
        rows = rows.validation()
        residuals = self._loo_residuals(path, rows)
        chosen = AlphaChoice.of(alphas, scale, lambda _: self._scores(residuals, rows.examples))
        self._use(chosen, path.coefficients[chosen.index], path.intercepts[chosen.index])
        return rows.examples, residuals[chosen.index]

    def _use(self, chosen: AlphaChoice, coefficients: Array, intercept: Array) -> None:
        self.alpha_, self.ridge_, self.loo_scores_ = chosen.alpha, chosen.ridge, chosen.scores
        self.coef_, self.intercept_ = np.ascontiguousarray(coefficients.T), intercept

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
        return require_scale(self.moments_.mean_square, "mean square of the features", inputs.NO_SCALE)

    def _loo_residuals(self, path: RidgePath, rows: TrainingRows) -> Array:
        """Exact residuals of each ridge, (r, n, o), for which the features are computed a second time.

        Where inputs do not vary they are 0: there is nothing to leave out of one row.
        """
        y, w = rows.examples.targets, rows.examples.weights
        if self.moments_.weight <= w.max():  # one row alone: no other could predict it
            return np.zeros((len(path.intercepts), *y.shape))
        blocks = self._blocks(rows.data, "leave-one-out")
        return np.concatenate([path.loo_residuals(self._features(rows.data[b]), y[b], w[b]) for b in blocks], axis=1)

    def _scores(self, residuals: Array, examples: Examples) -> Array:
        """Leave-one-out R^2 of each ridge, averaged over outputs."""
        return r2(residuals, examples, self.moments_.target_mean)

    def _outputs(self, X: Any) -> Array:
        """Predict every output, shape (n, o), also where targets had but one axis."""
        check_is_fitted(self)
        X = self._read(X, reset=False)
        return self.map_.project(X, np.atleast_2d(self.coef_).T) + self.intercept_

    def _check_memory(self, rows: Any, ridges: int) -> None:
        """Raise MemoryError, before anything large is made, if moments, map and blocks exceed `memory_budget`."""
        if self.memory_budget is None:
            return
        budget = settings.as_budget(self.memory_budget)
        method = self.method if isinstance(self.method, Method) else Nystrom()  # None takes it; others, the map refuses
        m, itemsize = method.used_columns(int(self.n_components), rows.shape[0]), rows.dtype.itemsize
        need = Moments.memory(m, ridges) + itemsize * m * m + 3 * itemsize * _block_rows(m) * m
        if need > budget:
            raise MemoryError(
                f"ridge regression on {m:,} features takes {need:,} bytes; memory_budget is {int(budget):,}. Use fewer "
                f"n_components{', one alpha' if ridges > 1 else ''} or raise the budget."
            )


def _distinct(X: Any, targets: Array, weights: Array) -> tuple[Any, Examples]:
    """Rows of positive weight, each once, and their targets and weights."""
    examples = Examples.of(X, targets, weights)
    whole = len(examples.support) == X.shape[0]  # then in order, and no copy is needed
    return (X if whole else X[examples.support]), examples


def _block_rows(columns: int) -> int:
    """So many that passes over the moments, one a block, cost little beside products."""
    return max(256, min(4096, _BLOCK // columns))
