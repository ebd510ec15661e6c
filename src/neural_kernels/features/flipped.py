"""Features of kernels that are averaged over flips: the average over an image and its mirror image."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor
from typing_extensions import override

from neural_kernels.exact.flips import FlipAverage, mirror
from neural_kernels.features.measured import MeasuredMap, mapped, without_metric
from neural_kernels.features.method import BuiltMap, Method, Task


def build_map(method: Method, task: Task, sample: Any) -> BuiltMap:
    """Build the map of a task; of a kernel averaged over flips, that of the kernel itself, averaged."""
    if not isinstance(task.kernel, FlipAverage):
        plain, seen = without_metric(task)
        if seen is None:
            return method.build(task, sample)
        return MeasuredMap(seen, method.build(plain, None if sample is None else mapped(seen, sample)))
    if sample is not None:
        mirror(sample[:1])  # refuses what is no image before anything is built
    return FlippedMap(build_map(method, without_flips(task), sample))


def without_flips(task: Task) -> Task:
    """The task for the kernel that is averaged over flips; any other as it is."""
    return replace(task, kernel=task.kernel.kernel) if isinstance(task.kernel, FlipAverage) else task


class FlippedMap(BuiltMap):
    """Features averaged over an image and its mirror image.

    Parameters
    ----------
    one : BuiltMap
        Of one image.
    """

    def __init__(self, one: BuiltMap) -> None:
        super().__init__()
        self.one, self.columns, self.learned = one, one.columns, one.learned

    @override
    def forward(self, x: Any) -> Tensor:
        return (self.one(x) + self.one(mirror(x))) / 2

    @override
    def fill(self, x: Any, out: Tensor) -> None:
        self.one.fill(x, out)
        other = torch.empty_like(out)
        self.one.fill(mirror(x), other)
        out.add_(other).div_(2)

    @override
    def accepts(self, shape: tuple[int, ...], built_for: tuple[int, ...]) -> bool:
        return self.one.accepts(shape, built_for)

    @override
    def readout(self, weights: Tensor) -> tuple[Callable[[Any], Tensor], Tensor]:
        columns, matrix = self.one.readout(weights)
        return lambda x: (columns(x) + columns(mirror(x))) / 2, matrix
