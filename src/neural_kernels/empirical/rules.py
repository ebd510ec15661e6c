"""Layers whose parameter gradients are known from what the layer read and the gradients by what it wrote."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

from neural_kernels.empirical.factors import Factor, Ids, Left, Materialised, Outer, Rows


class Size(NamedTuple):
    """Of one use and example: positions, and lengths of what was read and written at each."""

    positions: int
    read: int
    wrote: int


class Rule(ABC):
    """How a kind of layer's gradients come about.

    What it read comes as (n, r, ...) and the gradients as k tensors (n, r, ...), with the r instances of an example
    that the layer saw as examples of their own. `roles` are the parameters wanted, of ``weight`` and ``bias``.
    """

    def separates(self, module: Any) -> bool:
        """Whether `outer` exists."""
        return True

    @abstractmethod
    def size(self, module: Any, read: Tensor, wrote: Tensor) -> Size:
        """What the cost of contractions depends on."""

    def outer(self, module: Any, read: Tensor, gradients: list[Tensor], roles: tuple[str, ...]) -> Outer:
        """The gradients as sums of outer products."""
        raise NotImplementedError

    def materialise(self, module: Any, read: Tensor, gradients: list[Tensor], roles: tuple[str, ...]) -> Factor:
        """The gradients themselves."""
        return Materialised(self.outer(module, read, gradients, roles).materialise())


class LinearRule(Rule):
    """Positions are all axes between the first and the last."""

    def size(self, module: nn.Linear, read: Tensor, wrote: Tensor) -> Size:
        """A row is read at each position."""
        return Size(read.numel() // (len(read) * module.in_features), module.in_features, module.out_features)

    def outer(self, module: Any, read: Tensor, gradients: list[Tensor], roles: tuple[str, ...]) -> Outer:
        """Each position's gradient by each position's row."""
        rows = read.flatten(1, -2)
        return Outer(_with_ones(rows, roles), torch.stack([g.flatten(1, -2) for g in gradients], 2))


class ConvolutionRule(Rule):
    """Positions are those of the output; patches are read."""

    def separates(self, module: Any) -> bool:
        """Groups of channels have few parameters, and read different things."""
        return module.groups == 1

    def size(self, module: Any, read: Tensor, wrote: Tensor) -> Size:
        """A patch of every channel is read at each position."""
        positions = wrote.numel() // (len(wrote) * module.out_channels)
        return Size(positions, module.weight[0].numel(), module.out_channels)

    def outer(self, module: Any, read: Tensor, gradients: list[Tensor], roles: tuple[str, ...]) -> Outer:
        """Patches by gradients; for one group of channels."""
        if roles == ("bias",):
            left: Left = Rows(read.new_ones(len(read), gradients[0][:, :, 0].flatten(1).shape[1], 1))
        else:
            n, r = read.shape[:2]
            patches = _patches(module, read.flatten(0, 1))
            left = _with_ones(patches.unflatten(0, (n, r)).flatten(1, 2), roles)
        return Outer(left, torch.stack([g.movedim(2, -1).flatten(1, -2) for g in gradients], 2))

    def materialise(self, module: Any, read: Tensor, gradients: list[Tensor], roles: tuple[str, ...]) -> Factor:
        """The weight gradient of a convolution in which every example is a group of channels."""
        n, r = read.shape[:2]
        k = len(gradients)
        stacked = torch.stack(gradients, 2)  # (n, r, k, j, *positions)
        parts = []
        if "weight" in roles:
            parts.append(_weight_gradients(module, read.flatten(0, 1), stacked.flatten(0, 1)))
        if "bias" in roles:
            parts.append(stacked.flatten(0, 1).flatten(3).sum(3)[..., None])
        values = parts[0] if len(parts) == 1 else torch.cat(parts, 3)
        return Materialised(values.flatten(2).view(n, r, k, -1).sum(1) if r > 1 else values.view(n, k, -1))


class EmbeddingRule(Rule):
    """What is read are numbers of rows."""

    def size(self, module: nn.Embedding, read: Tensor, wrote: Tensor) -> Size:
        """Comparing numbers costs one operation."""
        return Size(read.numel() // len(read), 1, module.embedding_dim)

    def outer(self, module: nn.Embedding, read: Tensor, gradients: list[Tensor], roles: tuple[str, ...]) -> Outer:
        """Each position's gradient belongs to the row it read."""
        ids = read.flatten(1)
        if module.padding_idx is not None:
            ids = ids.where(ids != module.padding_idx, -1)
        return Outer(Ids(ids, module.num_embeddings), torch.stack([g.flatten(1, -2) for g in gradients], 2))


class NormRule(Rule):
    """Scale and shift, one or a few per channel: few parameters, so that the gradients themselves are cheapest."""

    def separates(self, module: Any) -> bool:
        """There is nothing to gain."""
        return False

    def size(self, module: Any, read: Tensor, wrote: Tensor) -> Size:
        """As many parameters as the module has."""
        return Size(1, 1, sum(p.numel() for p in module.parameters(recurse=False)))

    def materialise(self, module: Any, read: Tensor, gradients: list[Tensor], roles: tuple[str, ...]) -> Factor:
        """Sums over positions of the gradients, for the scale times what was scaled."""
        shape = module.weight.shape
        parts = []
        scaled = _normalised(module, read.flatten(0, 1)).view_as(read) if "weight" in roles else read
        for role in roles:
            products = [g * scaled for g in gradients] if role == "weight" else gradients
            parts.append(torch.stack([_sum_to(module, product, shape) for product in products], 1))
        return Materialised(torch.cat(parts, 2))


def rule_of(module: nn.Module) -> Rule | None:
    """The rule for a module, if there is one for its very kind: subclasses may compute something else."""
    kind = type(module)
    if kind is nn.Linear:
        return LinearRule()
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


def _with_ones(rows: Tensor, roles: tuple[str, ...]) -> Rows:
    """A bias is the weight of a constant input."""
    ones = rows.new_ones(()).expand(*rows.shape[:-1], 1)
    if roles == ("bias",):
        return Rows(ones)
    return Rows(rows if "bias" not in roles else torch.cat([rows, ones], -1))


def _padded(module: Any, read: Tensor) -> tuple[Tensor, list[int]]:
    """Inputs with everything padded that the operators of torch do not pad alike on both sides with zeros."""
    if module.padding_mode == "zeros" and not isinstance(module.padding, str):
        return read, list(module.padding)
    mode = "constant" if module.padding_mode == "zeros" else module.padding_mode
    return F.pad(read, module._reversed_padding_repeated_twice, mode), [0] * len(module.kernel_size)


def _weight_gradients(module: Any, read: Tensor, gradients: Tensor) -> Tensor:
    """(n, c, *) and (n, k, j, *) to (n, k, j, patch)."""
    n, k, j = gradients.shape[:3]
    g = module.groups
    read, padding = _padded(module, read)
    grouped = gradients.unflatten(2, (g, j // g)).transpose(1, 2).flatten(0, 3)[None]
    weight = read.new_empty(1).expand(n * k * j, *module.weight.shape[1:])
    _, result, _ = torch.ops.aten.convolution_backward(
        grouped,
        read.flatten(0, 1)[None],
        weight,
        None,
        module.stride,
        padding,
        module.dilation,
        False,
        [0],
        n * g,
        [False, True, False],
    )
    return result.view(n, g, k, j // g, -1).transpose(1, 2).reshape(n, k, j, -1)


def _patches(module: Any, read: Tensor) -> Tensor:
    """(n, c, *) to (n, positions, patch), the patch in the order of the weight's entries."""
    read, padding = _padded(module, read)
    read = F.pad(read, [p for side in reversed(padding) for p in (side, side)])
    spatial = len(module.kernel_size)
    for axis, (kernel, stride, dilation) in enumerate(
        zip(module.kernel_size, module.stride, module.dilation, strict=True)
    ):
        reach = dilation * (kernel - 1) + 1
        read = read.unfold(2 + axis, reach, stride)[..., ::dilation]
    order = (0, *range(2, 2 + spatial), 1, *range(2 + spatial, 2 + 2 * spatial))
    return read.permute(order).flatten(1 + spatial).flatten(1, spatial)


def _normalised(module: Any, read: Tensor) -> Tensor:
    """What the scale multiplies."""
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
