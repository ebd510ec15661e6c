"""Models on features whose rows come in blocks, from files, memory maps and generators."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

from neural_kernels.estimators import settings
from neural_kernels.estimators.accumulation import sample_size
from neural_kernels.estimators.blocks import over_blocks
from neural_kernels.estimators.feature_parts import PartsModel
from neural_kernels.sources import Block, RowSource
from neural_kernels.sources.arrays import ArrayRows

_SEED = 0  # of the rows of an array that come first


Take = Callable[[Any, Any, Any], None]  # what takes in rows: X, y and weights, the first or others


class BlocksModel(PartsModel):
    """Private base: what was seen of the rows is added to, block by block."""

    verbose: int

    def _fit_blocks(self, X: Any, y: Any, sample_weight: Any, take: Take) -> bool:
        """Forget what was seen and take in all blocks, if X stands for such; say whether it does."""
        for name in ("n_features_in_", "feature_names_in_"):
            vars(self).pop(name, None)
        source = self._source(X, y, sample_weight)
        if source is None:
            return False
        self._accumulation = self._solution = None
        if isinstance(source, ArrayRows):
            source = source.begun_by_sample(self._kept_at_most(source) + 1, _SEED)
        self._take_blocks(source, take)
        return True

    def _add_blocks(self, X: Any, y: Any, sample_weight: Any, take: Take) -> bool:
        """Take in all blocks, beside what was seen, if X stands for such; say whether it does."""
        source = self._source(X, y, sample_weight)
        if source is not None:
            self._take_blocks(source, take)
        return source is not None

    def _take_blocks(self, source: RowSource, take: Take) -> None:
        """Take in all blocks; one bar shows the progress of all, and none that of each."""
        for _ in over_blocks(source, lambda block: self._take_block(block, take), self._title):
            pass
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

    def _kept_at_most(self, source: ArrayRows) -> int:
        """How many rows are kept before the map is made of them."""
        example = math.prod(source.example)
        return sample_size(example, self._widest, settings.as_budget(getattr(self, "memory_budget", None)))
