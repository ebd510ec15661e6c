"""Models on features whose rows come in blocks, from files, memory maps and generators."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from numbers import Integral
from typing import Any

import numpy as np

from neural_kernels.estimators import inputs
from neural_kernels.estimators.blocks import over_blocks
from neural_kernels.estimators.checkpoints import ResumedFit
from neural_kernels.estimators.feature_parts import PartsModel
from neural_kernels.estimators.row_sample import RowSample
from neural_kernels.estimators.row_table import RowTable
from neural_kernels.sources import Block, RowSource

Take = Callable[[Any, Any, Any], None]  # what takes in rows: X, y and weights, the first or others


class BlocksModel(PartsModel):
    """Private base: what was seen of the rows is added to, block by block."""

    verbose: int
    _sample: RowTable | None = None  # while blocks are fitted to: rows for the map

    def _fit_blocks(self, X: Any, y: Any, sample_weight: Any, take: Take, checkpoint: Any) -> bool:
        """Forget what was seen and take in all blocks, if X stands for such; say whether it does."""
        for name in ("n_features_in_", "feature_names_in_"):
            vars(self).pop(name, None)
        source = self._source(X, y, sample_weight)
        if source is None and checkpoint is None:
            return False
        if source is None:
            raise ValueError(
                "checkpoint: expected rows in blocks, such as files, a memory map or [(X, y)]; got an array"
            )
        self._accumulation = self._solution = None
        resumed = None if checkpoint is None else ResumedFit(self, checkpoint)
        self._sample = self._surveyed(source)
        self._take_blocks(source, take, resumed)
        del self._sample
        return True

    def _surveyed(self, source: RowSource) -> RowTable | None:
        """Rows for a map to learn from, drawn from all; None where all are kept, or are read but once."""
        if source.once or not source.steady:
            return None
        seed = self._map_builder()[1] if isinstance(self.random_state, Integral) else 0
        sample: RowSample | None = None
        for X, weights in over_blocks(source, self._rows_of, self._title and f"{self._title}, a first look"):
            sample = sample or RowSample(self._rows_kept(X), seed)
            sample.add(X, weights)
        assert sample is not None
        rows = sample.rows()
        return None if sample.whole else rows

    def _rows_of(self, block: Block) -> tuple[Any, Any]:
        X = self._read(block.X, reset=True)
        return X, inputs.read_weights_of_part(block.weight, X)

    def _add_blocks(self, X: Any, y: Any, sample_weight: Any, take: Take) -> bool:
        """Take in all blocks, beside what was seen, if X stands for such; say whether it does."""
        source = self._source(X, y, sample_weight)
        if source is not None:
            self._take_blocks(source, take, None)
        return source is not None

    def _take_blocks(self, source: RowSource, take: Take, resumed: ResumedFit | None) -> None:
        """Take in all blocks; one bar shows the progress of all, and none that of each."""

        def learn(block: Block) -> None:
            if resumed is None:
                self._take_block(block, take)
            else:
                resumed.take(block, lambda: self._take_block(block, take))

        for _ in over_blocks(source, learn, self._title):
            pass
        if resumed is not None:
            resumed.finish()
        assert self._accumulation is not None
        self._accumulation = replace(self._accumulation, verbose=bool(self.verbose))
        if source.names is not None:
            self.feature_names_in_ = np.asarray(source.names, dtype=object)

    def _take_block(self, block: Block, take: Take) -> None:
        if block.y is None:
            raise ValueError("no targets: expected blocks (X, y) or (X, y, weight)")
        if self._accumulation is not None:
            self._accumulation = replace(self._accumulation, verbose=False)
        take(block.X, block.y, block.weight)

    @property
    def _title(self) -> str | None:
        return type(self).__name__ if self.verbose else None
