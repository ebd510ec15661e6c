"""Stages of linear operations: the data, maps of one matrix, multiples by row, and windows."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from neural_kernels.features.landmarks.fitting import Fitting, top
from neural_kernels.features.landmarks.forms import LinearNode, MappedNode, RescaledNode
from neural_kernels.features.landmarks.levels import Level
from neural_kernels.features.landmarks.run import Run
from neural_kernels.features.landmarks.windows import apply_single
from neural_kernels.runtime.plain_state import StoredModule

_RANK = {torch.float32: 1e-12, torch.float64: 1e-15}  # of the largest eigenvalue of a metric: what counts as 0


class SourceStage(StoredModule):
    """The data, divided by the root of their channels."""

    @classmethod
    def fit(cls, fitting: Fitting, level: Level) -> SourceStage:
        """Nothing to learn: the metric is the identity."""
        channels = fitting.run.x.shape[1]
        fitting.metrics[level.nodes[0]] = torch.eye(channels, dtype=torch.float64)
        return cls()

    def forward(self, run: Run, level: Level) -> Tensor:
        """Channels last, shape (n, *positions, channels)."""
        return (run.x / math.sqrt(run.x.shape[1])).movedim(1, -1).contiguous()


class SingleStage(StoredModule):
    """An operation that keeps the columns: a map of one matrix, or a multiple by row.

    Parameters
    ----------
    metrics : list of Tensor
        Of the level's nodes, by which a pool's variances are found: the buffers ``metric0``, ...
    """

    def __init__(self, metrics: list[Tensor]) -> None:
        super().__init__()
        for k, metric in enumerate(metrics):
            self.register_buffer(f"metric{k}", metric)

    @classmethod
    def fit(cls, fitting: Fitting, level: Level) -> SingleStage:
        """Take the metrics over."""
        metrics = []
        for node in level.nodes:
            assert isinstance(node, LinearNode)
            fitting.metrics[node] = fitting.metric(node.argument, level)
            metrics.append(fitting.metrics[node])
        return cls(metrics)

    def forward(self, run: Run, level: Level) -> Tensor:
        """Apply the operation to every column."""
        node, columns = level.nodes[0], run.columns(level)
        if isinstance(node, RescaledNode):
            return columns * run.factor(node)[..., None].to(columns.dtype)
        assert isinstance(node, MappedNode)
        return apply_single(node.by, columns)


class WindowStage(StoredModule):
    """Windows: the main directions of what lies in them, as filters of a convolution.

    Parameters
    ----------
    filters : Tensor, shape (taps, columns before, columns)
    """

    filters: Tensor

    def __init__(self, filters: Tensor) -> None:
        super().__init__()
        self.register_buffer("filters", filters)

    @classmethod
    def fit(cls, fitting: Fitting, level: Level, columns: int) -> WindowStage:
        """Choose directions by their variance over the sample, in the metric of the kernels together."""
        node = level.nodes[0]
        assert isinstance(node, MappedNode)
        windows = level.windows
        assert windows is not None
        h = fitting.run.columns(level)
        arguments = [n.argument for n in level.nodes if isinstance(n, MappedNode)]
        metrics = [fitting.metric(form, level) for form in arguments]
        joint = sum(fitting.weight(n) * metric for n, metric in zip(level.nodes, metrics, strict=True))
        assert isinstance(joint, Tensor)
        values, vectors = top(joint)
        kept = max(1, int((values > _RANK[h.dtype] * values[0]).sum()))
        scale = values[:kept].clamp(min=torch.finfo(values.dtype).tiny).sqrt()  # of a kernel that is 0, one direction
        root, inverse = vectors[:, :kept] * scale, vectors[:, :kept] / scale
        after = math.prod(windows.after)
        units = fitting.choose(level, "windows", len(h) * after)
        taps = windows.sample(h, units // after, units % after).double() @ root
        directions = main_directions(taps.flatten(1), columns).unflatten(0, (windows.count, root.shape[1]))
        for n, metric in zip(level.nodes, metrics, strict=True):
            inner = inverse.T @ metric @ inverse
            fitting.metrics[n] = torch.einsum("akr,kl,als->rs", directions, inner, directions)
        filters = torch.einsum("ck,akr->acr", root, directions) * windows.weight
        return cls(filters.to(h.dtype))

    def forward(self, run: Run, level: Level) -> Tensor:
        """Convolve."""
        assert level.windows is not None
        return level.windows.combine(run.columns(level), self.filters).reshape(
            len(run.x), *level.positions, self.filters.shape[-1]
        )


def main_directions(rows: Tensor, count: int) -> Tensor:
    """Directions of the largest mean squares of rows, orthonormal, shape (columns, count or fewer)."""
    if rows.shape[1] <= len(rows):
        _, vectors = top(rows.T @ rows)
        return vectors[:, :count]
    values, vectors = top(rows @ rows.T)  # fewer rows than columns: those of the rows' Gram matrix, carried over
    kept = int((values[:count] > 1e-12 * values[0]).sum())
    return rows.T @ vectors[:, :kept] / values[:kept].sqrt() if kept else torch.zeros_like(rows[:1].T)
