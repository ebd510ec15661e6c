"""Which parameters a module's layers account for: found by probing it, and checked against plain autograd.

A model and some examples go in, a `ModuleStructure` comes out. Nothing is taken on trust: what the shapes of two
recordings suggest is kept for a group of parameters only if its gradients have the norm that autograd gives.
"""

from __future__ import annotations

import warnings
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from neural_kernels.empirical.capture.hooks import broadcasts_of, hooks_of
from neural_kernels.empirical.capture.recording import Recorder, Recording
from neural_kernels.empirical.capture.structure import ExampleAxis, LayerCall, ModuleStructure, ParameterGroup
from neural_kernels.empirical.module.batches import ExampleSource, detached
from neural_kernels.empirical.module.model import Model, check_finite

_TOLERANCE = {torch.float32: 1e-3, torch.float64: 1e-8}
_COUPLED = (
    "the module gives an example other outputs in another batch: they depend on the other examples or on chance, so "
    "there is no kernel between examples. Call module.eval(); look for statistics over the batch."
)
_PROBES = [0, 1], [0, 1, 0]  # examples: what doubles or trebles with their number belongs to them


def discover(model: Model, source: ExampleSource, layered: bool) -> ModuleStructure:
    """Probe a module with two and with three examples.

    Parameters
    ----------
    model : Model
    source : ExampleSource
        Its first examples are used; one is repeated if there is only one.
    layered : bool
        Whether to look at layers at all; without them, every parameter is left unexplained.

    Raises
    ------
    ValueError
        An example's outputs depend on the other examples, or on chance; or they are not finite.
    """
    batches = [source.pick(probe) for probe in _PROBES]
    recorder = Recorder(model, hooks_of(model.module, model.parameters) if layered else [])
    two, three = _recordings(recorder, batches)
    check_finite(three.outputs, slice(0, 3))
    _check_independent(two.outputs.detach(), three.outputs.detach())
    outputs = two.outputs.shape[1]
    if not layered:
        return ModuleStructure(recorder, [], [], list(model.parameters), outputs)
    shared = [i for i, (a, b) in enumerate(zip(two.calls, three.calls, strict=False)) if a.wrote.shape == b.wrote.shape]
    if shared:
        recorder = _if_same_outputs(recorder, replace(recorder, shared=frozenset(shared)), batches)
    structure = _explain(recorder, batches)
    for name in structure.unexplained:
        if not _is_users_own(model, name):
            continue
        for broadcast in broadcasts_of(name, model.parameters[name]):
            trial = replace(recorder, broadcasts=(*recorder.broadcasts, broadcast))
            if name not in _explain(_if_same_outputs(recorder, trial, batches), batches).unexplained:
                recorder = trial
                break
    return replace(_explain(recorder, batches), copyable=_copyable(recorder, batches[0]))


def _recordings(recorder: Recorder, batches: Sequence[Any]) -> tuple[Recording, Recording]:
    """The forward passes of the batches of two and of three examples."""
    two, three = (recorder.record(batch, len(probe)) for batch, probe in zip(batches, _PROBES, strict=True))
    return two, three


def _if_same_outputs(old: Recorder, new: Recorder, batches: Sequence[Any]) -> Recorder:
    """The new recorder, if the module gives the same outputs with it; else the old one."""
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
    """Whether outputs have equal shapes and agree to 1e-4, of themselves or of the largest of them."""
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


def _is_users_own(model: Model, name: str) -> bool:
    """Whether a parameter belongs to a module of the user's own class, in which anything may happen to it."""
    owner = dict(model.module.named_modules())[name.rpartition(".")[0]]
    return not type(owner).__module__.startswith("torch.")


def _explain(recorder: Recorder, batches: Sequence[Any]) -> ModuleStructure:
    """What a recorder can explain, with the groups of parameters verified."""
    two, three = _recordings(recorder, batches)
    calls = _calls(two, three)
    _check_separate(two, calls)
    groups = _verified(recorder.model, batches[0], two, calls, _groups(recorder.model, calls))
    explained = {name for group in groups for name in group.names}
    unexplained = [name for name in recorder.model.parameters if name not in explained]
    return ModuleStructure(recorder, calls, groups, unexplained, two.outputs.shape[1])


def _calls(two: Recording, three: Recording) -> list[LayerCall | None]:
    """The calls of layers; None for one whose examples cannot be told apart by shapes."""
    if [call.site for call in two.calls] != [call.site for call in three.calls]:
        return []
    calls: list[LayerCall | None] = []
    for a, b in zip(two.calls, three.calls, strict=True):
        read = ExampleAxis.from_shapes(a.read.shape, b.read.shape)
        wrote = ExampleAxis.from_shapes(a.wrote.shape, b.wrote.shape)
        if wrote is None or (read is None and a.site.rule.needs_input):
            calls.append(None)
        else:
            own = a.read if read is None else read.examples_first(a.read, 2)
            size = a.site.rule.size(a.site.module, own, wrote.examples_first(a.wrote.detach(), 2))
            calls.append(LayerCall(a.site, read, wrote, size))
    return calls


def _groups(model: Model, calls: Sequence[LayerCall | None]) -> list[ParameterGroup]:
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
        groups.append(ParameterGroup(tuple(members), numbers, roles, count))
    return groups


def _verified(
    model: Model, batch: Any, recording: Recording, calls: Sequence[LayerCall | None], groups: list[ParameterGroup]
) -> list[ParameterGroup]:
    """The groups whose gradients have the norms that plain autograd gives.

    This finds whatever the calls of layers do not tell: weights that are used outside their layer, examples that lie
    otherwise than supposed, hooks that compute something else.
    """
    if not groups:
        return []
    generator = torch.Generator().manual_seed(0)
    draw = torch.randn(recording.outputs.shape[1] + 2, 1, generator=generator).to(recording.outputs)
    columns, weights = draw[:-2], draw[-2:]
    values = {name: model.parameters[name].detach().requires_grad_() for group in groups for name in group.names}
    with torch.enable_grad():
        total = (weights * (model.at(values, batch, 2) @ columns)).sum()
    if not total.requires_grad:
        return []
    true = dict(zip(values, torch.autograd.grad(total, list(values.values()), materialize_grads=True), strict=True))
    whole = sum(float(gradient.square().sum()) for gradient in true.values())
    (gradients,) = recording.gradients(columns)
    good = []
    for group in groups:
        norm = sum(float(true[name].square().sum()) for name in group.names)
        rows = _by_rules(group, calls, recording, gradients)
        error = abs(float((weights.T @ (rows @ rows.T) @ weights).squeeze()) - norm)
        if error <= _TOLERANCE[columns.dtype] * (norm + 1e-6 * whole):
            good.append(group)
    return good


def _by_rules(
    group: ParameterGroup, calls: Sequence[LayerCall | None], recording: Recording, gradients: Sequence[Tensor]
) -> Tensor:
    """The gradients by a group's parameters for two examples, shape (2, P), as the rules of its layers give them."""
    used = group.used(calls)
    rows = recording.outputs.new_empty(2, 1, group.count)
    for index, (site, read, roles) in enumerate(group.reads(used, recording, 2)):
        wrote = used[index].wrote.examples_first(gradients[group.calls[index]], 2)
        site.rule.materialise(
            site.module, site.rule.prepare(site.module, read, roles), [wrote], roles, rows, add=index > 0
        )
    return rows[:, 0]


def _check_separate(two: Recording, calls: Sequence[LayerCall | None]) -> None:
    """Refuse outputs of the first example that depend on what was written for the second, even if both are equal."""
    seed = torch.zeros_like(two.outputs)
    seed[0] = torch.randn(seed.shape[1], generator=torch.Generator().manual_seed(0))
    for call, gradient in zip(calls, two.gradients_of(seed), strict=False):
        if call and gradient.shape[call.wrote.axis] == 2 and gradient.isfinite().all():
            mine, other = (rows.abs().amax() for rows in call.wrote.examples_first(gradient, 2))
            if min(mine, other) > 1e-6 * max(mine, other):
                raise ValueError(_COUPLED)


def _check_independent(two: Tensor, three: Tensor) -> None:
    """Refuse outputs of the first two examples that differ between the two batches."""
    error = (two - three[:2]).abs().max()
    if error > 1e-3 * three.abs().max():
        raise ValueError(_COUPLED)
