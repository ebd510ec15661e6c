"""What becomes of a column: numbers, ordered categories, dates; categories without order are in `levels`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np

from neural_kernels.tables.values import DAY, Column

_YEAR = 365.2425  # days
_CYCLES = {"year": _YEAR, "week": 7.0, "day": 1.0}  # days


class Code(Protocol):
    """Columns of numbers that stand for a column of a table."""

    def encode(self, column: Column) -> np.ndarray:
        """Numbers, shape (n, k)."""
        ...

    def names(self, name: str) -> list[str]:
        """Their names, made from that of the column."""
        ...


@dataclass(frozen=True)
class NumberCode:
    """Numbers as they are, NaN for missing ones; truth as 0 and 1, durations in days, times in hours."""

    def encode(self, column: Column) -> np.ndarray:
        """Numbers, shape (n, 1)."""
        return column.values[:, None]

    def names(self, name: str) -> list[str]:
        """The column's own name."""
        return [name]


@dataclass(frozen=True)
class OrderCode:
    """Ordered categories as 0, 1, 2, ... in their order; what is none of them is NaN, as missing ones are."""

    categories: tuple[str, ...]

    def encode(self, column: Column) -> np.ndarray:
        """Places in the order, shape (n, 1)."""
        place = {category: float(k) for k, category in enumerate(self.categories)}
        return np.array([place.get(value, np.nan) for value in column.labels()])[:, None]

    def names(self, name: str) -> list[str]:
        """The column's own name."""
        return [name]


@dataclass(frozen=True)
class DateCode:
    """Days since the first date of `fit`, and sine and cosine of the place in the year, the week and the day.

    Parameters
    ----------
    first : int
        Microseconds since 1970.
    cycles : tuple of str
        Those of "year", "week", "day" that are longer than what the dates extend over, and in which they vary.
    """

    first: int
    cycles: tuple[str, ...]

    @classmethod
    def of(cls, column: Column) -> DateCode:
        """By the dates of `fit`, one at least."""
        moments = column.values[~column.missing].astype(np.int64)
        first, days = int(moments.min()), moments / DAY
        extent = float(days.max() - days.min())
        cycles = tuple(name for name, length in _CYCLES.items() if extent > length and np.ptp(_phase(days, name)) > 0)
        return cls(first, cycles)

    def encode(self, column: Column) -> np.ndarray:
        """Days and cycles, shape (n, 1 + 2 cycles), NaN for missing dates."""
        if column.kind == "empty":
            return np.full((len(column.values), 1 + 2 * len(self.cycles)), np.nan)
        moments, missing = column.values.astype(np.int64), column.missing
        days = moments / DAY
        angles = [2 * np.pi * _phase(days, name) for name in self.cycles]
        columns = [(moments - self.first) / DAY, *(wave(angle) for angle in angles for wave in (np.sin, np.cos))]
        encoded = np.stack(columns, axis=1)
        encoded[missing] = np.nan
        return encoded

    def names(self, name: str) -> list[str]:
        """The column's own for days, and as ``date_year_sin``."""
        return [name, *(f"{name}_{cycle}_{wave}" for cycle in self.cycles for wave in ("sin", "cos"))]


def _phase(days: np.ndarray, cycle: str) -> np.ndarray:
    """The place in a cycle, in [0, 1), to the day within years and weeks; days since 1970."""
    length = _CYCLES[cycle]
    whole = days if cycle == "day" else np.floor(days)
    return whole / length % 1
