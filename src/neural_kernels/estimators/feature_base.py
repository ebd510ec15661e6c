"""Ridge regression on a feature map, rows in parts: what regressor and classifier share."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np
from sklearn.utils.validation import check_is_fitted
from typing_extensions import override

from neural_kernels.estimators import inputs, settings
from neural_kernels.estimators.accumulation import Accumulation
from neural_kernels.estimators.built import Built, ClassesApart, block_rows, blocks, features, squared_norms
from neural_kernels.estimators.calibration import Calibration
from neural_kernels.estimators.examples import Examples
from neural_kernels.estimators.feature_blocks import BlocksModel
from neural_kernels.estimators.input_gradients import InputGradients, gradients_on_features
from neural_kernels.estimators.map_properties import MapProperties
from neural_kernels.estimators.region import Region
from neural_kernels.estimators.row_table import RowTable
from neural_kernels.estimators.scores import SCORES
from neural_kernels.estimators.selection import AlphaChoice
from neural_kernels.features import FeatureMap, Nystrom
from neural_kernels.features.method import Method
from neural_kernels.runtime.lazy import cached_property
from neural_kernels.runtime.types import Array, Shape
from neural_kernels.solvers.moments import Moments
from neural_kernels.solvers.ridge_path import RidgePath
from neural_kernels.solvers.system import require_scale


@dataclass(frozen=True)
class Solution:
    """What a model predicts with.

    Parameters
    ----------
    built : Built
        The map, and the moments that were solved with.
    choice : AlphaChoice
    coefficients : ndarray of shape (m, o)
    intercept : ndarray of shape (o,)
    calibration : Calibration or None
        Of a classifier.
    """

    built: Built
    choice: AlphaChoice
    coefficients: Array
    intercept: Array
    calibration: Calibration | None = None

    @cached_property
    def path(self) -> RidgePath:
        """Of the ridge in use: the factor of the moments, which uncertainty takes."""
        if self.built.moments is None:
            raise ValueError("moments_ was deleted, and with it what uncertainty is computed from: call fit")
        return self.built.moments.path([self.choice.ridge])


class FeatureRidge(InputGradients, MapProperties, BlocksModel):
    """Private base: the linear model on features.

    Calls with rows accumulate them; they are solved with when something is read that depends on the solution.
    Both states are immutable and replaced as a whole: a call that is interrupted leaves what was there.
    """

    scorings: ClassVar[tuple[str, ...]]  # the leave-one-out scores that alphas are chosen by; the first is the default
    alpha: Any
    selection: Any
    scoring: Any
    memory_budget: int | None
    _solution: Solution | None = None

    def __sklearn_is_fitted__(self) -> bool:
        return self._accumulation is not None or self._solution is not None

    def finalize(self) -> Any:
        """Solve now for the rows seen so far, in place of when a result is first asked for; return the model.

        More rows may follow.
        """
        self._solved()
        return self

    @property
    @override
    def map_(self) -> FeatureMap:
        """The feature map."""
        return self._solved().built.map

    @property
    def moments_(self) -> Moments:
        """Sums of products of the features."""
        return self._solved().built.moments

    @moments_.deleter
    def moments_(self) -> None:
        solution = self._solved()
        self._solution = replace(solution, built=replace(solution.built, moments=None))
        self._accumulation = None

    @property
    def alpha_(self) -> float:
        """The alpha in use."""
        return self._solved().choice.alpha

    @property
    def ridge_(self) -> float:
        """The ridge that it means."""
        return self._solved().choice.ridge

    @property
    def alphas_(self) -> Array:
        """Those that it was chosen from."""
        return settings.alphas_of_features(self.alpha, self._shape)

    @property
    def loo_scores_(self) -> Any:
        """Leave-one-out scores of every alpha."""
        return self._solved().choice.scores

    @property
    def coef_(self) -> Array:
        """Coefficients of the features."""
        return np.ascontiguousarray(self._solved().coefficients.T)

    @property
    def intercept_(self) -> Any:
        """What is added to them."""
        return self._solved().intercept

    def _read_training(self, X: Any, y: Any, sample_weight: Any, reset: bool, **options: Any) -> tuple[Any, Any, Array]:
        X, y = self._read(X, None if reset else self._shape, y=y, reset=reset, **options)
        return X, y, inputs.read_weights_of_part(sample_weight, X)

    @property
    def _shape(self) -> Shape:
        """Of one example."""
        return self.map_.shape or () if self._accumulation is None else self._accumulation.shape

    def _begin(self, X: Any, targets: Array, weights: Array, apart: bool = False) -> None:
        """Forget what was seen, and take in rows."""
        settings.alphas_of_features(self.alpha, X.shape[1:])
        settings.criterion(self.selection, self.scoring, self.scorings)
        build, seed = self._map_builder()
        self._accumulation = Accumulation(build, seed, self._rows_kept(X), bool(self.verbose), apart)
        if self._sample is not None:
            self._accumulation = self._accumulation.learning_from(self._sample, targets.shape[1])
        self._warn_of_scales(X)
        self._region = None
        self._add(X, targets, weights)

    def _add(self, X: Any, targets: Array, weights: Array) -> None:
        """Take in more rows."""
        assert self._accumulation is not None
        inputs.require_squares(X)
        before = [table.targets.shape[1] for table in self._accumulation.kept[:1]]
        if before not in ([], [targets.shape[1]]):
            raise ValueError(f"y has {targets.shape[1]} outputs, that of the rows before {before[0]}")
        rows = RowTable.of(X, targets, weights, self._accumulation.seed)
        self._check_memory(sum(map(len, self._accumulation.kept)) + len(rows), X)
        self._accumulation, self._solution = self._accumulation.add(rows), None
        self._region = Region.of(X) if self._region is None else self._region.around(X)

    @override
    def _solved(self) -> Solution:
        """Solve, if rows were added since that was done."""
        check_is_fitted(self)
        if self._solution is None:
            settled, rows, built = self._summed()
            self._solution = self._solve(built, built.judges(rows))
            self._accumulation = settled
        return self._solution

    def _summed(self) -> tuple[Accumulation, RowTable, Built]:
        """What was seen, the rows that are kept of it, and the sums over all of them."""
        assert self._accumulation is not None
        settled = self._accumulation.settled()
        rows, built = self._weighted(settled)
        if built is None:
            self._check_memory(len(rows), rows.data)
            built = Built.of(rows, settled.build, settled.verbose)
        return settled, rows, built

    def _weighted(self, settled: Accumulation) -> tuple[RowTable, Built | None]:
        """The rows that are kept and the sums, as they are solved with."""
        assert not isinstance(settled.built, ClassesApart)
        return settled.kept[0], settled.built

    def _solve(self, built: Built, judges: RowTable) -> Solution:
        """Find the coefficients for the only alpha, or for the best of several."""
        alphas = settings.alphas_of_features(self.alpha, built.map.shape or ())
        if len(alphas) > 1:
            return self._solve_with_residuals(built, judges)[0]
        chosen = AlphaChoice.of(alphas, _scale(built), np.zeros_like)
        return Solution(built, chosen, *built.moments.solve(chosen.ridge))

    def _solve_with_residuals(self, built: Built, judges: RowTable) -> tuple[Solution, Examples, Array]:
        """As `_solve`; also return the judges that lie not far outside, and their exact leave-one-out residuals.

        The error of a row far outside the others, which is as large as its norm, would outvote all of them. Alphas of
        the grid that are too small to solve with are passed over.
        """
        alphas, scale = settings.alphas_of_features(self.alpha, built.map.shape or ()), _scale(built)
        usable = built.moments.solvable(alphas * scale) if self.alpha is None else np.arange(len(alphas))
        criterion = settings.criterion(self.selection, self.scoring, self.scorings)
        path = built.moments.path(alphas[usable] * scale)
        residuals, typical = self._loo_residuals(path, built, judges)
        examples, residuals = judges.examples.take(typical), residuals[:, typical]
        if criterion == settings.EVIDENCE:
            chosen = AlphaChoice.of(alphas, scale, lambda _: path.evidence.log_likelihood, usable)
        else:
            score, mean = SCORES[criterion], built.moments.target_mean
            chosen = AlphaChoice.of(alphas, scale, lambda _: score(residuals, examples, mean), usable)
        index = int(np.searchsorted(usable, chosen.index))
        return Solution(built, chosen, path.coefficients[index], path.intercepts[index]), examples, residuals[index]

    def _loo_residuals(self, path: RidgePath, built: Built, judges: RowTable) -> tuple[Array, np.ndarray]:
        """Exact residuals of each ridge, (r, n, o), for which the features are computed a second time.

        Also which rows, by position, do not lie far outside the others. Where inputs do not vary, residuals are 0:
        there is nothing to leave out of one row.
        """
        y, w = judges.targets, judges.weights
        if built.moments.weight <= w.max():  # one row alone: no other could predict it
            return np.zeros((len(path.intercepts), *y.shape)), np.arange(len(y))
        parts, typical = [], []
        for block in blocks(len(judges), built.map.columns, "leave-one-out" if self.verbose else None):
            phi = features(built.map, judges.data[block])
            parts.append(path.loo_residuals(phi, y[block], w[block]))
            typical.append(squared_norms(phi) <= built.largest)
        inside = np.flatnonzero(np.concatenate(typical))
        return np.concatenate(parts, axis=1), inside if len(inside) else np.arange(len(y))

    def _outputs(self, X: Any) -> Array:
        """Predict every output, shape (n, o), also where targets had but one axis."""
        return self._of_rows(X, self._outputs_of)

    def _outputs_of(self, X: Any) -> Array:
        X = self._read(X, self._shape, reset=False)
        solution = self._solved()
        outputs = solution.built.map.project(X, solution.coefficients) + solution.intercept
        self._region.warn_if_outside(X, self.kernel_)
        return outputs

    @override
    def _input_gradients(self, X: Any, along: Array | None = None) -> Array:
        check_is_fitted(self)
        if X is None:
            raise ValueError("X=None: the model does not keep its rows; give rows to average over")
        X = self._read(X, self._shape, reset=False)
        solution = self._solved()
        return gradients_on_features(solution.built.map, solution.coefficients, X, along)

    def _check_memory(self, rows: int, X: Any) -> None:
        """Raise MemoryError, before anything large is made, if moments, map and blocks exceed `memory_budget`."""
        if self.memory_budget is None:
            return
        budget, itemsize = settings.as_budget(self.memory_budget), X.dtype.itemsize
        ridges = len(settings.alphas_of_features(self.alpha, X.shape[1:]))
        method = self.method if isinstance(self.method, Method) else Nystrom()  # None takes it; others, the map refuses
        m = method.used_columns(self._widest, rows)
        sums = 1 if self._accumulation is None else self._accumulation.sums
        need = (
            Moments.memory(m, ridges)
            + (8 * (sums + 1) * m * m if sums > 1 else 0)
            + itemsize * m * m
            + 3 * itemsize * block_rows(m) * m  # features, the kernel that they are made of, and room
        )
        if need > budget:
            raise MemoryError(
                f"ridge regression on {m:,} features takes {need:,} bytes; memory_budget is {int(budget):,}. Use fewer "
                f"n_components{', one alpha' if ridges > 1 else ''} or raise the budget."
            )


def _scale(built: Built) -> float:
    return require_scale(built.scale, "mean square of the features", inputs.NO_SCALE)
