"""Which parameters a module's layers account for: found by probing it, and checked against plain autograd."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from neural_kernels.empirical.batches import Source
from neural_kernels.empirical.capture import Recording, record
from neural_kernels.empirical.factors import Factor, join
from neural_kernels.empirical.model import Model, check_finite
from neural_kernels.empirical.rules import Rule, Size, rule_of

_TOLERANCE = {torch.float32: 1e-3, torch.float64: 1e-8}
_PROBES = [0, 1], [0, 1, 0]  # examples: what doubles or trebles with their number belongs to them


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
    """One call of a layer in the forward pass."""

    module: nn.Module
    rule: Rule
    read: Layout
    wrote: Layout
    size: Size


@dataclass(frozen=True)
class Group:
    """Parameters that are always used together: calls by number, with the parameters' roles in each."""

    names: tuple[str, ...]
    calls: tuple[int, ...]
    roles: tuple[tuple[str, ...], ...]

    def factor(
        self, calls: Sequence[Call | None], recording: Recording, gradients: list[list[Tensor]], whole: bool
    ) -> Factor:
        """The gradients by these parameters, materialised if `whole`."""
        parts = []
        for number, roles in zip(self.calls, self.roles, strict=True):
            call = calls[number]
            assert call is not None
            read = call.read.first(recording.uses[number].read)
            wrote = [call.wrote.first(column[number]) for column in gradients]
            form = call.rule.materialise if whole else call.rule.outer
            parts.append(form(call.module, read, wrote, roles))
        return join(parts)


@dataclass(frozen=True)
class Structure:
    """How a module's parameters come into its outputs.

    Parameters
    ----------
    modules : list of Module
        Those to be remembered.
    calls : list of Call or None
        In their order; None for one whose examples cannot be told apart.
    groups : list of Group
    rest : list of str
        Parameters that no group explains.
    outputs : int
    """

    modules: list[nn.Module]
    calls: list[Call | None]
    groups: list[Group]
    rest: list[str]
    outputs: int


def explore(model: Model, source: Source, layered: bool) -> Structure:
    """Probe a module with two and with three examples.

    Raises
    ------
    ValueError
        An example's outputs depend on the other examples, or on chance; or they are not finite.
    """
    modules = _candidates(model) if layered else []
    batches = [source.some(probe) for probe in _PROBES]
    two, three = (record(model, modules, batch, len(p)) for batch, p in zip(batches, _PROBES, strict=True))
    check_finite(three.outputs, slice(0, 3))
    _check_independent(two.outputs.detach(), three.outputs.detach())
    calls = _calls(two, three)
    groups = _verified(model, batches[0], two, calls, _groups(model, calls))
    explained = {name for group in groups for name in group.names}
    rest = [name for name in model.parameters if name not in explained]
    return Structure(modules, calls, groups, rest, two.outputs.shape[1])


def _candidates(model: Model) -> list[nn.Module]:
    """Modules that own selected parameters and have a rule."""
    wanted = {id(p) for p in model.parameters.values()}
    owners = [m for m in model.module.modules() if any(id(p) in wanted for p in m.parameters(recurse=False))]
    return [module for module in owners if rule_of(module) is not None]


def _calls(two: Recording, three: Recording) -> list[Call | None]:
    """The calls of layers; None for one whose examples cannot be told apart by shapes."""
    if [use.module for use in two.uses] != [use.module for use in three.uses]:
        return []
    calls: list[Call | None] = []
    for a, b in zip(two.uses, three.uses, strict=True):
        rule = rule_of(a.module)
        read, wrote = Layout.between(a.read.shape, b.read.shape), Layout.between(a.wrote.shape, b.wrote.shape)
        if rule is None or read is None or wrote is None:
            calls.append(None)
        else:
            size = rule.size(a.module, read.first(a.read), wrote.first(a.wrote.detach()))
            calls.append(Call(a.module, rule, read, wrote, size))
    return calls


def _groups(model: Model, calls: Sequence[Call | None]) -> list[Group]:
    """Parameters by the calls that use them; those of one layer come together, unless one of them is shared."""
    names = {id(p): name for name, p in model.parameters.items()}
    uses: dict[str, list[tuple[int, str]]] = defaultdict(list)
    for number, call in enumerate(calls):
        for role, p in call.module.named_parameters(recurse=False) if call else ():
            if id(p) in names:
                uses[names[id(p)]].append((number, role))
    together: dict[tuple[int, ...], list[str]] = defaultdict(list)
    for name, places in uses.items():
        together[tuple(number for number, _ in places)].append(name)
    return [
        Group(tuple(members), numbers, tuple(zip(*([role for _, role in uses[name]] for name in members), strict=True)))
        for numbers, members in together.items()
    ]


def _verified(
    model: Model, batch: Any, recording: Recording, calls: Sequence[Call | None], groups: list[Group]
) -> list[Group]:
    """The groups whose gradients have the norms that plain autograd gives.

    This finds whatever the calls of layers do not tell: weights that are used outside their layer, examples that lie
    otherwise than supposed, subclasses and hooks that compute something else.
    """
    if not groups:
        return []
    generator = torch.Generator().manual_seed(0)
    draw = torch.randn(recording.outputs.shape[1] + 2, 1, generator=generator).to(recording.outputs)
    probe, weights = draw[:-2], draw[-2:]
    values = {name: model.parameters[name].detach().requires_grad_() for group in groups for name in group.names}
    with torch.enable_grad():
        total = (weights * (model.at(values, batch, 2) @ probe)).sum()
    true = dict(zip(values, torch.autograd.grad(total, list(values.values()), materialize_grads=True), strict=True))
    whole = sum(float(gradient.square().sum()) for gradient in true.values())
    columns = recording.gradients(probe)
    good = []
    for group in groups:
        norm = sum(float(true[name].square().sum()) for name in group.names)
        gram = probe.new_zeros(2, 2)
        factor = group.factor(calls, recording, columns, whole=True)
        factor.add_gram(factor, gram)
        error = abs(float((weights.T @ gram @ weights).squeeze()) - norm)
        if error <= _TOLERANCE[probe.dtype] * (norm + 1e-6 * whole):
            good.append(group)
    return good


def _check_independent(two: Tensor, three: Tensor) -> None:
    """Outputs of the first examples, in two batches, must agree."""
    error = (two - three[:2]).abs().max()
    if error > 1e-3 * three.abs().max():
        raise ValueError(
            "the module gives an example other outputs in another batch: they depend on the other examples or on "
            "chance, so there is no kernel between examples. Call module.eval(); look for statistics over the batch."
        )
