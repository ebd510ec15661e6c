"""Sums over the processes of `torch.distributed`: the moments of all rows in each of them."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
import torch.distributed as dist

from neural_kernels.runtime.types import Array
from neural_kernels.solvers.normal_equations import NormalEquations
from neural_kernels.solvers.triangle import strips


def reduce_moments(moments: NormalEquations, group: Any) -> None:
    """Replace the moments of a process's rows by those of the rows of all processes of a group, in place.

    Every part is moved to the common means first, so that what is sent can be summed. The triangle goes strip by
    strip: 4 m^2 bytes, and memory for one strip.

    Raises
    ------
    ValueError
        In all processes, if they have different numbers of features or outputs.
    """
    device = torch.device("cuda") if dist.get_backend(group) == "nccl" else torch.device("cpu")

    def total(values: Array, op: Any = dist.ReduceOp.SUM) -> Array:
        buffer = torch.from_numpy(np.ascontiguousarray(values, dtype=np.float64)).to(device, copy=True)
        dist.all_reduce(buffer, op=op, group=group)
        return buffer.cpu().numpy()

    shape = np.array(moments.cross.shape, dtype=np.float64)
    largest, negative = np.split(total(np.concatenate([shape, -shape]), dist.ReduceOp.MAX), 2)
    if (largest != -negative).any():
        raise ValueError(f"moments of {moments.cross.shape} here and of other shapes elsewhere cannot be summed")
    weight, narrow = total(np.array([moments.weight, moments.weight > 0 and moments.dtype == np.float32]))
    if not weight:
        return
    mean = total(moments.weight / weight * moments.mean)
    target_mean = total(moments.weight / weight * moments.target_mean)
    step, target_step = moments.mean - mean, moments.target_mean - target_mean
    for part in strips(len(mean)):
        own = moments.weight * np.outer(step[part], step[: part.stop])
        moments.scatter[part, : part.stop] = total(moments.scatter[part, : part.stop] + own)
    moments.cross = total(moments.cross + moments.weight * np.outer(step, target_step))
    moments.target_scatter = total(moments.target_scatter + moments.weight * np.square(target_step))
    moments.weight, moments.mean, moments.target_mean = float(weight), mean, target_mean
    moments.dtype = np.dtype(np.float32 if narrow else np.float64)
