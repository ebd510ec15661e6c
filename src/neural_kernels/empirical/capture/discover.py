"""Which parameters a module's layers account for: found by probing it, and checked against plain autograd."""

from __future__ import annotations

import warnings
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from neural_kernels.empirical.capture.hooks import spreads, watches
from neural_kernels.empirical.capture.recording import Recorder, Recording
from neural_kernels.empirical.capture.structure import Call, Group, Layout, Structure
from neural_kernels.empirical.module.batches import Source, detached
from neural_kernels.empirical.module.model import Model, check_finite

_TOLERANCE = {torch.float32: 1e-3, torch.float64: 1e-8}
_COUPLED = (
    "the module gives an example other outputs in another batch: they depend on the other examples or on chance, so "
    "there is no kernel between examples. Call module.eval(); look for statistics over the batch."
)
_PROBES = [0, 1], [0, 1, 0]  # examples: what doubles or trebles with their number belongs to them


def explore(model: Model, source: Source, layered: bool) -> Structure:
    """Probe a module with two and with three examples.

    Raises
    ------
    ValueError
        An example's outputs depend on the other examples, or on chance; or they are not finite.
    """
    batches = [source.some(probe) for probe in _PROBES]
    recorder = Recorder(model, watches(model.module, model.parameters) if layered else [])
    two, three = _recordings(recorder, batches)
    check_finite(three.outputs, slice(0, 3))
    _check_independent(two.outputs.detach(), three.outputs.detach())
    outputs = two.outputs.shape[1]
    if not layered:
        return Structure(recorder, [], [], list(model.parameters), outputs)
    common = [i for i, (a, b) in enumerate(zip(two.uses, three.uses, strict=False)) if a.wrote.shape == b.wrote.shape]
    if common:
        recorder = _if_right(recorder, replace(recorder, common=frozenset(common)), batches)
    structure = _explain(recorder, batches)
    for name in structure.rest:
        if not _own(model, name):
            continue
        for spread in spreads(name, model.parameters[name]):
            trial = replace(recorder, spreads=(*recorder.spreads, spread))
            if name not in _explain(_if_right(recorder, trial, batches), batches).rest:
                recorder = trial
                break
    return replace(_explain(recorder, batches), copyable=_copyable(recorder, batches[0]))


def _recordings(recorder: Recorder, batches: Sequence[Any]) -> tuple[Recording, Recording]:
    two, three = (recorder.record(batch, len(probe)) for batch, probe in zip(batches, _PROBES, strict=True))
    return two, three


def _if_right(old: Recorder, new: Recorder, batches: Sequence[Any]) -> Recorder:
    """The new one, if the outputs are the same with it."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of shapes that torch finds odd
        try:
            recordings = _recordings(new, batches)
        except (RuntimeError, ValueError, IndexError):  # of shapes that do not fit
            return old
    for changed, expected in zip(recordings, _recordings(old, batches), strict=True):
        if not _agree(changed.outputs.detach(), expected.outputs.detach()):
            return old
    return new


def _agree(outputs: Tensor, expected: Tensor) -> bool:
    return outputs.shape == expected.shape and torch.allclose(
        outputs, expected, 1e-4, 1e-4 * float(expected.abs().max())
    )


def _copyable(recorder: Recorder, two: Any) -> bool:
    """Whether the module is on the CPU, and copies of it run by themselves and compute the same.

    One that uses the module's parameters (by a closure of a hook, say) has no others to differentiate by, so it shows:
    its outputs require gradients.
    """
    copy = recorder.copied() if recorder.model.place.device.type == "cpu" else None
    if copy is None:
        return False
    values = {name: p.detach() for name, p in recorder.model.module.named_parameters()}
    with torch.enable_grad():
        expected = recorder.model.at(values, detached(two), 2)
        try:
            outputs = copy.model.at(values, detached(two), 2)
        except Exception:  # of any kind: the copy lacks something, and the module does not
            return False
    return not outputs.requires_grad and _agree(outputs, expected)


def _own(model: Model, name: str) -> bool:
    """Whether a parameter belongs to a module that is none of torch's, in which anything may happen to it."""
    owner = dict(model.module.named_modules())[name.rpartition(".")[0]]
    return not type(owner).__module__.startswith("torch.")


def _explain(recorder: Recorder, batches: Sequence[Any]) -> Structure:
    two, three = _recordings(recorder, batches)
    calls = _calls(two, three)
    _check_separate(two, calls)
    groups = _verified(recorder.model, batches[0], two, calls, _groups(recorder.model, calls))
    explained = {name for group in groups for name in group.names}
    rest = [name for name in recorder.model.parameters if name not in explained]
    return Structure(recorder, calls, groups, rest, two.outputs.shape[1])


def _calls(two: Recording, three: Recording) -> list[Call | None]:
    """The uses of sites; None for one whose examples cannot be told apart by shapes."""
    if [use.site for use in two.uses] != [use.site for use in three.uses]:
        return []
    calls: list[Call | None] = []
    for a, b in zip(two.uses, three.uses, strict=True):
        read, wrote = Layout.between(a.read.shape, b.read.shape), Layout.between(a.wrote.shape, b.wrote.shape)
        if wrote is None or (read is None and a.site.rule.reads):
            calls.append(None)
        else:
            own = a.read if read is None else read.first(a.read, 2)
            size = a.site.rule.size(a.site.module, own, wrote.first(a.wrote.detach(), 2))
            calls.append(Call(a.site, read, wrote, size))
    return calls


def _groups(model: Model, calls: Sequence[Call | None]) -> list[Group]:
    """Parameters by the calls that use them.

    Weight and bias of a layer come together where it reads one position: the product over what it wrote serves both.
    """
    uses: dict[str, list[tuple[int, str]]] = defaultdict(list)
    for number, call in enumerate(calls):
        for role, name in call.site.names.items() if call else ():
            uses[name].append((number, role))
    together: dict[tuple[tuple[int, ...], str], list[str]] = defaultdict(list)
    for name, places in uses.items():
        numbers = tuple(number for number, _ in places)
        single = all(call.size.positions == 1 for call in (calls[number] for number in numbers) if call)
        together[numbers, "" if single else name].append(name)
    groups = []
    for (numbers, _), members in together.items():
        roles = tuple(zip(*([role for _, role in uses[name]] for name in members), strict=True))
        count = sum(model.parameters[name].numel() for name in members)
        groups.append(Group(tuple(members), numbers, roles, count))
    return groups


def _verified(
    model: Model, batch: Any, recording: Recording, calls: Sequence[Call | None], groups: list[Group]
) -> list[Group]:
    """The groups whose gradients have the norms that plain autograd gives.

    This finds whatever the calls of layers do not tell: weights that are used outside their layer, examples that lie
    otherwise than supposed, hooks that compute something else.
    """
    if not groups:
        return []
    generator = torch.Generator().manual_seed(0)
    draw = torch.randn(recording.outputs.shape[1] + 2, 1, generator=generator).to(recording.outputs)
    probe, weights = draw[:-2], draw[-2:]
    values = {name: model.parameters[name].detach().requires_grad_() for group in groups for name in group.names}
    with torch.enable_grad():
        total = (weights * (model.at(values, batch, 2) @ probe)).sum()
    if not total.requires_grad:
        return []
    true = dict(zip(values, torch.autograd.grad(total, list(values.values()), materialize_grads=True), strict=True))
    whole = sum(float(gradient.square().sum()) for gradient in true.values())
    (gradients,) = recording.gradients(probe)
    good = []
    for group in groups:
        norm = sum(float(true[name].square().sum()) for name in group.names)
        rows = _by_rules(group, calls, recording, gradients)
        error = abs(float((weights.T @ (rows @ rows.T) @ weights).squeeze()) - norm)
        if error <= _TOLERANCE[probe.dtype] * (norm + 1e-6 * whole):
            good.append(group)
    return good


def _by_rules(group: Group, calls: Sequence[Call | None], recording: Recording, gradients: Sequence[Tensor]) -> Tensor:
    """The gradients by a group's parameters for two examples, shape (2, P), as the rules of its layers give them."""
    used = group.used(calls)
    rows = recording.outputs.new_empty(2, 1, group.count)
    for index, (site, read, roles) in enumerate(group.reads(used, recording, 2)):
        wrote = used[index].wrote.first(gradients[group.calls[index]], 2)
        site.rule.materialise(
            site.module, site.rule.prepare(site.module, read, roles), [wrote], roles, rows, add=index > 0
        )
    return rows[:, 0]


def _check_separate(two: Recording, calls: Sequence[Call | None]) -> None:
    """The first example's outputs may not follow what was written for it and for the second, even if both are equal."""
    seed = torch.zeros_like(two.outputs)
    seed[0] = torch.randn(seed.shape[1], generator=torch.Generator().manual_seed(0))
    for call, gradient in zip(calls, two.gradients_of(seed), strict=False):
        if call and gradient.shape[call.wrote.axis] == 2 and gradient.isfinite().all():
            mine, other = (rows.abs().amax() for rows in call.wrote.first(gradient, 2))
            if min(mine, other) > 1e-6 * max(mine, other):
                raise ValueError(_COUPLED)


def _check_independent(two: Tensor, three: Tensor) -> None:
    """Outputs of the first examples, in two batches, must agree."""
    error = (two - three[:2]).abs().max()
    if error > 1e-3 * three.abs().max():
        raise ValueError(_COUPLED)
