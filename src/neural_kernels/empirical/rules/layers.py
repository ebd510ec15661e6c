"""The kinds of layers whose gradients are known, one rule for each, and which rule a module has.

A module goes into `rule_of` and comes out as a rule or None; `capture` then hands the rule what the module read.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812
from typing_extensions import override

from neural_kernels.empirical.rules.base import CallSize, LayerRule, with_ones, write_or_add
from neural_kernels.empirical.rules.convolutions import ConvolutionRule
from neural_kernels.empirical.rules.inputs import IndexInput, LayerInput, RowInput
from neural_kernels.finite.modules import NTKLinear


class LinearRule(LayerRule):
    """`nn.Linear`: a row is read at each position, and positions are all axes between the first and the last."""

    @override
    def size(self, module: Any, read: Tensor, wrote: Tensor) -> CallSize:
        return CallSize(read.numel() // (len(read) * read.shape[-1]), read.shape[-1], wrote.shape[-1])

    @override
    def layer_input(self, module: Any, read: Tensor, roles: tuple[str, ...]) -> LayerInput:
        return with_ones(read.flatten(1, -2), roles)


class ScaledLinearRule(LayerRule):
    """The linear maps of `Layer.to_torch`: channels lie on the second axis, and each parameter has a factor."""

    @override
    def size(self, module: NTKLinear, read: Tensor, wrote: Tensor) -> CallSize:
        outputs, inputs = module.weight.shape
        return CallSize(read.numel() // (len(read) * inputs), inputs, outputs)

    @override
    def layer_input(self, module: NTKLinear, read: Tensor, roles: tuple[str, ...]) -> LayerInput:
        """Rows times the weight's factor; the bias is the weight of a constant input, which is the bias's factor."""
        rows = read.movedim(2, -1).flatten(1, -2) * module.factors[0]
        ones = rows.new_full((*rows.shape[:-1], 1), module.factors[1])
        parts = {"weight": rows, "bias": ones}
        return RowInput(torch.cat([parts[role] for role in roles], -1))

    @override
    def by_position(self, gradient: Tensor) -> Tensor:
        return gradient.movedim(2, -1).flatten(1, -2)

    @override
    def materialise(
        self, module: NTKLinear, prepared: Any, gradients: list[Tensor], roles: tuple[str, ...], into: Tensor, add: bool
    ) -> None:
        """A bias alone has no input that could carry its factor: the gradients do."""
        scaled = [gradient * module.factors[1] for gradient in gradients] if prepared is None else gradients
        super().materialise(module, prepared, scaled, roles, into, add)


class EmbeddingRule(LayerRule):
    """`nn.Embedding`: what is read are numbers of rows."""

    @override
    def size(self, module: nn.Embedding, read: Tensor, wrote: Tensor) -> CallSize:
        """Two numbers are compared in one operation."""
        return CallSize(read.numel() // len(read), 1, module.embedding_dim)

    @override
    def layer_input(self, module: nn.Embedding, read: Tensor, roles: tuple[str, ...]) -> LayerInput:
        """The numbers of the rows; the row for padding has no gradient, so it is not read."""
        ids = read.flatten(1)
        if module.padding_idx is not None:
            ids = ids.where(ids != module.padding_idx, -1)
        return IndexInput(ids, module.num_embeddings)


class NormRule(LayerRule):
    """Scale and shift of a normalisation: so few parameters that their whole gradients are always cheapest."""

    @override
    def has_factors(self, module: Any) -> bool:
        return False

    @override
    def size(self, module: Any, read: Tensor, wrote: Tensor) -> CallSize:
        return CallSize(1, 1, sum(p.numel() for p in module.parameters(recurse=False)))

    @override
    def prepare(self, module: Any, read: Tensor, roles: tuple[str, ...]) -> Tensor | None:
        """The normalised input, which the scale multiplies."""
        return _normalised(module, read.flatten(0, 1)).view_as(read) if "weight" in roles else None

    @override
    def materialise(
        self, module: Any, prepared: Any, gradients: list[Tensor], roles: tuple[str, ...], into: Tensor, add: bool
    ) -> None:
        """Sums over positions of the gradients, for the scale times the normalised input; one role after the other."""
        for role, part in zip(roles, into.chunk(len(roles), 2), strict=True):
            for column, g in enumerate(gradients):
                product = g * prepared if role == "weight" else g
                write_or_add(_sum_to(module, product, module.weight.shape), part[:, column], add)


class BroadcastRule(LayerRule):
    """A parameter of which every example has a copy: the gradient by the copy is the example's gradient."""

    needs_input = False

    @override
    def has_factors(self, module: Any) -> bool:
        return False

    @override
    def size(self, module: Any, read: Tensor, wrote: Tensor) -> CallSize:
        return CallSize(1, 1, wrote[0].numel())

    @override
    def prepare(self, module: Any, read: Tensor, roles: tuple[str, ...]) -> None:
        return None

    @override
    def materialise(
        self, module: Any, prepared: Any, gradients: list[Tensor], roles: tuple[str, ...], into: Tensor, add: bool
    ) -> None:
        for column, gradient in enumerate(gradients):
            write_or_add(gradient.flatten(1), into[:, column], add)


def rule_of(module: nn.Module) -> LayerRule | None:
    """The rule for a module of exactly a known class, else None: subclasses may compute something else."""
    kind = type(module)
    if kind is nn.Linear:
        return LinearRule()
    if kind is NTKLinear:
        return ScaledLinearRule()
    if kind in (nn.Conv1d, nn.Conv2d, nn.Conv3d):
        return ConvolutionRule()
    if kind is nn.Embedding:
        return EmbeddingRule()
    if kind in _NORMS and getattr(module, "weight", None) is not None:
        return NormRule()
    return None


_NORMS = (
    nn.LayerNorm,
    nn.RMSNorm,
    nn.GroupNorm,
    *(nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d),
    *(nn.InstanceNorm1d, nn.InstanceNorm2d, nn.InstanceNorm3d),
)


def _normalised(module: Any, read: Tensor) -> Tensor:
    """What a normalisation gives without its scale and shift."""
    match module:
        case nn.LayerNorm():
            return F.layer_norm(read, module.normalized_shape, eps=module.eps)
        case nn.RMSNorm():
            return F.rms_norm(read, module.normalized_shape, eps=module.eps)
        case nn.GroupNorm():
            return F.group_norm(read, module.num_groups, eps=module.eps)
        case nn.modules.instancenorm._InstanceNorm():
            own = module.running_mean is None
            return F.instance_norm(read, module.running_mean, module.running_var, use_input_stats=own, eps=module.eps)
    return F.batch_norm(read, module.running_mean, module.running_var, eps=module.eps)


def _sum_to(module: Any, product: Tensor, shape: torch.Size) -> Tensor:
    """Sums of (n, r, ...) over axes that share a parameter: LayerNorm keeps its last ones, the others the channels."""
    if not isinstance(module, nn.LayerNorm | nn.RMSNorm):
        product = product.movedim(2, -1)
    return product.flatten(1, -1 - len(shape)).sum(1).flatten(1)
