"""Gradients of blocks of examples by every parameter for itself, each in the form that is cheapest to sketch.

A source of examples and what is known of the module go in; blocks of gradients by each parameter come out.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from torch import Tensor, nn

from neural_kernels.empirical.capture.structure import ModuleStructure, ParameterGroup
from neural_kernels.empirical.factored.contractions import OuterProducts
from neural_kernels.empirical.factored.gradients import GroupGradients, OuterGradients, WholeGradients
from neural_kernels.empirical.factored.plan import GradientPlan
from neural_kernels.empirical.module.batches import ExampleSource
from neural_kernels.empirical.module.jacobian import jacobian
from neural_kernels.empirical.module.model import Model
from neural_kernels.empirical.module.outputs import OutputProjection
from neural_kernels.empirical.rules.inputs import RowInput, VectorInput
from neural_kernels.empirical.rules.layers import EmbeddingRule

NUMBERS = 1 << 25  # in the gradients of examples that are taken together, where the user sets no budget


@dataclass(frozen=True)
class SketchLimits:
    """What decides in which form gradients are sketched, and of how many examples at a time.

    Parameters
    ----------
    transform : float
        The time of a step of a Fourier transform, in multiplications (measured).
    scatter : float
        The time to add an entry at its place, in multiplications (measured).
    examples : int
        The most examples whose gradients are formed together.
    """

    transform: float = 12
    scatter: float = 60
    examples: int = 256


def gradients_by_parameter(
    model: Model,
    source: ExampleSource,
    structure: ModuleStructure,
    projection: OutputProjection,
    width: int,
    memory: int,
    limits: SketchLimits,
) -> Iterator[tuple[slice, Iterator[tuple[str, GroupGradients]]]]:
    """Give blocks of examples with their gradients by every parameter, to be sketched in `width` columns.

    Parameters
    ----------
    model, source, structure, projection
        As `EmpiricalKernel` has found them.
    width : int
    memory : int
        Bytes for the gradients of a block, and as many for passes; one example is taken in any case.
    limits : SketchLimits
    """
    if source.differentiable():
        for rows, batch in source.blocks(source.length):
            own = jacobian(model, list(model.parameters), batch, projection.scaled(), rows)
            yield rows, ((name, WholeGradients(value.reshape(len(value), 1, -1))) for name, value in own.items())
        return
    whole = {group.names for group in structure.groups if _form(structure, group, projection.probed, width, limits)}
    plan = GradientPlan(model, structure, projection, frozenset(whole), memory)
    for rows, batch in source.blocks(max(1, min(limits.examples, memory // plan.bytes))):
        yield rows, _by_parameter(plan, plan.gradients(batch, rows))


def _form(structure: ModuleStructure, group: ParameterGroup, k: int, width: int, limits: SketchLimits) -> bool:
    """Whether to form a group's gradients, by counted operations: the cheaper way, or the only one."""
    if not structure.has_factors(group):
        return True
    calls = group.used(structure.calls)
    if isinstance(calls[0].site.rule, EmbeddingRule):
        return False
    t, entries = sum(call.size.positions for call in calls), k * group.count
    return entries * (t + limits.scatter) < limits.transform * t * width * width.bit_length()


def _by_parameter(plan: GradientPlan, gradients: Sequence[GroupGradients]) -> Iterator[tuple[str, GroupGradients]]:
    """Gradients by each parameter for itself, as matrices (all outputs' rows, columns)."""
    parameters, k = plan.model.parameters, plan.projection.probed
    for group, item in zip(plan.structure.groups, gradients, strict=False):
        if len(group.names) == 1:
            yield group.names[0], item
            continue
        names = dict(zip(group.roles[0], group.names, strict=True))
        weight, bias = names["weight"], names["bias"]
        if isinstance(item, OuterGradients) and isinstance(item.factors.inputs, VectorInput):
            rows, wrote = item.factors.inputs.ordered(), item.factors.gradients
            yield weight, OuterGradients(OuterProducts(RowInput(rows[..., :-1]), wrote))
            yield bias, WholeGradients((wrote * rows[:, :, None, -1:]).sum(1))  # the weight of the last column
        elif parameters[weight].shape == parameters[bias].shape:
            yield from _cut(item.materialise(), group.names, parameters, k)
        else:
            table = item.materialise().reshape(-1, k, len(parameters[bias]), 1 + parameters[weight][0].numel())
            yield weight, WholeGradients(table[..., :-1].flatten(1)[:, None])
            yield bias, WholeGradients(table[..., -1].flatten(1)[:, None])
    if plan.structure.unexplained:
        yield from _cut(gradients[-1].materialise(), plan.structure.unexplained, parameters, k)


def _cut(
    values: Tensor, names: Sequence[str], parameters: dict[str, nn.Parameter], k: int
) -> Iterator[tuple[str, GroupGradients]]:
    """Gradients of several parameters, which lie one after the other for each of k outputs."""
    parts = values.reshape(len(values), k, -1).split([parameters[name].numel() for name in names], 2)
    for name, part in zip(names, parts, strict=True):
        yield name, WholeGradients(part.flatten(1)[:, None])
