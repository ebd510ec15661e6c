"""What stands behind the last activation of a network: means over positions and a linear readout, if that is all."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from neural_kernels.features.landmarks.forms import MappedNode, Node, PointwiseNode
from neural_kernels.features.landmarks.levels import Level, Levels, terms
from neural_kernels.features.landmarks.windows import apply_single
from neural_kernels.runtime.lazy import cached_property


@dataclass(frozen=True, eq=False)
class Ending:
    """A last level whose kernels the result is a combination of, summed over pairs of positions or over equal ones.

    Parameters
    ----------
    level : Level
    weights : dict from Node to float
        The result as a combination of the level's kernels.
    pools : tuple of MappedNode
        Means and sums over positions from there on; behind the last there is one position.
    flat : bool
        Flatten follows: the kernel is a mean over equal positions.
    """

    level: Level
    weights: dict[Node, float]
    pools: tuple[MappedNode, ...]
    flat: bool

    @classmethod
    def of(cls, levels: Levels) -> Ending | None:
        """The ending of a network; None where something else follows the last activation."""
        weights, pools = terms(levels.root), []
        while True:
            found = {levels.of[node] for node in weights}
            if len(found) != 1:
                return None
            (level,) = found
            if len(level.readers) != (1 if pools else 0):
                return None
            node = level.nodes[0]
            if isinstance(node, PointwiseNode):
                return cls(level, weights, tuple(reversed(pools)), False)
            if not isinstance(node, MappedNode) or level.takes_ones:
                return None
            before: dict[Node, float] = {}
            for mapped, factor in weights.items():
                assert isinstance(mapped, MappedNode)
                for inner, weight in terms(mapped.argument).items():
                    before[inner] = before.get(inner, 0.0) + factor * weight
            if level.windows is not None:
                return _flattened(levels, level, before) if not pools else None
            pools.append(node)
            weights = before

    @cached_property
    @torch.inference_mode(False)  # what is kept serves calls that want gradients, too
    def shares(self) -> Tensor:
        """How much every position counts in the end, shape (positions as one axis,), float64."""
        shape = self.level.positions
        count = torch.Size(shape).numel()
        units = torch.eye(count, dtype=torch.float64).reshape(count, *shape, 1)
        for pool in self.pools:
            units = apply_single(pool.by, units)
        return units.reshape(count)


def _flattened(levels: Levels, level: Level, weights: dict[Node, float]) -> Ending | None:
    """The ending by a map that leaves one position and takes every other once: Flatten."""
    windows, sources = level.windows, level.sources
    assert windows is not None
    once = windows.index.shape[1] == 1 and windows.count == torch.Size(level.inputs[0].positions).numel()
    alone = len(sources) == 1 and len(sources[0].readers) == 1 and set(weights) <= set(sources[0].nodes)
    return Ending(sources[0], weights, (), True) if once and not level.positions and alone else None
