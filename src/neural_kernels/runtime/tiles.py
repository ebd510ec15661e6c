"""The loop over tiles of a matrix: what they are, and who works on them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from neural_kernels.runtime.heap import keep_freed
from neural_kernels.runtime.workers import share_out

Tile = tuple[slice, slice]


@dataclass(frozen=True)
class Grid:
    """Blocks of a matrix; with `symmetric` those that reach behind the diagonal."""

    shape: tuple[int, int]
    block: tuple[int, int]
    symmetric: bool

    def __iter__(self) -> Iterator[Tile]:
        (n1, n2), (height, breadth) = self.shape, self.block
        for i in range(0, n1, height):
            for j in range(i if self.symmetric else 0, n2, breadth):
                yield slice(i, min(i + height, n1)), slice(j, min(j + breadth, n2))


def run_tiles(grid: Grid, work: Callable[[Tile, dict[str, Any]], None], progress: bool) -> None:
    """Do `work(block, memory)` on every block, with one torch thread a worker; `memory` is the worker's own."""
    keep_freed()
    blocks = list(grid)
    share_out(blocks, work, done=_progress(len(blocks), progress))


def _progress(total: int, wanted: bool) -> Callable[[int], Any]:
    if not wanted:
        return lambda n: None
    from tqdm.auto import tqdm

    return tqdm(total=total, unit="tile", desc="kernel").update
