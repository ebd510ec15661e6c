"""Freed memory that is used again, not given back to the system."""

from __future__ import annotations

from functools import cache

import torch

_LARGEST = (32 << 20) - (8 << 10)  # the largest block by which glibc adapts, less what it adds to a block


@cache
def keep_freed() -> None:
    """Let the C library keep what is freed in blocks of up to 32 MiB.

    Tiles and passes through a module make and free temporaries of megabytes all the time. glibc at first hands such
    memory back to the system and takes it anew page by page, which costs up to as much as the work itself. The largest
    block that a program has freed raises that limit (mallopt(3), M_MMAP_THRESHOLD), so one is freed here; its pages are
    never touched. Where there is another C library this does nothing.
    """
    torch.empty(_LARGEST, dtype=torch.uint8)
