"""The map of landmarks layer by layer: it fits stage after stage, and runs blocks of examples through them."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from typing_extensions import override

from neural_kernels.exact.network import NetworkKernel
from neural_kernels.features.distinct import distinct
from neural_kernels.features.landmarks.ending import Ending
from neural_kernels.features.landmarks.fitting import Fitting
from neural_kernels.features.landmarks.flat import FlatReadout
from neural_kernels.features.landmarks.forms import Form, MappedNode, RescaledNode, SourceNode
from neural_kernels.features.landmarks.levels import Level, Levels, constant
from neural_kernels.features.landmarks.linear import SingleStage, SourceStage, WindowStage
from neural_kernels.features.landmarks.pointwise import PointStage
from neural_kernels.features.landmarks.readout import LevelReadout, PooledReadout, Readout
from neural_kernels.features.landmarks.run import Run
from neural_kernels.features.method import BuiltMap, Task, UnsuitableError
from neural_kernels.features.natural import natural_images
from neural_kernels.features.reduction import Reduction
from neural_kernels.sketches import derive_seed
from neural_kernels.sketches.blocks import over_blocks

_UNITS = 1 << 14  # positions of a block
_CHUNK = 1 << 22  # numbers of raw columns at a time
_LEVEL = 1 << 25  # numbers of the sample's features at one level
_WIDEST = 2.0  # times the widths of the first layers: what later ones, with fewer positions, may have
_FLAT = 2.0  # times the widths, where equal positions are compared and errors do not average over pairs


@dataclass(frozen=True)
class Widths:
    """What a map has at the resolution of the input: landmarks, and columns behind activations and windows.

    Parameters
    ----------
    landmarks, values, windows : int
    last : int
        Landmarks behind the last activation, if more than columns.
    residual : int
        Random columns of the result.
    sample : int
        Examples to learn from.
    """

    landmarks: int
    values: int
    windows: int
    last: int
    residual: int
    sample: int

    def scaled(self, factor: float) -> tuple[int, int, int]:
        """The first three, times a factor."""
        return tuple(max(1, round(factor * width)) for width in (self.landmarks, self.values, self.windows))  # pyright: ignore[reportReturnType]


class LandmarkMap(BuiltMap):
    """The features of a network for examples with positions of any sizes that it takes.

    Parameters
    ----------
    task : Task
    widths : Widths
    sample : Tensor or CSR matrix, shape (n, *shape), or None
    """

    def __init__(self, task: Task, widths: Widths, sample: Any) -> None:
        super().__init__()
        self.task, self.widths = task, widths
        self.reduction = Reduction(task)
        self.stages = nn.ModuleList()
        self._traces: dict[tuple[int, ...], tuple[Levels, Ending | None]] = {}
        levels, ending = self._trace(task.positions)
        self.bias = constant(levels.root) ** 0.5
        with torch.inference_mode(False), torch.no_grad():
            self.end = self._fit(levels, ending, self._examples(sample, levels, ending))
        self.columns = bool(self.bias) + self.end.matrix.shape[1]
        self.width = max(1, (1 << 18) * math.prod(task.positions) // _UNITS)

    def _examples(self, sample: Any, levels: Levels, ending: Ending | None) -> Tensor:
        """Examples to learn from: enough for the last landmarks, few enough for memory."""
        task = self.task
        last = levels.last[0] if ending is None else ending.level
        count = max(self.widths.sample, -(-2 * max(task.n_components, self.widths.last) // math.prod(last.positions)))
        width = max(task.in_features, self.widths.windows)
        count = min(count, max(self.widths.sample, _LEVEL // (width * math.prod(task.positions))))
        if sample is None:
            drawn = natural_images(count, task.in_features, task.positions, derive_seed(task.seed, "natural"))
            return self.reduction(drawn.to(task.dtype))
        chosen = sample[distinct(sample, task.seed)[:count]]
        return self.reduction(chosen.cpu() if isinstance(chosen, Tensor) else chosen).to(task.dtype)

    def _fit(self, levels: Levels, ending: Ending | None, x: Tensor) -> Readout:
        """Fit stage after stage, and what stands behind them."""
        run = Run(levels, self.stages, x)
        fitting = Fitting(run, self.task.seed)
        pooled = ending if ending is not None and not ending.flat else None
        for level in levels.order:
            if (pooled is not None and level is pooled.level) or (ending is not None and not level.readers):
                break  # what stands behind the last activation is the readout's
            self.stages.append(self._stage(fitting, level, ending))
            run.keep(level)
        columns = max(1, self.task.n_components - bool(self.bias))
        if self.widths.residual and (pooled is None or self.widths.residual >= columns):
            raise UnsuitableError(
                f"residual={self.widths.residual}: expected fewer than the {columns} columns, of a network that ends "
                "with an activation and a pool over all positions"
            )
        if pooled is not None:
            return PooledReadout.fit(fitting, pooled, columns, self.widths.residual, self.widths.last)
        return LevelReadout.fit(fitting, columns) if ending is None else FlatReadout.fit(fitting, ending, columns)

    def _stage(self, fitting: Fitting, level: Level, ending: Ending | None) -> nn.Module:
        """Fit the stage of one level."""
        node, task = level.nodes[0], self.task
        if isinstance(node, SourceNode):
            return SourceStage.fit(fitting, level)
        scale = min(_WIDEST, (math.prod(task.positions) / math.prod(level.positions)) ** 0.25)
        landmarks, values, windows = self.widths.scaled(scale * (_FLAT if ending is not None and ending.flat else 1.0))
        seen = any(n in fitting.run.levels.leading for n in level.nodes)
        if not seen and ending is None:  # its features are those of the result
            landmarks = values = windows = task.n_components
        if level.windows is not None:
            return WindowStage.fit(fitting, level, windows)
        if isinstance(node, (MappedNode, RescaledNode)):
            return SingleStage.fit(fitting, level)
        if ending is not None and level is ending.level:
            return PointStage.fit(fitting, level, landmarks, values, ending.weights)
        return PointStage.fit(fitting, level, landmarks, values)

    def _trace(self, positions: tuple[int, ...]) -> tuple[Levels, Ending | None]:
        """The network's levels for examples with these positions."""
        if positions not in self._traces:
            levels = Levels(traced(self.task.network, positions, self.task.in_features))
            self._traces[positions] = levels, Ending.of(levels)
        return self._traces[positions]

    def __getstate__(self) -> dict[str, Any]:
        return super().__getstate__() | {"_traces": {}}  # they hold functions, and are made anew when wanted

    @override
    def accepts(self, shape: tuple[int, ...], built_for: tuple[int, ...]) -> bool:
        """Other numbers of positions, too, unless Flatten makes columns of them."""
        flat = isinstance(self.end, FlatReadout)
        return shape == built_for or (not flat and shape[0] == built_for[0] and len(shape) == len(built_for))

    def _raw(self, rows: Tensor, out: Tensor | None) -> Tensor:
        levels, ending = self._trace(tuple(rows.shape[2:]))
        raw = self.end(Run(levels, self.stages, rows), levels, ending)
        return raw if out is None else out.copy_(raw)

    @override
    def forward(self, x: Any) -> Tensor:
        given = self.reduction(x)
        rows = given.to(self.end.matrix.dtype)
        if torch.is_grad_enabled() and rows.requires_grad:
            return self._finished(self._raw(rows, None), rows).to(given.dtype)
        return self._written(rows, given.new_empty(len(rows), self.columns))

    @override
    def fill(self, x: Any, out: Tensor) -> None:
        self._written(self._rows(x), out)

    def _rows(self, x: Any) -> Tensor:
        """What the stages read: in the precision that they were fitted in, whatever that of the result is."""
        return self.reduction(x).to(self.end.matrix.dtype)

    def _written(self, rows: Tensor, out: Tensor) -> Tensor:
        """Write features of reduced rows to memory that is there, some examples at a time."""
        step = max(1, _CHUNK // self.end.matrix.shape[0])
        for start in range(0, len(rows), step):
            part = rows[start : start + step]
            out[start : start + step] = self._finished(self._blocks(part), part)
        return out

    def _blocks(self, rows: Tensor) -> Tensor:
        return over_blocks(self._raw, rows, width=self.width, shape=(self.end.matrix.shape[0],))

    def _finished(self, raw: Tensor, rows: Tensor) -> Tensor:
        features = raw @ self.end.matrix
        return torch.cat([rows.new_full((len(rows), 1), self.bias), features], 1) if self.bias else features

    @override
    def readout(self, weights: Tensor) -> tuple[Callable[[Any], Tensor], Tensor]:
        """Give the raw columns, and the matrix times the weights."""
        if self.bias:
            return self, weights
        return lambda x: self._blocks(self._rows(x)), self.end.matrix.to(weights) @ weights


def traced(kernel: NetworkKernel, positions: tuple[int, ...], features: int) -> Form:
    """The kernel of a network as a form.

    Raises
    ------
    UnsuitableError
        Graphs, attention; or positions are left in the end.
    """
    root = kernel.represent(Form.of(SourceNode(positions)), features)
    if root.positions:
        raise UnsuitableError(
            f"{kernel.net!r} keeps positions {root.positions}; features are of whole examples. Add nk.Flatten() or "
            "nk.GlobalAvgPool()"
        )
    return root


def landmarks_suit(kernel: NetworkKernel, positions: tuple[int, ...], features: int) -> bool:
    """Whether landmarks can be taken layer by layer."""
    try:
        Levels(traced(kernel, positions, features))
    except UnsuitableError:
        return False
    return True
