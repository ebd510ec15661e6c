"""How a module's parameters come into its outputs: the calls of its layers, and the parameters that they account for.

`discover` makes a `ModuleStructure` from recordings of two and of three examples; with it the recording of any number
of examples can be read as gradients.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from neural_kernels.empirical.capture.hooks import ParameterSite
from neural_kernels.empirical.capture.recording import Recorder, Recording
from neural_kernels.empirical.rules.base import CallSize


@dataclass(frozen=True)
class ExampleAxis:
    """Where a tensor of a forward pass has its examples: along one axis, each as many times in a row.

    Parameters
    ----------
    axis : int
        Not always the first: recurrent layers and attention may have tokens there.
    """

    axis: int

    def examples_first(self, tensor: Tensor, count: int) -> Tensor:
        """Bring the axis to the front and cut it by examples: (count, instances, ...).

        Raises
        ------
        ValueError
            Its length is no multiple of `count`.
        """
        rows = tensor.shape[self.axis]
        if rows == 0 or rows % count:
            raise ValueError(
                f"a layer of the module was given {rows} rows for {count} examples; expected as many for each, as for "
                "the first examples. Pass method='jacobian'."
            )
        return tensor.movedim(self.axis, 0).unflatten(0, (count, -1))

    @classmethod
    def from_shapes(cls, two: torch.Size, three: torch.Size) -> ExampleAxis | None:
        """Find the axis whose length doubles for two examples and trebles for three; None if it is not just one."""
        changed = [axis for axis, (a, b) in enumerate(zip(two, three, strict=False)) if a != b]
        if len(two) != len(three) or len(changed) != 1:
            return None
        (axis,) = changed
        return cls(axis) if two[axis] * 3 == three[axis] * 2 else None


@dataclass(frozen=True)
class LayerCall:
    """One call of a layer in the forward pass.

    Parameters
    ----------
    site : ParameterSite
        Whose parameters it uses; a layer that is called twice has two calls with the same site.
    read : ExampleAxis or None
        Where the examples lie in what it read; None where the rule does not need that.
    wrote : ExampleAxis
        Where the examples lie in what it wrote.
    size : CallSize
        Positions and widths for one example.
    """

    site: ParameterSite
    read: ExampleAxis | None
    wrote: ExampleAxis
    size: CallSize


@dataclass(frozen=True)
class ParameterGroup:
    """Parameters that are always used together, so that their gradients come about together.

    Parameters
    ----------
    names : tuple of str
        Of the parameters: a weight tied between two layers is one name with two calls.
    calls : tuple of int
        The calls that use them, by number.
    roles : tuple of tuple of str
        For each of these calls the roles of all names in it, ``weight`` or ``bias``.
    count : int
        Numbers in all of the parameters.
    """

    names: tuple[str, ...]
    calls: tuple[int, ...]
    roles: tuple[tuple[str, ...], ...]
    count: int

    def used(self, calls: Sequence[LayerCall | None]) -> list[LayerCall]:
        """Of all the calls of a module those of the group."""
        return [call for call in (calls[number] for number in self.calls) if call]

    def reads(
        self, calls: Sequence[LayerCall], recording: Recording, count: int
    ) -> Iterator[tuple[ParameterSite, Tensor, tuple[str, ...]]]:
        """For each of the group's calls the site, what `count` examples read there, and the parameters' roles.

        What was read has the examples first, (count, instances, ...), unless the rule does not need it.
        """
        for call, number, roles in zip(calls, self.calls, self.roles, strict=True):
            read = recording.calls[number].read
            yield call.site, read if call.read is None else call.read.examples_first(read, count), roles


@dataclass(frozen=True)
class ModuleStructure:
    """What is known of a module for examples of one shape and precision.

    Parameters
    ----------
    recorder : Recorder
        Runs and remembers a forward pass, with every hook that turned out to be needed.
    calls : list of LayerCall or None
        All calls in the order of the forward pass; None for one whose examples shapes do not tell apart.
    groups : list of ParameterGroup
        Parameters whose gradients follow from the calls, each verified against autograd.
    unexplained : list of str
        All other parameters; they are differentiated example by example.
    outputs : int
        Outputs of the module for one example.
    copyable : bool
        Whether copies of the module compute the same, and may run at the same time as it does.
    """

    recorder: Recorder
    calls: list[LayerCall | None]
    groups: list[ParameterGroup]
    unexplained: list[str]
    outputs: int
    copyable: bool = False

    def has_factors(self, group: ParameterGroup) -> bool:
        """Whether a group's gradients are sums of outer products, of one kind in all of its calls."""
        sites = [call.site for call in group.used(self.calls)]
        kinds = {type(site.rule) for site in sites}
        return len(kinds) == 1 and all(site.rule.has_factors(site.module) for site in sites)

    def matches(self, recording: Recording) -> bool:
        """Whether a forward pass called the same layers in the same order."""
        pairs = zip(self.calls, recording.calls, strict=False)
        same_number = len(self.calls) == len(recording.calls)
        return same_number and all(not call or call.site is recorded.site for call, recorded in pairs)
