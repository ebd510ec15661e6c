"""Features layer by layer: the representation by factors as a module, its columns given to where they count."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from typing_extensions import override

from neural_kernels.features.allotment import Part, allot
from neural_kernels.features.layered.draws import Draws, Pass
from neural_kernels.features.layered.kernel_factor import ColumnBlock, KernelFactor
from neural_kernels.features.layered.nonlinearity import Strategy
from neural_kernels.features.method import Task, UnsuitableError
from neural_kernels.features.natural import natural_images
from neural_kernels.features.reduction import ReducedMap, Reduction
from neural_kernels.runtime.plain_state import StoredModule
from neural_kernels.sketches import SRHT, derive_seed

_TRIAL = 256  # columns of a step in the pass that finds out where columns count
_PROBES = 32  # examples in that pass
_LARGE = 6  # times the usual blocks of rows, since the steps are many and short
_TINY = 1e-6  # of the largest example: one that tells nothing


class LayeredMap(ReducedMap):
    """The features of a network for examples of one shape.

    Parameters
    ----------
    task : Task
    strategy : Strategy
    sample : Tensor or CSR matrix, shape (n, *shape), or None
        Examples by which columns are allotted; None: by normal rows, or images that are drawn, with mean square 1.
    """

    def __init__(self, task: Task, strategy: Strategy, sample: Any) -> None:
        super().__init__(Reduction(task), task.n_components)
        self.task, self.strategy, self.columns = task, strategy, task.n_components
        rows = self.reduction(_probes(task, sample))
        trial = self._factor(rows.double(), Draws(0, {}, min(_TRIAL, self.columns)))  # the same for every seed
        widths, steps = _widths(trial.blocks, self.columns)
        self.draws = Draws(task.seed, steps, self.columns)
        blocks = self._factor(rows[:1].to(task.dtype), self.draws).blocks  # draws all there is
        self.compress = nn.ModuleList(
            _compressor(block, width, derive_seed(task.seed, "compress", k))
            for k, (block, width) in enumerate(zip(blocks, widths, strict=True))
        )
        widest = max(sum(block.columns.shape[-1] for block in blocks), self.columns)
        self.working_width = max(1, widest * math.prod(task.positions) // _LARGE)

    @override
    def block(self, rows: Tensor, out: Tensor | None) -> Tensor:
        blocks = zip(self._factor(rows, self.draws).blocks, self.compress, strict=True)
        parts = (compress(block.columns) * block.weight**0.5 for block, compress in blocks)
        if rows.requires_grad:
            features = torch.cat(list(parts), 1)
            return nn.functional.pad(features, (0, self.columns - features.shape[1]))
        out, start = rows.new_empty(len(rows), self.columns) if out is None else out, 0
        for part in parts:
            out[:, start : start + part.shape[1]] = part
            start += part.shape[1]
        out[:, start:] = 0
        return out

    def _factor(self, rows: Tensor, draws: Draws) -> KernelFactor:
        task = self.task
        unit, std = self.reduction.split(rows)
        block = ColumnBlock("data", unit * std[..., None].to(unit.dtype))
        data = KernelFactor((block,), std.square(), self.strategy, Pass(draws))
        result = task.network.represent(data, task.in_features)
        if result.positions:
            raise UnsuitableError(
                f"{task.network.net!r} keeps positions {result.positions}; features are of whole examples. Add "
                "nk.Flatten() or nk.GlobalAvgPool()"
            )
        return result


class _Mixed(StoredModule):
    """A sketch of columns, for those that must be mixed before some can stand for all."""

    def __init__(self, columns: int, width: int, seed: int) -> None:
        super().__init__()
        self.sketch = SRHT(columns, width, seed)

    def forward(self, columns: Tensor) -> Tensor:
        return self.sketch.sketch(columns)


class _First(StoredModule):
    """The first of columns that are alike, scaled so that they stand for all."""

    def __init__(self, columns: int, width: int) -> None:
        super().__init__()
        self.width, self.scale = width, math.sqrt(columns / max(1, width))

    def forward(self, columns: Tensor) -> Tensor:
        return columns[:, : self.width] * self.scale


def _probes(task: Task, sample: Any) -> Any:
    """Pick some examples that are not 0; where there are none, draw normal rows, or images.

    In white noise a pool would leave next to nothing of an activation's linear part, which in images is a third of the
    kernel.
    """
    count = max(4, _PROBES // math.prod(task.positions))
    if sample is not None:
        size = abs(sample).flatten(1).amax(1).numpy(force=True) if isinstance(sample, Tensor) else _largest(sample)
        there = np.flatnonzero(size > _TINY * size.max(initial=0.0))
        if len(there):
            chosen = sample[there[np.linspace(0, len(there) - 1, min(count, len(there))).astype(np.intp)]]
            return chosen.cpu() if isinstance(sample, Tensor) else chosen  # maps are drawn there, and moved when built
    if task.positions:
        return natural_images(count, task.in_features, task.positions, 0)
    draws = np.random.default_rng(0).standard_normal((count, task.in_features))
    return torch.from_numpy(draws)


def _largest(matrix: Any) -> np.ndarray:
    """Return the largest entry, by its size, of every row of a CSR matrix."""
    return abs(matrix).max(axis=1).toarray().ravel()


def _compressor(block: ColumnBlock, width: int, seed: int) -> nn.Module:
    """Make the module that brings a block to so many columns; none of its own where they are enough."""
    columns = block.columns.shape[-1]
    if width >= columns:
        return nn.Identity()
    return _First(columns, width) if block.alike or not width else _Mixed(columns, width, seed)


def _widths(blocks: tuple[ColumnBlock, ...], columns: int) -> tuple[list[int], dict[int, int]]:
    """Divide columns among the blocks of the result; also by step, for the random steps that some come from.

    Blocks of one source get equal numbers: exact ones go by key, random ones by step.
    """
    groups: dict[object, list[ColumnBlock]] = {}
    for block in blocks:
        groups.setdefault(block.key if block.step is None else block.step, []).append(block)
    parts = [
        Part(
            sum(block.weight * float(block.columns.double().square().sum(-1).mean()) for block in group),
            group[0].columns.shape[-1] if group[0].step is None else None,
            len(group),
        )
        for group in groups.values()
    ]
    given = dict(zip(groups, allot(parts, columns), strict=True))
    steps = {step: width for step, width in given.items() if isinstance(step, int)}
    return [given[block.key if block.step is None else block.step] for block in blocks], steps
