"""Places where parameters come into a forward pass, and the hooks that tell what is read and written there.

A module goes in, a list of hooks comes out; attached, each of them hands a `RecordCall` what it saw.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812
from typing_extensions import override

from neural_kernels.empirical.rules.base import LayerRule
from neural_kernels.empirical.rules.layers import BroadcastRule, LinearRule, rule_of


@dataclass(frozen=True, eq=False)
class ParameterSite:
    """A place in a module where parameters come in together, most often a layer.

    Parameters
    ----------
    rule : LayerRule
        How gradients by the parameters follow from what is read and written here.
    names : dict
        Names of the parameters wanted, by their roles ``weight`` and ``bias``.
    module : Module or None
        Whose shapes and settings the rule takes; None for a parameter that is broadcast.
    """

    rule: LayerRule
    names: dict[str, str]
    module: nn.Module | None

    def __deepcopy__(self, memo: dict[int, Any]) -> ParameterSite:
        """Return itself: a copy of a module has the same sites, so that recordings of both are told alike."""
        return self


_ARGUMENTS = "query", "key", "value", "key_padding_mask", "need_weights", "attn_mask"

# Takes a site, what was read there and what was written; returns what the forward pass goes on with.
RecordCall = Callable[[ParameterSite, Tensor, Tensor], Tensor]


class ModuleHook(ABC):
    """Something that watches the calls of one module."""

    @abstractmethod
    def attach(self, record: RecordCall) -> Callable[[], None]:
        """Begin to hand every call to `record`; calling the result ends it."""


class LayerHook(ModuleHook):
    """Watches a layer with one input and one output, by a forward hook of torch."""

    def __init__(self, module: nn.Module, site: ParameterSite) -> None:
        self._module, self._site = module, site

    @override
    def attach(self, record: RecordCall) -> Callable[[], None]:
        def hook(_: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any], wrote: Any) -> Any:
            if not isinstance(wrote, Tensor):  # by a hook of the user
                return wrote
            return record(self._site, args[0] if args else next(iter(kwargs.values())), wrote)

        return self._module.register_forward_hook(hook, with_kwargs=True).remove


class AttentionHook(ModuleHook):
    """Watches `nn.MultiheadAttention`, which applies its projections where no hook sees them.

    While attached, its `forward` is replaced by one that applies them through what can be watched.

    Parameters
    ----------
    module : MultiheadAttention
    inside, outside : ParameterSite
        Of the projections to queries, keys and values, and of that at the end.
    """

    def __init__(self, module: nn.MultiheadAttention, inside: ParameterSite, outside: ParameterSite) -> None:
        self._module: Any = module
        self._inside, self._outside = inside, outside

    @override
    def attach(self, record: RecordCall) -> Callable[[], None]:
        module, original, own = self._module, self._module.forward, "forward" in vars(self._module)

        def forward(*args: Any, **kwargs: Any) -> Any:
            given = dict(zip(_ARGUMENTS, args, strict=False)) | kwargs
            if given["query"].ndim != 3:
                return original(*args, **kwargs)
            weights = original(*args, **kwargs)[1] if given.get("need_weights", True) else None
            return self._attend(given, record), weights

        def end() -> None:
            if own:
                module.forward = original
            else:
                del module.forward

        module.forward = forward
        return end

    @staticmethod
    def knows(module: nn.MultiheadAttention) -> bool:
        """Whether the module has none of its rarer parts: projections of several widths, biases of keys, a zero row."""
        return module.in_proj_weight is not None and module.bias_k is None and not module.add_zero_attn

    def _attend(self, given: dict[str, Any], record: RecordCall) -> Tensor:
        """Attend by one projection of all rows read (equal queries, keys and values are read once), and one after."""
        query, key, value = given["query"], given["key"], given["value"]
        m, sequence = self._module, 1 if self._module.batch_first else 0
        parts = [query] if query is key is value else [query, key] if key is value else [query, key, value]
        read = torch.cat(parts, sequence) if len(parts) > 1 else query
        projected = record(self._inside, read, F.linear(read, m.in_proj_weight, m.in_proj_bias))
        rows = projected.split([part.shape[sequence] for part in parts], sequence)
        sources = rows[0], rows[min(1, len(rows) - 1)], rows[-1]
        q, k, v = (self._heads(own.chunk(3, -1)[role], sequence) for role, own in enumerate(sources))
        mask = _mask(given.get("attn_mask"), given.get("key_padding_mask"), q)
        context = F.scaled_dot_product_attention(q, k, v, mask)
        context = context.movedim(2, 1).flatten(2)
        context = context if sequence else context.transpose(0, 1)
        out = m.out_proj
        return record(self._outside, context, F.linear(context, out.weight, out.bias))

    def _heads(self, rows: Tensor, sequence: int) -> Tensor:
        """Cut the channels of rows by heads: (n, heads, tokens, channels)."""
        rows = rows if sequence else rows.transpose(0, 1)
        return rows.unflatten(2, (self._module.num_heads, -1)).movedim(1, 2)


def _mask(attention: Tensor | None, padding: Tensor | None, queries: Tensor) -> Tensor | None:
    """Both masks as what is added to scores, (n, heads or 1, tokens, tokens)."""
    total = None
    if attention is not None:
        total = _additive(attention, queries)
        if total.ndim == 3:
            total = total.unflatten(0, queries.shape[:2])
    if padding is not None:
        own = _additive(padding, queries)[:, None, None, :]
        total = own if total is None else total + own
    return total


def _additive(mask: Tensor, like: Tensor) -> Tensor:
    return torch.zeros_like(mask, dtype=like.dtype).masked_fill(mask, -torch.inf) if mask.dtype == torch.bool else mask


@dataclass(frozen=True)
class BroadcastParameter:
    """A parameter of which every example gets a copy of its own: right where it is broadcast over the examples.

    Parameters
    ----------
    site : ParameterSite
        With a `BroadcastRule` and the parameter as its ``weight``.
    axes : int
        Axes between that of the examples and the parameter's own; -1: the examples take the parameter's first axis,
        whose length is 1.
    """

    site: ParameterSite
    axes: int

    @property
    def name(self) -> str:
        """The parameter's name."""
        return self.site.names["weight"]

    def copies(self, value: Tensor, count: int) -> Tensor:
        """Copies for `count` examples, shape (count, *[1] * axes, *shape)."""
        shape = value.shape[1:] if self.axes < 0 else (*[1] * self.axes, *value.shape)
        return value.reshape(1, *shape).repeat(count, *[1] * len(shape))


def broadcasts_of(name: str, value: Tensor) -> list[BroadcastParameter]:
    """The ways in which a parameter may be broadcast over examples, to be tried one after the other."""
    site = ParameterSite(BroadcastRule(), {"weight": name}, None)
    first = [BroadcastParameter(site, -1)] if value.ndim > 1 and value.shape[0] == 1 else []
    return first + [BroadcastParameter(site, axes) for axes in range(4)]


def hooks_of(module: nn.Module, parameters: dict[str, nn.Parameter]) -> list[ModuleHook]:
    """Hooks for every part of a module that owns some of the parameters and is of a known kind."""
    names = {id(p): name for name, p in parameters.items()}
    found: list[ModuleHook] = []
    for part in module.modules():
        if type(part) is nn.MultiheadAttention and AttentionHook.knows(part):
            inside = _site(LinearRule(), part, {"weight": part.in_proj_weight, "bias": part.in_proj_bias}, names)
            outside = _site(LinearRule(), part, {"weight": part.out_proj.weight, "bias": part.out_proj.bias}, names)
            if inside.names or outside.names:
                found.append(AttentionHook(part, inside, outside))
        elif (rule := rule_of(part)) is not None:
            site = _site(rule, part, dict(part.named_parameters(recurse=False)), names)
            if site.names:
                found.append(LayerHook(part, site))
    return found


def _site(rule: LayerRule, module: nn.Module, roles: dict[str, Tensor | None], names: dict[int, str]) -> ParameterSite:
    wanted = {role: p for role, p in roles.items() if p is not None and id(p) in names}
    return ParameterSite(rule, {role: names[id(p)] for role, p in wanted.items()}, module)
