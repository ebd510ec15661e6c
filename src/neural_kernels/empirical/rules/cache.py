"""Work on examples cut into parts whose temporaries stay in cache."""

from __future__ import annotations

from collections.abc import Iterator

import torch

CACHED = 1 << 20  # numbers in a temporary that should stay in a thread's cache


def steps(n: int, numbers: int) -> Iterator[slice]:
    """Slices of n examples, so many at a time that temporaries of `numbers` each stay in the cache of every thread."""
    step = torch.get_num_threads() * max(1, CACHED // max(1, numbers))
    for start in range(0, n, step):
        yield slice(start, start + step)
