"""The loop over blocks of rows."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from neural_kernels.runtime.tiles import Grid, Tile, run_tiles
from neural_kernels.sketches.checked_rows import Rows

_BYTES = {"cpu": 1 << 20}  # of one temporary: a few of them fit into a core's own cache
_MANY = 1 << 28  # elsewhere


def over_blocks(
    compute: Callable[..., Tensor], *inputs: Rows, width: int, shape: tuple[int, ...], out: Tensor | None = None
) -> Tensor:
    """Return ``compute(*inputs, out=...)``, of shape (*shape[:-1], n, shape[-1]), in blocks of rows.

    On the CPU with one torch thread a worker and blocks that stay in cache, for temporaries of `width` columns. Where
    a gradient is wanted all rows are one block, and `compute` gets no `out`.
    """
    first = inputs[0]
    n = first.shape[0]
    if torch.is_grad_enabled() and any(rows.requires_grad for rows in inputs):
        if out is not None:
            raise ValueError("out: an input requires gradients, which do not pass through out; detach it, or omit out")
        return compute(*inputs, out=None)
    if out is None:
        with torch.inference_mode(False):  # workers could not write to what is made in inference mode
            out = torch.empty(*shape[:-1], n, shape[-1], dtype=first.dtype, device=first.device)
    result = out
    rows = max(1, _BYTES.get(first.device.type, _MANY) // (width * first.dtype.itemsize))

    def work(tile: Tile, memory: dict[str, Any]) -> None:
        del memory
        block = tile[0]
        with torch.no_grad():
            compute(*(given[block] for given in inputs), out=result[..., block, :])

    if first.device.type == "cpu":
        even = -(-n // torch.get_num_threads())  # but no threads for little work
        run_tiles(Grid((n, 1), (max(1, rows // 8, min(rows, even)), 1), symmetric=False), work, progress=False)
    else:
        for tile in Grid((n, 1), (rows, 1), symmetric=False):
            work(tile, {})
    return result
