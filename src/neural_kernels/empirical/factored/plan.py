"""For every group of parameters the cheaper of two forms, and the gradients of a block of examples in these.

A structure and the outputs that count go in; then, for a batch, one `GroupGradients` for every group comes out, and one
more for all parameters that no group explains.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import torch

from neural_kernels.empirical.capture.recording import Recorder
from neural_kernels.empirical.capture.structure import ModuleStructure, ParameterGroup
from neural_kernels.empirical.factored.accumulate import (
    BlockGradients,
    BlockPass,
    OuterPassGradients,
    PassGradients,
    WholePassGradients,
)
from neural_kernels.empirical.factored.gradients import GroupGradients, WholeGradients
from neural_kernels.empirical.factored.passes import ParallelPasses
from neural_kernels.empirical.module.batches import pieces
from neural_kernels.empirical.module.jacobian import jacobian
from neural_kernels.empirical.module.model import Model, check_finite
from neural_kernels.empirical.module.outputs import OutputProjection
from neural_kernels.runtime.heap import keep_freed
from neural_kernels.runtime.lazy import cached_property

_THREAD = 1 << 26  # bytes that the C library may keep for each thread once they are freed
_KEPT = 3  # of every number that a layer writes: itself, and what activations keep and make of it


@dataclass(frozen=True)
class PassLimits:
    """How many examples a pass through the module takes, and when passes run at the same time.

    Parameters
    ----------
    kept : int
        Numbers that all passes at a time may keep, whatever the gradients take.
    share : float
        They may keep as many as the gradients of the block take, times this, if that is more.
    parallel : int
        Numbers in all passes of a block that are worth one more pass at the same time: with fewer, waking a thread
        takes longer than it saves.
    """

    kept: int = 1 << 23
    share: float = 1.5
    parallel: int = 1 << 22


@dataclass(frozen=True)
class GradientPlan:
    """How the gradients of a module's probed outputs are held, and how they come about.

    Parameters
    ----------
    model : Model
    structure : ModuleStructure
        Of the model, for the shape of examples at hand.
    projection : OutputProjection
        The outputs that count.
    whole : frozenset of tuple of str
        Groups, by their names, whose gradients are formed; all others are held as factors.
    room : int
        Bytes that passes through the module may keep.
    limits : PassLimits
    """

    model: Model
    structure: ModuleStructure
    projection: OutputProjection
    whole: frozenset[tuple[str, ...]]
    room: int
    limits: PassLimits = PassLimits()

    @classmethod
    def smallest(
        cls,
        model: Model,
        structure: ModuleStructure,
        projection: OutputProjection,
        room: int,
        limits: PassLimits = PassLimits(),
    ) -> GradientPlan:
        """For every group the form that takes less memory, whose products are then cheaper as well."""
        k = projection.probed
        whole = [group.names for group in structure.groups if _whole_is_smaller(structure, group, k)]
        return cls(model, structure, projection, frozenset(whole), room, limits)

    @cached_property
    def passes(self) -> ParallelPasses:
        """The recorders of passes; there are more of them with more work."""
        return ParallelPasses(self.structure)

    @property
    def numbers(self) -> int:
        """Numbers in all gradients of one example, as they are held."""
        k = self.projection.probed
        held = k * sum(self.model.parameters[name].numel() for name in self.structure.unexplained)
        for group in self.structure.groups:
            whole = group.names in self.whole
            held += k * group.count if whole else _numbers_in_factors(self.structure, group, k)
        return held

    @property
    def bytes(self) -> int:
        """Bytes of all gradients of one example, as they are held."""
        return self.numbers * self.projection.columns.element_size()

    def gradients(self, batch: Any, rows: slice) -> list[GroupGradients]:
        """Gradients at a block of examples, captured as many at a time as keep passes through the module small.

        Parameters
        ----------
        batch : structure of tensors
        rows : slice
            The examples' numbers, for error messages.

        Returns
        -------
        list of GroupGradients
            One for every group of the structure, and one for all other parameters, if there are any.
        """
        keep_freed()
        parts, block = self._parts(batch, rows), BlockGradients()
        gradients = []
        if self.structure.groups:
            self.passes.run(parts, lambda recorder, part: self._capture(recorder, *part, rows, block))
            gradients = [block[group] for group in self.structure.groups]
        if self.structure.unexplained:
            gradients.append(self._differentiated(parts, rows))
        return [item.joined() for item in gradients] if self.projection.averaged else gradients

    def _parts(self, batch: Any, rows: slice) -> list[tuple[slice, Any]]:
        """The examples of every pass, as many passes for each recorder."""
        count, k = rows.stop - rows.start, self.projection.probed
        each = self._numbers_in_pass()
        passing = count * each
        self.passes.grow(min(count, k * passing // self.limits.parallel, self.room // _THREAD))
        room = self.room // self.projection.columns.element_size() // len(self.passes)
        numbers = min(room, max(self.limits.kept, self.limits.share * count * self.numbers))
        passes = math.ceil(passing / max(1, numbers) / len(self.passes)) * len(self.passes)
        fitting = max(1, room // max(1, each))  # passes of equal size, rounded up, may exceed the room
        return list(pieces(batch, rows, min(fitting, math.ceil(count / max(1, passes)))))

    def _numbers_in_pass(self) -> int:
        """Numbers of an example that a pass through the module keeps, and gradients by what was written."""
        k = self.projection.probed
        calls = [(call.size, min(k, call.site.rule.outputs_at_once)) for call in self.structure.calls if call]
        return sum(size.positions * size.wrote * (_KEPT + at_once) for size, at_once in calls)

    def _capture(self, recorder: Recorder, places: slice, batch: Any, rows: slice, block: BlockGradients) -> None:
        """Run one pass, for the examples `places` of the block `rows`, and write its gradients to `block`."""
        recording = recorder.record(batch, places.stop - places.start)
        if not self.structure.matches(recording):
            raise ValueError(
                f"the module calls other layers for examples {places.start} to {places.stop} than for the first "
                "ones. Pass method='jacobian'."
            )
        check_finite(recording.outputs, places)
        columns, place = self.projection.scaled(), slice(places.start - rows.start, places.stop - rows.start)
        block_pass = BlockPass(recording, place, rows.stop - rows.start, columns.shape[1])
        writers = [self._writer(group, block_pass, block) for group in self.structure.groups]
        for column, gradients in enumerate(recording.gradients(columns)):
            for writer in writers:
                writer.add(column, gradients)

    def _writer(self, group: ParameterGroup, block_pass: BlockPass, block: BlockGradients) -> PassGradients:
        calls = group.used(self.structure.calls)
        kind = WholePassGradients if group.names in self.whole else OuterPassGradients
        return kind(calls, group, block_pass, block)

    def _differentiated(self, parts: list[tuple[slice, Any]], rows: slice) -> WholeGradients:
        """Gradients by the parameters that no group explains."""
        columns = self.projection.scaled()
        count = sum(self.model.parameters[name].numel() for name in self.structure.unexplained)
        values = columns.new_empty(rows.stop - rows.start, columns.shape[1], count)
        for places, part in parts:
            gradients = jacobian(self.model, self.structure.unexplained, part, columns, places)
            flat = [gradient.reshape(*gradient.shape[:2], -1) for gradient in gradients.values()]
            torch.cat(flat, 2, out=values[places.start - rows.start : places.stop - rows.start])
        return WholeGradients(values)


def _whole_is_smaller(structure: ModuleStructure, group: ParameterGroup, k: int) -> bool:
    """Whether gradients take less memory than their factors; if so, their products are cheaper as well."""
    return not structure.has_factors(group) or k * group.count <= _numbers_in_factors(structure, group, k)


def _numbers_in_factors(structure: ModuleStructure, group: ParameterGroup, k: int) -> int:
    """Numbers in the factors of one example's gradients."""
    sizes = [call.size for call in group.used(structure.calls)]
    return sum(size.positions * (size.read + k * size.wrote) for size in sizes)
