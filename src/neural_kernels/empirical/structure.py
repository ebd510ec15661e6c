"""How a module's parameters come into its outputs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from neural_kernels.empirical.capture import Recorder, Recording
from neural_kernels.empirical.factors import Factor, join
from neural_kernels.empirical.rules import Size
from neural_kernels.empirical.sites import Site


@dataclass(frozen=True)
class Layout:
    """Where a tensor has its examples: along one axis, each `instances` times in a row."""

    axis: int
    instances: int

    def first(self, tensor: Tensor) -> Tensor:
        """(n, instances, ...)."""
        return tensor.movedim(self.axis, 0).unflatten(0, (-1, self.instances))

    @classmethod
    def between(cls, two: torch.Size, three: torch.Size) -> Layout | None:
        """From the shapes for two and three examples, if they tell."""
        changed = [axis for axis, (a, b) in enumerate(zip(two, three, strict=False)) if a != b]
        if len(two) != len(three) or len(changed) != 1:
            return None
        (axis,) = changed
        return cls(axis, two[axis] // 2) if two[axis] * 3 == three[axis] * 2 else None


@dataclass(frozen=True)
class Call:
    """One use of a site in the forward pass; `read` is None where the examples' own parts do not matter."""

    site: Site
    read: Layout | None
    wrote: Layout
    size: Size


@dataclass(frozen=True)
class Group:
    """Parameters that are always used together: calls by number, with the parameters' roles in each."""

    names: tuple[str, ...]
    calls: tuple[int, ...]
    roles: tuple[tuple[str, ...], ...]
    count: int

    def factor(
        self, calls: Sequence[Call | None], recording: Recording, gradients: list[list[Tensor]], whole: bool
    ) -> Factor:
        """The gradients by these parameters, materialised if `whole`."""
        parts = []
        for number, roles in zip(self.calls, self.roles, strict=True):
            call = calls[number]
            assert call is not None
            read = recording.uses[number].read
            read = read if call.read is None else call.read.first(read)
            wrote = [call.wrote.first(column[number]) for column in gradients]
            form = call.site.rule.materialise if whole else call.site.rule.outer
            parts.append(form(call.site.module, read, wrote, roles))
        return join(parts)


@dataclass(frozen=True)
class Structure:
    """All of it.

    Parameters
    ----------
    recorder : Recorder
    calls : list of Call or None
        In their order; None for one whose examples cannot be told apart.
    groups : list of Group
    rest : list of str
        Parameters that no group explains.
    outputs : int
    """

    recorder: Recorder
    calls: list[Call | None]
    groups: list[Group]
    rest: list[str]
    outputs: int
