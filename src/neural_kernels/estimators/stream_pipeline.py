"""A pipeline whose steps are fitted to rows in blocks, one pass over the data each."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from sklearn.base import clone, is_classifier, is_regressor
from sklearn.frozen import FrozenEstimator
from sklearn.pipeline import Pipeline
from sklearn.utils import get_tags
from sklearn.utils.metaestimators import available_if
from typing_extensions import override

from neural_kernels.estimators import inputs, settings
from neural_kernels.estimators.block_scores import BlockAccuracy, BlockR2, score_blocks
from neural_kernels.estimators.blocks import gathered, over_blocks
from neural_kernels.estimators.feature_model import FeatureModel
from neural_kernels.sources import Block, RowSource, as_source


def _in_blocks(name: str) -> Any:
    """The method of a pipeline that is the last step's, of blocks as of arrays."""

    def call(self: StreamPipeline, X: Any, **params: Any) -> Any:
        source = self._source(X, None)
        if source is None:
            return getattr(super(StreamPipeline, self), name)(X, **params)
        last, mapped = self.steps[-1][1], _through(source, [step for _, step in self.steps[:-1]])
        method = getattr(last, name)
        if _takes_blocks(last):
            return method(mapped, **params)
        return gathered(over_blocks(mapped, lambda block: method(block.X, **params)), mapped.rows)

    call.__name__, call.__doc__ = name, f"`{name}` of the last step, of rows that have gone through all before."
    return available_if(lambda self: hasattr(self._final_estimator, name))(call)


class StreamPipeline(Pipeline):
    """scikit-learn's `Pipeline` for rows in blocks, too: of files, memory maps, loaders and all that `fit` takes.

    Each step is fitted in a pass over the data of its own, to blocks that have gone through the steps before: by
    `partial_fit`, as that of ``StandardScaler``, ``MinMaxScaler``, ``MaxAbsScaler`` or ``IncrementalPCA``; estimators
    of this library by their `fit`. Steps that learn nothing (``Normalizer``, ``FunctionTransformer``) take no pass. For
    arrays it is a plain `Pipeline`.

    Parameters
    ----------
    steps, transform_input, memory, verbose
        As for ``sklearn.pipeline.Pipeline``.

    Raises
    ------
    TypeError
        A step that has no `partial_fit`: fit it to some rows before, and give ``sklearn.frozen.FrozenEstimator(step)``.
    ValueError
        Blocks that can be read once only, and need be read more often.

    Notes
    -----
    Parameters of the last step's `fit`, such as ``model__checkpoint=path``, go by its name.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn.preprocessing import StandardScaler
    >>> import neural_kernels as nk
    >>> blocks = [(X, np.sin(X[:, 0] / 100)) for X in np.random.default_rng(0).normal(0, 100, size=(10, 300, 2))]
    >>> regressor = nk.NeuralFeatureRegressor(n_components=64, alpha=0.01, random_state=0)
    >>> model = nk.StreamPipeline([("scale", StandardScaler()), ("model", regressor)]).fit(blocks)
    >>> bool(model.score(*blocks[0]) > 0.9)
    True
    """

    _names: Any = None  # of the columns that it was fitted to

    @override
    def fit(self, X: Any, y: Any = None, **params: Any) -> StreamPipeline:
        """Fit all steps, to arrays, or to files or blocks as for :meth:`NeuralFeatureRegressor.fit`."""
        self._names = None
        source = self._source(X, y)
        if source is None:
            return super().fit(X, y, **params)
        self._validate_steps()
        wanted = self._params_of_last(params)
        if source.once and any(_passes(step) for _, step in self.steps[:-1]):
            raise ValueError(
                "these blocks can be read once, and each step takes a pass: give files, a list of blocks, a DataLoader "
                "or an nk.RowSource"
            )
        fitted: list[Any] = []
        for name, step in self.steps[:-1]:
            fitted.append(self._fitted(name, step, _through(source, fitted)))
        last, mapped = self.steps[-1], _through(source, fitted)
        if _takes_blocks(last[1]):
            final = last[1].fit(mapped, **wanted)
        else:
            final = self._fitted(*last, mapped, lambda step, block: step.partial_fit(block.X, block.y, **wanted))
        names = [name for name, _ in self.steps]
        self.steps, self._names = list(zip(names, [*fitted, final], strict=True)), source.names
        return self

    predict = _in_blocks("predict")
    predict_proba = _in_blocks("predict_proba")
    predict_log_proba = _in_blocks("predict_log_proba")
    decision_function = _in_blocks("decision_function")
    transform = _in_blocks("transform")

    @available_if(lambda self: hasattr(self._final_estimator, "score"))
    @override
    def score(self, X: Any, y: Any = None, sample_weight: Any = None, **params: Any) -> float:
        """Score of the last step; of blocks R^2 or accuracy, in one pass, X and y being given as for `fit`."""
        source = self._source(X, y, sample_weight)
        if source is None:
            return super().score(X, y, sample_weight, **params)
        last, mapped = self.steps[-1][1], _through(source, [step for _, step in self.steps[:-1]])
        if not (is_classifier(last) or is_regressor(last)):
            raise TypeError(f"score of blocks: {type(last).__name__} is neither a classifier nor a regressor")
        score = BlockAccuracy() if is_classifier(last) else BlockR2()
        return score_blocks(mapped, last.predict, score, "score" if self.verbose else None)

    def _source(self, X: Any, y: Any, sample_weight: Any = None) -> RowSource | None:
        budget = settings.as_budget(getattr(self._final_estimator, "memory_budget", None))
        return as_source(X, y, sample_weight, numbers=inputs.block_numbers(budget), names=self._names)

    def _fitted(self, name: str, step: Any, source: RowSource, learn: Callable[[Any, Block], Any] | None = None) -> Any:
        """A step that has learned from all blocks; one that is fitted stays as it is."""
        if _takes_blocks(step):
            return step.fit(source)
        if learn is None and not _passes(step):
            return step
        if not hasattr(step, "partial_fit"):
            raise TypeError(
                f"step {name!r}, {type(step).__name__}, has no partial_fit to learn from blocks: fit it to some rows "
                "before, and give sklearn.frozen.FrozenEstimator(step) in its place"
            )
        new: Any = clone(step)
        take = learn or (lambda step, block: step.partial_fit(block.X))
        for _ in over_blocks(source, lambda block: take(new, block), name if self.verbose else None):
            pass
        return new

    def _params_of_last(self, params: dict[str, Any]) -> dict[str, Any]:
        prefix = f"{self.steps[-1][0]}__"
        foreign = [name for name in params if not name.startswith(prefix)]
        if foreign:
            raise TypeError(f"{foreign[0]}: of blocks, parameters of the last step alone are taken, {prefix}name=value")
        return {name.removeprefix(prefix): value for name, value in params.items()}


def _takes_blocks(step: Any) -> bool:
    """Whether a step's own methods take blocks."""
    return isinstance(step, FeatureModel)


def _passes(step: Any) -> bool:
    """Whether a step has something to learn."""
    if step is None or isinstance(step, str | FrozenEstimator):
        return False
    return get_tags(step).requires_fit


def _through(source: RowSource, steps: list[Any]) -> RowSource:
    """The rows behind some steps."""
    for step in steps:
        if step is not None and not isinstance(step, str):  # "passthrough"
            source = source.mapped(step.transform)
    return source
