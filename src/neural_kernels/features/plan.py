"""What is to be mapped and by which method, from what users give."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from torch import Tensor

from neural_kernels.exact import Kernel
from neural_kernels.exact.arrays import Batch
from neural_kernels.exact.flips import FlipAverage
from neural_kernels.exact.graphs import Graphs
from neural_kernels.exact.network import NetworkKernel
from neural_kernels.features.choice import choose
from neural_kernels.features.flipped import without_flips
from neural_kernels.features.measured import without_metric
from neural_kernels.features.method import Method, Task, UnsuitableError


@dataclass(frozen=True)
class Plan:
    """A task, the method for it, and why this one.

    Parameters
    ----------
    task : Task
    method : Method
    reason : str
    """

    task: Task
    method: Method
    reason: str

    @classmethod
    def of(cls, kernel: Kernel, n_components: int, method: Method | None, seed: int, batch: Batch, sample: Any) -> Plan:
        """For examples like those of a batch, of which a method may see a sample, or None.

        Raises
        ------
        UnsuitableError
            There are no features of such examples.
        ValueError
            The method has to see data, and there are none.
        """
        if isinstance(batch.origin, Graphs):
            raise UnsuitableError("x: feature maps of graphs are not there yet; use nk.NTK")
        features, *positions = example_shape(batch)
        numpy = not isinstance(batch.origin, Tensor)
        task = Task(kernel, n_components, features, seed, batch.rows.dtype, tuple(positions), numpy)
        plan = (
            cls(task, *choose(without_metric(without_flips(task))[0], sample))
            if method is None
            else cls(task, method, "as asked for")
        )
        if plan.method.needs_data and sample is None:
            raise ValueError(f"{plan.method!r} learns from data: call fit(x) before the map")
        return plan


def example_shape(batch: Batch) -> tuple[int, ...]:
    """The shape of one example, channels first."""
    return batch.rows.features, *batch.rows.std.shape[1:]


def detached(batch: Batch) -> Any:
    """The examples as a sample to learn from, through which no gradient goes."""
    return batch.data.detach() if isinstance(batch.data, Tensor) else batch.data


def quiet(kernel: Kernel) -> Kernel:
    """A kernel without budget and progress bar of its own: blocks are the map's affair."""
    if isinstance(kernel, FlipAverage):
        return FlipAverage(quiet(kernel.kernel))
    return replace(kernel, memory_budget=None, progress=False) if isinstance(kernel, NetworkKernel) else kernel
