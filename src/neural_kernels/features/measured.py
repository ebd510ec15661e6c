"""Features of networks whose first layer has a metric: those of the network without it, of the mapped data."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import Tensor
from typing_extensions import override

from neural_kernels.algebra import InputMap
from neural_kernels.exact.network import NetworkKernel
from neural_kernels.features.method import BuiltMap, Task


def without_metric(task: Task) -> tuple[Task, InputMap | None]:
    """The task for the network without a metric, and the map of the data that stands for it, if there is one."""
    if not isinstance(task.kernel, NetworkKernel):
        return task, None
    net, seen = task.kernel.net.split()
    if seen is None:
        return task, None
    features, *positions = seen.after((task.in_features, *task.positions))
    kernel = replace(task.kernel, net=net)
    return replace(task, kernel=kernel, in_features=features, positions=tuple(positions)), seen


def mapped(seen: InputMap, x: Any) -> Any:
    """Rows as a built map holds them, mapped: a tensor, or a CSR matrix where that stays one."""
    if isinstance(x, Tensor):
        return seen(x)
    rows = seen.sparse(x)
    return torch.from_numpy(rows) if isinstance(rows, np.ndarray) else rows


class MeasuredMap(BuiltMap):
    """Features of mapped data.

    Parameters
    ----------
    seen : InputMap
        Of the data.
    plain : BuiltMap
        Of what it gives.
    """

    def __init__(self, seen: InputMap, plain: BuiltMap) -> None:
        super().__init__()
        self.seen, self.plain = seen, plain
        self.columns, self.learned = plain.columns, plain.learned

    @override
    def forward(self, x: Any) -> Tensor:
        return self.plain(mapped(self.seen, x))

    @override
    def fill(self, x: Any, out: Tensor) -> None:
        self.plain.fill(mapped(self.seen, x), out)

    @override
    def accepts(self, shape: tuple[int, ...], built_for: tuple[int, ...]) -> bool:
        return self.plain.accepts(self.seen.after(shape), self.seen.after(built_for))

    @override
    def readout(self, weights: Tensor) -> tuple[Callable[[Any], Tensor], Tensor]:
        columns, matrix = self.plain.readout(weights)
        return lambda x: columns(mapped(self.seen, x)), matrix
