"""Damped waves as the engine reads them (`engine.waves`)."""

from __future__ import annotations

import torch

from neural_kernels.exact.compile.graph import Group
from neural_kernels.exact.compile.pools import Pools
from neural_kernels.exact.expressions.duals import Activated
from neural_kernels.exact.expressions.pairs import PerUnit

_LEAST = 2.0  # standard deviation: a short series takes those below
LARGEST = 1e30  # products of those above overflow


def is_wave(node: Activated) -> bool:
    """Whether the engine has the activation as a wave, for these units."""
    if node.dual.wave is None:
        return False
    largest = max((float(std.max()) for std in node.argument.stds if std.numel()), default=0.0)
    return _LEAST < largest < LARGEST


def wave_operands(group: Group, pools: Pools) -> tuple[int, list[PerUnit]]:
    """Place of the constants, and the vectors: standard deviations of units, values and slopes."""
    wave = group.first.dual.wave
    assert wave is not None
    constants = [wave.damping, wave.frequency**2, wave.sine, wave.amplitude**2]
    place = pools.add_floats(torch.tensor(constants, dtype=torch.float64))
    both = [node or group.first for node in (group.value, group.slope)]  # of one that nobody reads, any numbers
    return place, [group.first.argument.stds, *(node.stds for node in both)]
