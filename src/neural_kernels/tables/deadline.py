"""A time by which a search is to end."""

from __future__ import annotations

from time import monotonic

import numpy as np


class Deadline:
    """Some seconds from now on.

    Parameters
    ----------
    seconds : float, optional
        Without, it is never passed.
    """

    def __init__(self, seconds: float | None = None) -> None:
        self.seconds = np.inf if seconds is None else float(seconds)
        self._start = monotonic()

    @property
    def elapsed(self) -> float:
        """Seconds since it was set."""
        return monotonic() - self._start

    @property
    def passed(self) -> bool:
        """Whether no further step is to begin."""
        return self.elapsed >= self.seconds
