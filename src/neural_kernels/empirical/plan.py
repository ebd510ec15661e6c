"""For every group of parameters the cheaper of two forms, and the gradients of a block of examples in them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch

from neural_kernels.empirical.batches import pieces
from neural_kernels.empirical.factors import Factor, Materialised, stack
from neural_kernels.empirical.jacobian import jacobian
from neural_kernels.empirical.model import Model, check_finite
from neural_kernels.empirical.probe import Probe
from neural_kernels.empirical.structure import Call, Group, Structure

_HALVES, _PAIRS = 2.0, 1.2  # time of a multiplication there, in those of one large matrix product (measured)
_ENTRY = 16  # time of an entry that is multiplied and summed, likewise
_CAPTURE = 1 << 24  # numbers that a forward and backward pass may keep at a time


@dataclass(frozen=True)
class Plan:
    """How the gradients of a module's probed outputs are held."""

    model: Model
    structure: Structure
    probe: Probe
    whole: frozenset[tuple[str, ...]]  # groups to be materialised

    @classmethod
    def of(cls, model: Model, structure: Structure, probe: Probe, partners: float) -> Plan:
        """Choose by counted operations; `partners` is the number of pairs over the number of gradients formed."""
        whole = [group.names for group in structure.groups if _materialise(structure, group, probe, partners)]
        return cls(model, structure, probe, frozenset(whole))

    @property
    def numbers(self) -> int:
        """Of all gradients of one example, as they are held."""
        groups = self.structure.groups
        held = sum(_held(self.structure, group, self.probe, group.names in self.whole) for group in groups)
        rest = sum(self.model.parameters[name].numel() for name in self.structure.rest)
        return held + self.probe.columns.shape[1] * rest

    @property
    def bytes(self) -> int:
        """The same in bytes."""
        return self.numbers * self.probe.columns.element_size()

    def factors(self, batch: Any, rows: slice) -> list[Factor]:
        """Gradients at a block of examples, captured as many at a time as stay in cache."""
        k = self.probe.columns.shape[1]
        passing = sum(call.size.positions * (call.size.read + (k + 2) * call.size.wrote) for call in self._calls())
        size = max(1, _CAPTURE // max(1, passing + self.numbers))
        parts = [self._capture(part, piece) for piece, part in pieces(batch, rows, size)]
        return [stack(factors) for factors in zip(*parts, strict=True)]

    def _calls(self) -> list[Call]:
        return [call for call in self.structure.calls if call]

    def _capture(self, batch: Any, rows: slice) -> list[Factor]:
        count = rows.stop - rows.start
        structure, columns = self.structure, self.probe.scaled()
        factors: list[Factor] = []
        if structure.groups:
            recording = structure.recorder.record(batch, count)
            if len(recording.uses) != len(structure.calls):
                raise ValueError(
                    f"the module calls {len(recording.uses)} layers for examples {rows.start} to {rows.stop}, "
                    f"{len(structure.calls)} for the first ones. Pass method='jacobian'."
                )
            check_finite(recording.outputs, rows)
            gradients = recording.gradients(columns)
            for group in structure.groups:
                whole = group.names in self.whole
                factors.append(group.factor(structure.calls, recording, gradients, whole))
        if structure.rest:
            own = jacobian(self.model, structure.rest, batch, columns)
            factors.append(Materialised(torch.cat([value.flatten(2) for value in own.values()], 2)))
        return [self.probe.fold(factor) for factor in factors]


def _materialise(structure: Structure, group: Group, probe: Probe, partners: float) -> bool:
    """Whether inner products of whole gradients are cheaper than those of their factors."""
    calls = [structure.calls[number] for number in group.calls]
    sizes = [call.size for call in calls if call]
    rules = {type(call.site.rule) for call in calls if call}
    if len(rules) > 1 or not all(call.site.rule.separates(call.site.module) for call in calls if call):
        return True
    t, i, j = sum(size.positions for size in sizes), sizes[0].read, sizes[0].wrote
    k = probe.columns.shape[1]
    forming = k * t * i * j / partners
    kept, wrote = (1, k * j) if probe.averaged else (k, j)
    whole = forming + kept * k * group.count
    if t * kept <= t + kept:
        return whole < _PAIRS * t * t * (i + kept * kept * wrote) + _ENTRY * (t * kept) ** 2
    return whole < _HALVES * (t * t * i + kept * t * t * wrote + kept * kept * t * wrote)


def _held(structure: Structure, group: Group, probe: Probe, whole: bool) -> int:
    """Numbers of an example's gradients."""
    k = probe.columns.shape[1]
    if whole:
        return k * group.count
    sizes = [call.size for call in (structure.calls[number] for number in group.calls) if call]
    return sum(size.positions * (size.read + k * size.wrote) for size in sizes)
