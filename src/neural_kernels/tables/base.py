"""What models of tables share: numbers of a frame, the search for a kernel, and a model with it."""

from __future__ import annotations

import warnings
from abc import abstractmethod
from typing import Any, ClassVar

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.pipeline import Pipeline
from sklearn.utils import _safe_indexing
from sklearn.utils.validation import check_consistent_length, check_is_fitted
from tqdm.auto import tqdm

from neural_kernels.checks import require_number
from neural_kernels.errors import ScaleWarning
from neural_kernels.estimators import inputs
from neural_kernels.estimators.examples import Examples
from neural_kernels.exact import Kernel
from neural_kernels.features import Nystrom
from neural_kernels.runtime.boundary import refuse_lazy
from neural_kernels.runtime.types import Array
from neural_kernels.tables.blend import blend, tempered
from neural_kernels.tables.candidates import Candidate, Candidates
from neural_kernels.tables.deadline import Deadline
from neural_kernels.tables.pipeline import table_pipeline
from neural_kernels.tables.report import Choice, TableReport

SEARCHED = 2_000  # rows by which kernels are judged,
EXACT = 15_000  # rows up to which the model is exact,
COLUMNS = 4_096  # and landmarks beyond;
HURRIED = 5_000, 1_024  # both where the time budget ended the search: the last fit costs some twentieth then


class TableModel(BaseEstimator):
    """Private base: the parameters are documented in its subclasses, which say what targets mean."""

    criterion: ClassVar[str]
    time_budget: float | None
    memory_budget: int | None
    verbose: int

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = tags.input_tags.string = tags.input_tags.categorical = True
        return tags

    @abstractmethod
    def _judge(self, candidates: list[Candidate], examples: Examples) -> tuple[Array, Array]:
        """Mean negative log-likelihoods of what was held out, and scores as users know them."""

    @abstractmethod
    def _model(self, kernel: Kernel, alpha: Any, columns: int | None) -> Any:
        """The model with the kernel, unfitted: exact, or with so many landmarks."""

    def _fit_table(self, X: Any, y: Any, targets: Array, sample_weight: Any) -> None:
        """Set the steps, and all that tells of the search; targets are those that kernels are judged by, (n, o)."""
        if self.time_budget is not None:
            require_number(self, time_budget=self.time_budget)
        refuse_lazy(X, "X")
        check_consistent_length(X, y)
        deadline = Deadline(self.time_budget)
        weights = inputs.read_weights(sample_weight, targets)
        with tqdm(desc="columns", disable=not self.verbose) as bar:
            numbers = self._fit_steps(X, weights)
            sample = _sample(weights)
            choice = self._choose(numbers[sample], targets[sample], weights[sample], deadline, bar)
            used = int(np.count_nonzero(weights))
            columns, alpha = self._columns(used, choice.complete), choice.whole.alpha
            asked = [alpha, alpha / 10**0.5] if used > len(sample) else alpha  # the more rows, the smaller
            self.model_ = self._model(choice.kernel, None if columns else asked, columns)
            bar.set_description(f"fit to {used:,} rows, " + (f"{columns:,} landmarks" if columns else "exact"))
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", ScaleWarning)  # a metric gives columns different scales
                self.model_.fit(numbers, y, sample_weight=weights)
            bar.set_description("importances")
            self.feature_importances_ = self._importances(choice)
            bar.set_description("done")
        self.report_ = TableReport.of(choice, numbers.shape, self.criterion, self._reason(used))

    def _fit_steps(self, X: Any, weights: Array) -> Array:
        """Fit encoder and scaler to the rows that count; what they make of all."""
        counted = X if weights.all() else _safe_indexing(X, np.flatnonzero(weights))
        self.encoder_, self.scaler_ = (step for _, step in table_pipeline(None).steps[:-1])
        self.scaler_.fit(self.encoder_.fit_transform(counted), sample_weight=weights[weights > 0])
        self.n_features_in_ = self.encoder_.n_features_in_
        if (names := getattr(self.encoder_, "feature_names_in_", None)) is not None:
            self.feature_names_in_ = names
        return self._numbers(X)

    def _choose(self, numbers: Array, targets: Array, weights: Array, deadline: Deadline, bar: tqdm) -> Choice:
        """Judge kernels by some rows until the deadline, and sum up the best."""
        examples = Examples.of(numbers, targets, weights)
        search = Candidates(numbers[examples.support], examples, deadline)
        candidates: list[Candidate] = []
        bar.reset(search.count)
        bar.set_description(f"kernels, by {len(search.X):,} rows")
        for found in search:
            candidates.append(found)
            bar.update()
        complete = not deadline.passed
        losses, scores = self._judge(candidates, examples)
        mass = np.square(examples.weights.sum()) / np.square(examples.weights).sum()
        shares = tempered(candidates, losses, mass)
        kernel = blend(candidates, shares)
        bar.set_description("their sum")
        begin = None if complete else candidates[int(shares.argmax())]  # by its alpha, which is quicker
        whole = search.judge("sum", kernel, begin)
        score = float(self._judge([whole], examples)[1][0])
        return Choice(search, candidates, scores, shares, kernel, whole, score, deadline.elapsed, complete)

    def _columns(self, rows: int, complete: bool) -> int | None:
        """Landmarks of the model; None where it solves with the Gram matrix, of which three are in memory at once."""
        most, columns = (EXACT, COLUMNS) if complete else HURRIED
        fits = self.memory_budget is None or 24 * rows**2 <= self.memory_budget
        return None if rows <= most and fits else columns

    def _reason(self, rows: int) -> str:
        columns = getattr(self.model_, "n_components_", None)
        if columns is None:
            return f"the model is exact: {self.model_.solver_reason_}"
        why = "a matrix of all pairs of rows would be too large"
        if self._columns(rows, complete=True) is None:
            why = "the time budget had ended the search"
        return f"the model has {columns:,} landmarks: {why}"

    def _importances(self, choice: Choice) -> Array:
        """Mean squares of gradients times variances, summed over what became of a column; their sum is 1."""
        moved = choice.search.mean_squares(choice.whole) * choice.search.variances
        origin = self.encoder_.groups_[self.scaler_.groups_]
        summed = np.bincount(origin, moved, minlength=self.encoder_.n_features_in_)
        return summed / total if (total := summed.sum()) else np.full(len(summed), 1 / len(summed))

    @property
    def pipeline_(self) -> Pipeline:
        """Encoder, scaler and model, fitted, as the pipeline that they are."""
        check_is_fitted(self)
        return Pipeline([("encode", self.encoder_), ("scale", self.scaler_), ("model", self.model_)])

    def _numbers(self, X: Any) -> Array:
        """A table as float64."""
        check_is_fitted(self, "scaler_")
        return np.asarray(self.scaler_.transform(self.encoder_.transform(X)), dtype=np.float64)

    def _asked(self, name: str, X: Any, *given: Any, **options: Any) -> Any:
        numbers = self._numbers(X)  # first, which tells whether there is a model
        return getattr(self.model_, name)(numbers, *given, **options)

    def predict(self, X: Any) -> Any:
        """Predict for the rows of a table."""
        return self._asked("predict", X)

    def novelty(self, X: Any) -> Array:
        """How new rows are, shape (n,): about 1 if they are like the training rows; see `NeuralKernelRegressor`."""
        return self._asked("novelty", X)


def _sample(weights: Array) -> np.ndarray:
    """Rows of positive weight to search with, ascending: all, or some drawn by lot, always the same."""
    used = np.flatnonzero(weights)
    if len(used) <= SEARCHED:
        return used
    return np.sort(np.random.default_rng(0).choice(used, SEARCHED, replace=False))


def require_targets(estimator: object, y: Any) -> None:
    """Raise ValueError where there are none, TypeError where they are not computed yet."""
    refuse_lazy(y, "y")
    if y is None:
        raise ValueError(f"{type(estimator).__name__} requires y to be passed, but the target y is None")


def landmarks(columns: int) -> dict[str, Any]:
    """Settings of the models on features."""
    return {"method": Nystrom(), "n_components": columns}
