"""The layers whose gradients are known."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

from neural_kernels.empirical.rules.base import Rule, Size, put, with_ones
from neural_kernels.empirical.rules.convolutions import ConvolutionRule
from neural_kernels.empirical.rules.inputs import Ids, Left, Rows
from neural_kernels.finite.modules import NTKLinear


class LinearRule(Rule):
    """Positions are all axes between the first and the last."""

    def size(self, module: Any, read: Tensor, wrote: Tensor) -> Size:
        """A row is read at each position."""
        return Size(read.numel() // (len(read) * read.shape[-1]), read.shape[-1], wrote.shape[-1])

    def left(self, module: Any, read: Tensor, roles: tuple[str, ...]) -> Left:
        """The rows."""
        return with_ones(read.flatten(1, -2), roles)


class ScaledLinearRule(LinearRule):
    """The linear maps of `Layer.to_torch`: channels on the second axis, and a factor on either parameter."""

    def size(self, module: NTKLinear, read: Tensor, wrote: Tensor) -> Size:
        """A row is read at each position."""
        outputs, inputs = module.weight.shape
        return Size(read.numel() // (len(read) * inputs), inputs, outputs)

    def left(self, module: NTKLinear, read: Tensor, roles: tuple[str, ...]) -> Left:
        """The rows, times the weight's factor; a bias is the weight of its own."""
        rows = read.movedim(2, -1).flatten(1, -2) * module.factors[0]
        ones = rows.new_full((*rows.shape[:-1], 1), module.factors[1])
        parts = {"weight": rows, "bias": ones}
        return Rows(torch.cat([parts[role] for role in roles], -1))

    def right(self, gradient: Tensor) -> Tensor:
        """Channels last."""
        return gradient.movedim(2, -1).flatten(1, -2)

    def materialise(
        self, module: NTKLinear, prepared: Any, gradients: list[Tensor], roles: tuple[str, ...], into: Tensor, add: bool
    ) -> None:
        """A bias alone takes its factor with the gradients."""
        scaled = [gradient * module.factors[1] for gradient in gradients] if prepared is None else gradients
        super().materialise(module, prepared, scaled, roles, into, add)


class EmbeddingRule(Rule):
    """What is read are numbers of rows."""

    def size(self, module: nn.Embedding, read: Tensor, wrote: Tensor) -> Size:
        """Comparing numbers costs one operation."""
        return Size(read.numel() // len(read), 1, module.embedding_dim)

    def left(self, module: nn.Embedding, read: Tensor, roles: tuple[str, ...]) -> Left:
        """The numbers."""
        ids = read.flatten(1)
        if module.padding_idx is not None:
            ids = ids.where(ids != module.padding_idx, -1)
        return Ids(ids, module.num_embeddings)


class NormRule(Rule):
    """Scale and shift, one or a few per channel: few parameters, so that the gradients themselves are cheapest."""

    def separates(self, module: Any) -> bool:
        """There is nothing to gain."""
        return False

    def size(self, module: Any, read: Tensor, wrote: Tensor) -> Size:
        """As many parameters as the module has."""
        return Size(1, 1, sum(p.numel() for p in module.parameters(recurse=False)))

    def prepare(self, module: Any, read: Tensor, roles: tuple[str, ...]) -> Tensor | None:
        """What the scale multiplies."""
        return _normalised(module, read.flatten(0, 1)).view_as(read) if "weight" in roles else None

    def materialise(
        self, module: Any, prepared: Any, gradients: list[Tensor], roles: tuple[str, ...], into: Tensor, add: bool
    ) -> None:
        """Sums over positions of the gradients, for the scale times what was scaled."""
        for role, part in zip(roles, into.chunk(len(roles), 2), strict=True):
            for column, g in enumerate(gradients):
                product = g * prepared if role == "weight" else g
                put(_sum_to(module, product, module.weight.shape), part[:, column], add)


class SpreadRule(Rule):
    """A parameter of which every example has a copy: the gradient by what was written is the gradient."""

    reads = False

    def separates(self, module: Any) -> bool:
        """There is one factor."""
        return False

    def size(self, module: Any, read: Tensor, wrote: Tensor) -> Size:
        """As many numbers as the parameter has."""
        return Size(1, 1, wrote[0].numel())

    def prepare(self, module: Any, read: Tensor, roles: tuple[str, ...]) -> None:
        """Nothing."""

    def materialise(
        self, module: Any, prepared: Any, gradients: list[Tensor], roles: tuple[str, ...], into: Tensor, add: bool
    ) -> None:
        """As it is."""
        for column, gradient in enumerate(gradients):
            put(gradient.flatten(1), into[:, column], add)


def rule_of(module: nn.Module) -> Rule | None:
    """The rule for a module, if there is one for its very kind: subclasses may compute something else."""
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
    """Without scale and shift."""
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
    """(n, r, ...) summed over all axes that share a parameter: the last ones of LayerNorm stay, else the channels."""
    if not isinstance(module, nn.LayerNorm | nn.RMSNorm):
        product = product.movedim(2, -1)
    return product.flatten(1, -1 - len(shape)).sum(1).flatten(1)
