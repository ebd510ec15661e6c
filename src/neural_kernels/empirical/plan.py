"""For every group of parameters the cheaper of two forms, and the gradients of a block of examples in them."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import torch

from neural_kernels.empirical.batches import pieces
from neural_kernels.empirical.factors import Factor, Materialised
from neural_kernels.empirical.fillings import Filling, OuterFilling, Piece, WholeFilling
from neural_kernels.empirical.jacobian import jacobian
from neural_kernels.empirical.model import Model, check_finite
from neural_kernels.empirical.probe import Probe
from neural_kernels.empirical.structure import Group, Structure
from neural_kernels.engine.heap import keep_freed

_CAPTURE = 1 << 23  # numbers that a pass through the module may keep, or
_SHARE = 1.5  # times those that the gradients take, if that is more
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
        Bytes that a pass through the module may keep.
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
        """Gradients at a block of examples, captured as many at a time as keep a pass through the module small."""
        keep_freed()
        count = rows.stop - rows.start
        room = self.room // self.probe.columns.element_size()
        numbers = min(room, max(_CAPTURE, _SHARE * count * self.numbers))
        passes = math.ceil(count * self._passing() / max(1, numbers))
        blocks: list[Factor | None] = [None] * (len(self.structure.groups) + bool(self.structure.rest))
        for places, part in pieces(batch, rows, math.ceil(count / max(1, passes))):
            self._capture(part, places, rows, blocks)
        return [self.probe.fold(factor) for factor in blocks if factor]

    def _passing(self) -> int:
        """Numbers of an example that a pass through the module keeps, and gradients by what was written."""
        k = self.probe.columns.shape[1]
        calls = [(call.size, min(k, call.site.rule.together)) for call in self.structure.calls if call]
        return sum(size.positions * size.wrote * (_KEPT + together) for size, together in calls)

    def _capture(self, batch: Any, places: slice, rows: slice, blocks: list[Factor | None]) -> None:
        structure, columns = self.structure, self.probe.scaled()
        total, place = rows.stop - rows.start, slice(places.start - rows.start, places.stop - rows.start)
        if structure.groups:
            recording = structure.recorder.record(batch, places.stop - places.start)
            if not structure.explains(recording):
                raise ValueError(
                    f"the module calls other layers for examples {places.start} to {places.stop} than for the first "
                    "ones. Pass method='jacobian'."
                )
            check_finite(recording.outputs, places)
            piece = Piece(recording, place, total, columns.shape[1])
            fillings = [
                self._filling(group, piece, block) for group, block in zip(structure.groups, blocks, strict=False)
            ]
            for column, gradients in enumerate(recording.gradients(columns)):
                for filling in fillings:
                    filling.add(column, gradients)
            blocks[: len(fillings)] = [filling.block for filling in fillings]
        if structure.rest:
            gradients = jacobian(self.model, structure.rest, batch, columns, places)
            values = torch.cat([gradient.reshape(*gradient.shape[:2], -1) for gradient in gradients.values()], 2)
            block = blocks[-1] or Materialised(values.new_empty(total, *values.shape[1:]))
            block.tensors()[0][place] = values
            blocks[-1] = block

    def _filling(self, group: Group, piece: Piece, block: Any) -> Filling:
        calls = group.used(self.structure.calls)
        kind = WholeFilling if group.names in self.whole else OuterFilling
        return kind(calls, group, piece, block)


def _whole(structure: Structure, group: Group, k: int) -> bool:
    """Whether gradients take less memory than their factors; if so, their products are cheaper as well."""
    return not structure.separates(group) or k * group.count <= _factored(structure, group, k)


def _factored(structure: Structure, group: Group, k: int) -> int:
    """Numbers of an example's factors."""
    sizes = [call.size for call in group.used(structure.calls)]
    return sum(size.positions * (size.read + k * size.wrote) for size in sizes)
