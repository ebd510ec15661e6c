"""What a model knows of the rows it has seen, apart from solving: additive, and new with every call."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from neural_kernels.estimators.built import Built, ClassesApart, block_rows, features
from neural_kernels.estimators.row_table import RowTable, joined
from neural_kernels.features import FeatureMap

_SAMPLE = 2**14  # rows at most that are kept,
_NUMBERS = 2**23  # and numbers in them,
_FEWEST = 2**10  # but so many rows in any case
_PARTS = 256  # tables that wait to be joined

BALANCED = 'class_weight="balanced": fit weighs the rows it has, once for all; begin streams with partial_fit'


@dataclass(frozen=True)
class Accumulation:
    """Rows seen so far. The first distinct ones are kept as they are, and the model is that of `fit` to them.

    When there are more than `size`, the map is built; from there on all rows go into the moments, block by block, and
    a uniform sample of `size` distinct rows is kept beside them, by which alpha and probabilities are chosen. The
    sample does not depend on the order of the rows or on the calls they came in.

    Parameters
    ----------
    build : callable
        Makes the feature map of the first rows.
    seed : int
        Of the sample.
    size : int
        Distinct rows that are kept.
    kept : tuple of RowTable
        All rows, or the sample; its parts are joined and sampled when that pays.
    limit : int
        Rows of larger keys are not in the sample.
    built : Built, ClassesApart or None
        None while all rows are kept.
    waiting : tuple of RowTable
        Rows that are not yet in the moments, too few for a block.
    verbose : bool
        Whether progress bars are shown.
    apart : bool
        Whether sums are taken for each class, whose weights are not known yet.
    """

    build: Callable[[Any], FeatureMap]
    seed: int
    size: int
    verbose: bool = False
    apart: bool = False
    kept: tuple[RowTable, ...] = ()
    limit: int = 2**64 - 1
    built: Built | ClassesApart | None = None
    waiting: tuple[RowTable, ...] = ()

    def add(self, rows: RowTable) -> Accumulation:
        """Take in rows, of which nothing is kept that others could write over."""
        if self.built is None:
            return self._gather(rows)
        waiting = (*self.waiting, rows)
        full = sum(map(len, waiting)) >= block_rows(self.built.map.columns)
        sampled = self._sample(rows.take(np.flatnonzero(rows.keys <= np.uint64(self.limit))))
        if full:
            return replace(sampled, built=self.built.add(joined(waiting), self.verbose), waiting=())
        return replace(sampled, waiting=(*self.waiting, rows.owned()))

    def _gather(self, rows: RowTable) -> Accumulation:
        """While all rows are kept."""
        kept = (*self.kept, rows)
        if sum(map(len, kept)) > self.size:
            every = joined(kept)
            if every.distinct > self.size:
                built = (ClassesApart if self.apart else Built).of(every, self.build, self.verbose)
                return replace(self, built=built, kept=())._sample(every)
            return replace(self, kept=(every.merged(),))
        kept = (*self.kept, rows.owned())
        return replace(self, kept=(joined(kept).merged(),) if len(kept) > _PARTS else kept)

    def _sample(self, rows: RowTable) -> Accumulation:
        """Keep those of the rows that belong to the sample."""
        if not len(rows):
            return self
        kept = (*self.kept, rows)
        if sum(map(len, kept[1:])) < self.size // 4 and 1 < len(kept) <= _PARTS:
            return replace(self, kept=kept)
        sample = joined(kept).sample(self.size)
        return replace(self, kept=(sample,), limit=int(sample.keys.max()) if len(sample) == self.size else self.limit)

    def merge(self, other: Accumulation) -> Accumulation:
        """Take in what another one has seen.

        Raises
        ------
        ValueError
            Both have a map, and these are two.
        """
        if self.apart != other.apart:
            raise ValueError(BALANCED)
        if self.built is None and other.built is not None:
            return other.merge(self)
        if self.built is None or other.built is None:
            result = self
            for table in other.kept:
                result = result.add(table.keyed(self.seed) if other.seed != self.seed else table)
            return result
        if self.seed != other.seed or not _same(self.built.map, other.built.map, other.kept[0].data[:8]):
            raise ValueError(
                "models with two feature maps cannot be merged: give each machine an empty_copy() of one model"
            )
        merged: Any = self.built.merge(other.built)  # pyright: ignore[reportArgumentType]  (both are of one kind)
        result = replace(self, built=merged, waiting=self.waiting + other.waiting)
        for table in other.kept:
            result = result._sample(table)
        return result

    def with_outputs(self, place: np.ndarray, outputs: int, value: float) -> Accumulation:
        """With targets of more columns, those there are at new places: the others had one value in all rows."""
        kept, waiting = (
            tuple(table.with_outputs(place, outputs, value) for table in tables) for tables in (self.kept, self.waiting)
        )
        built = self.built and self.built.with_outputs(place, outputs, value)
        return replace(self, kept=kept, waiting=waiting, built=built)

    def learning_from(self, sample: RowTable, outputs: int) -> Accumulation:
        """One that has seen no rows, with the map of a sample of those that will come."""
        rows = replace(sample.keyed(self.seed), targets=np.zeros((len(sample), outputs)))
        rows = replace(rows, scatter=rows.targets)
        return replace(self, built=Built.begun(rows, self.build, self.verbose), kept=(rows,)).emptied(None)

    def emptied(self, solved: Built | None) -> Accumulation:
        """One that has seen no rows, with the map that was solved with, or else that of the rows so far."""
        settled = self.settled()
        rows, built = settled.kept[0], solved or settled.built or Built.begun(settled.kept[0], self.build, self.verbose)
        start = built.parts[0].emptied() if isinstance(built, ClassesApart) else built.emptied()
        sums = ClassesApart((start,) * rows.targets.shape[1]) if self.apart else start
        return replace(self, kept=(rows.take(slice(0)),), limit=2**64 - 1, built=sums, waiting=())

    def settled(self) -> Accumulation:
        """The same with every row of positive weight where it belongs, as solving needs it."""
        every = joined(self.kept)
        if not len(every):
            raise ValueError("no rows so far, or none of a sample_weight above zero: expected one at least")
        if self.built is None:
            return replace(self, kept=(every.merged(),))
        built = self.built.add(joined(self.waiting), self.verbose) if self.waiting else self.built
        return replace(self, kept=(every.sample(self.size),), built=built, waiting=())

    @property
    def sums(self) -> int:
        """How many moments there are, or will be."""
        return self.kept[0].targets.shape[1] if self.apart and self.kept else 1

    @property
    def shape(self) -> tuple[int, ...]:
        """Of one example."""
        return tuple(self.kept[0].data.shape[1:])


def sample_size(example: int, columns: int, budget: float) -> int:
    """How many rows are kept, for examples of so many numbers: 16,384, or as many as 2^23 numbers or memory take.

    At least as many as the map has columns: those that are made of rows need them.
    """
    return max(_FEWEST, columns, min(_SAMPLE, int(min(_NUMBERS, budget / 64)) // max(1, example)))


def _same(one: FeatureMap, other: FeatureMap, rows: Any) -> bool:
    """Whether two maps agree on rows, up to the rounding of other machines."""
    if one.columns != other.columns:
        return False
    first, second = features(one, rows), features(other, rows)
    return bool(np.allclose(first, second, rtol=0, atol=1e-3 * np.abs(first).max(initial=0)))
