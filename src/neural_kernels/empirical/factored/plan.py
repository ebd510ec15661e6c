"""For every group of parameters the cheaper of two forms, and the gradients of a block of examples in them."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch

from neural_kernels.empirical.capture.recording import Recorder
from neural_kernels.empirical.capture.structure import Group, Structure
from neural_kernels.empirical.factored.accumulate import Blocks, Filling, OuterFilling, Piece, WholeFilling
from neural_kernels.empirical.factored.factors import Factor, Materialised
from neural_kernels.empirical.factored.passes import Crew
from neural_kernels.empirical.module.batches import pieces
from neural_kernels.empirical.module.jacobian import jacobian
from neural_kernels.empirical.module.model import Model, check_finite
from neural_kernels.empirical.module.outputs import Probe
from neural_kernels.runtime.heap import keep_freed

_CAPTURE = 1 << 23  # numbers that a pass through the module may keep, or
_SHARE = 1.5  # times those that the gradients take, if that is more
_ALONE = 1 << 22  # numbers of all passes that are worth one more pass at the same time
_THREAD = 1 << 26  # bytes that the C library may keep for each thread once they are freed
_KEPT = 3  # of every number that a layer writes: itself, and what activations keep and make of it


@dataclass(frozen=True)
class Plan:
    """How the gradients of a module's probed outputs are held, and how they come about.

    Parameters
    ----------
    model : Model
    structure : Structure
    probe : Probe
    whole : frozenset of tuple of str
        Groups to be materialised.
    room : int
        Bytes that passes through the module may keep.
    """

    model: Model
    structure: Structure
    probe: Probe
    whole: frozenset[tuple[str, ...]]
    room: int

    @classmethod
    def of(cls, model: Model, structure: Structure, probe: Probe, room: int) -> Plan:
        """Whichever form takes less memory."""
        k = probe.columns.shape[1]
        whole = [group.names for group in structure.groups if _whole(structure, group, k)]
        return cls(model, structure, probe, frozenset(whole), room)

    @cached_property
    def crew(self) -> Crew:
        """What records passes; it grows with the work."""
        return Crew(self.structure)

    @property
    def numbers(self) -> int:
        """Of all gradients of one example, as they are held."""
        k = self.probe.columns.shape[1]
        held = k * sum(self.model.parameters[name].numel() for name in self.structure.rest)
        for group in self.structure.groups:
            whole = group.names in self.whole
            held += k * group.count if whole else _factored(self.structure, group, k)
        return held

    @property
    def bytes(self) -> int:
        """The same in bytes."""
        return self.numbers * self.probe.columns.element_size()

    def factors(self, batch: Any, rows: slice) -> list[Factor]:
        """Gradients at a block of examples, captured as many at a time as keep passes through the module small."""
        keep_freed()
        parts, blocks = self._parts(batch, rows), Blocks()
        factors = []
        if self.structure.groups:
            self.crew.run(parts, lambda recorder, part: self._capture(recorder, *part, rows, blocks))
            factors = [blocks[group] for group in self.structure.groups]
        if self.structure.rest:
            factors.append(self._differentiated(parts, rows))
        return [factor.joined() for factor in factors] if self.probe.averaged else factors

    def _parts(self, batch: Any, rows: slice) -> list[tuple[slice, Any]]:
        """The examples of every pass, as many for each recorder."""
        count, k = rows.stop - rows.start, self.probe.columns.shape[1]
        passing = count * self._passing()
        self.crew.grow(min(count, k * passing // _ALONE, self.room // _THREAD))
        room = self.room // self.probe.columns.element_size() // len(self.crew)
        numbers = min(room, max(_CAPTURE, _SHARE * count * self.numbers))
        passes = math.ceil(passing / max(1, numbers) / len(self.crew)) * len(self.crew)
        return list(pieces(batch, rows, math.ceil(count / max(1, passes))))

    def _passing(self) -> int:
        """Numbers of an example that a pass through the module keeps, and gradients by what was written."""
        k = self.probe.columns.shape[1]
        calls = [(call.size, min(k, call.site.rule.together)) for call in self.structure.calls if call]
        return sum(size.positions * size.wrote * (_KEPT + together) for size, together in calls)

    def _capture(self, recorder: Recorder, places: slice, batch: Any, rows: slice, blocks: Blocks) -> None:
        recording = recorder.record(batch, places.stop - places.start)
        if not self.structure.explains(recording):
            raise ValueError(
                f"the module calls other layers for examples {places.start} to {places.stop} than for the first "
                "ones. Pass method='jacobian'."
            )
        check_finite(recording.outputs, places)
        columns, place = self.probe.scaled(), slice(places.start - rows.start, places.stop - rows.start)
        piece = Piece(recording, place, rows.stop - rows.start, columns.shape[1])
        fillings = [self._filling(group, piece, blocks) for group in self.structure.groups]
        for column, gradients in enumerate(recording.gradients(columns)):
            for filling in fillings:
                filling.add(column, gradients)

    def _filling(self, group: Group, piece: Piece, blocks: Blocks) -> Filling:
        calls = group.used(self.structure.calls)
        kind = WholeFilling if group.names in self.whole else OuterFilling
        return kind(calls, group, piece, blocks)

    def _differentiated(self, parts: list[tuple[slice, Any]], rows: slice) -> Materialised:
        """Gradients by the parameters that no group explains."""
        columns = self.probe.scaled()
        count = sum(self.model.parameters[name].numel() for name in self.structure.rest)
        values = columns.new_empty(rows.stop - rows.start, columns.shape[1], count)
        for places, part in parts:
            gradients = jacobian(self.model, self.structure.rest, part, columns, places)
            flat = [gradient.reshape(*gradient.shape[:2], -1) for gradient in gradients.values()]
            torch.cat(flat, 2, out=values[places.start - rows.start : places.stop - rows.start])
        return Materialised(values)


def _whole(structure: Structure, group: Group, k: int) -> bool:
    """Whether gradients take less memory than their factors; if so, their products are cheaper as well."""
    return not structure.separates(group) or k * group.count <= _factored(structure, group, k)


def _factored(structure: Structure, group: Group, k: int) -> int:
    """Numbers of an example's factors."""
    sizes = [call.size for call in group.used(structure.calls)]
    return sum(size.positions * (size.read + k * size.wrote) for size in sizes)
