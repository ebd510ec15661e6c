"""Categories: which values are levels of their own, and their indicators."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

import numpy as np

from neural_kernels.tables.values import Column


@dataclass(frozen=True)
class LevelCode:
    """An indicator of each level, 0 or 1; what is none of them has the last, or none.

    Of two that add up to one the second stands for both.

    Parameters
    ----------
    levels : tuple of str or None
        The most frequent first; None is a missing value.
    pooled : bool
        Whether there is a last one, for levels that are too rare for one of their own.
    """

    levels: tuple[str | None, ...]
    pooled: bool

    @classmethod
    def of(cls, column: Column, min_rows: int, max_levels: int) -> LevelCode:
        """Keep the most frequent levels of `min_rows` rows each, or of a twentieth of all where that is less."""
        labels = column.labels()
        counts = Counter(labels)
        least = min(min_rows, -(-len(labels) // 20))
        ranked = sorted(counts, key=lambda level: (-counts[level], level is not None, level or ""))
        kept = [level for level in ranked if counts[level] >= least][:max_levels]
        return cls(tuple(kept), len(kept) < len(ranked))

    def encode(self, column: Column) -> np.ndarray:
        """Indicators, shape (n, levels)."""
        labels = column.labels()
        place = {level: k for k, level in enumerate(self.levels)}
        rest = len(place) if self.pooled else -1
        codes = np.fromiter((place.get(value, rest) for value in labels), dtype=np.intp, count=len(labels))
        indicators = np.zeros((len(labels), len(place) + self.pooled))
        rows = np.flatnonzero(codes >= 0)
        indicators[rows, codes[rows]] = 1
        return indicators[:, self._first :]

    def names(self, name: str) -> list[str]:
        """Names of the columns, as ``colour=red``."""
        own = ["missing" if level is None else level for level in self.levels]
        return [f"{name}={level}" for level in [*own, *["infrequent"] * self.pooled][self._first :]]

    @property
    def _first(self) -> int:
        return int(len(self.levels) + self.pooled == 2)
