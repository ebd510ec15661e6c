"""How a module's parameters come into its outputs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from neural_kernels.empirical.capture.hooks import Site
from neural_kernels.empirical.capture.recording import Recorder, Recording
from neural_kernels.empirical.rules.base import Size


@dataclass(frozen=True)
class Layout:
    """Where a tensor has its examples: along one axis, each as often in a row."""

    axis: int

    def first(self, tensor: Tensor, count: int) -> Tensor:
        """(n, instances, ...)."""
        rows = tensor.shape[self.axis]
        if rows == 0 or rows % count:
            raise ValueError(
                f"a layer of the module was given {rows} rows for {count} examples; expected as many for each, as for "
                "the first examples. Pass method='jacobian'."
            )
        return tensor.movedim(self.axis, 0).unflatten(0, (count, -1))

    @classmethod
    def between(cls, two: torch.Size, three: torch.Size) -> Layout | None:
        """From the shapes for two and three examples, if they tell."""
        changed = [axis for axis, (a, b) in enumerate(zip(two, three, strict=False)) if a != b]
        if len(two) != len(three) or len(changed) != 1:
            return None
        (axis,) = changed
        return cls(axis) if two[axis] * 3 == three[axis] * 2 else None


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

    def used(self, calls: Sequence[Call | None]) -> list[Call]:
        """Of all calls its own."""
        return [call for call in (calls[number] for number in self.calls) if call]

    def reads(
        self, calls: Sequence[Call], recording: Recording, count: int
    ) -> Iterator[tuple[Site, Tensor, tuple[str, ...]]]:
        """The site of every use, what `count` examples read there, first if they matter, and the parameters' roles."""
        for call, number, roles in zip(calls, self.calls, self.roles, strict=True):
            read = recording.uses[number].read
            yield call.site, read if call.read is None else call.read.first(read, count), roles


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
    copyable : bool
        Whether several copies of the module may run at the same time.
    """

    recorder: Recorder
    calls: list[Call | None]
    groups: list[Group]
    rest: list[str]
    outputs: int
    copyable: bool = False

    def separates(self, group: Group) -> bool:
        """Whether a group's gradients have factors, of one kind for all uses."""
        sites = [call.site for call in group.used(self.calls)]
        return len({type(site.rule) for site in sites}) == 1 and all(site.rule.separates(site.module) for site in sites)

    def explains(self, recording: Recording) -> bool:
        """Whether the same sites were used in the same order."""
        pairs = zip(self.calls, recording.uses, strict=False)
        return len(self.calls) == len(recording.uses) and all(not call or call.site is use.site for call, use in pairs)
