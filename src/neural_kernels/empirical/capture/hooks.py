"""Places where parameters come into a forward pass, and how they are watched."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

from neural_kernels.empirical.rules.base import Rule
from neural_kernels.empirical.rules.layers import LinearRule, SpreadRule, rule_of


@dataclass(frozen=True, eq=False)
class Site:
    """Parameters that come in together.

    Parameters
    ----------
    rule : Rule
    names : dict
        Of the parameters wanted, by their roles ``weight`` and ``bias``.
    module : Module or None
    """

    rule: Rule
    names: dict[str, str]
    module: nn.Module | None

    def __deepcopy__(self, memo: dict[int, Any]) -> Site:
        """Itself: a copy of a module has the same sites."""
        return self


_ARGUMENTS = "query", "key", "value", "key_padding_mask", "need_weights", "attn_mask"

# Takes a site, what was read there and what was written; gives what the forward pass goes on with.
Note = Callable[[Site, Tensor, Tensor], Tensor]


class Watch(ABC):
    """A module whose calls are watched."""

    @abstractmethod
    def attach(self, note: Note) -> Callable[[], None]:
        """Begin; the result ends it."""


class LayerWatch(Watch):
    """A layer with one input and one output."""

    def __init__(self, module: nn.Module, site: Site) -> None:
        self._module, self._site = module, site

    def attach(self, note: Note) -> Callable[[], None]:
        """By a hook."""

        def hook(_: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any], wrote: Any) -> Any:
            if not isinstance(wrote, Tensor):  # by a hook of the user
                return wrote
            return note(self._site, args[0] if args else next(iter(kwargs.values())), wrote)

        return self._module.register_forward_hook(hook, with_kwargs=True).remove


class AttentionWatch(Watch):
    """`nn.MultiheadAttention`, which applies its projections by itself: its place is taken by what can be watched."""

    def __init__(self, module: nn.MultiheadAttention, inside: Site, outside: Site) -> None:
        self._module: Any = module
        self._inside, self._outside = inside, outside

    def attach(self, note: Note) -> Callable[[], None]:
        """In the place of the module's own `forward`."""
        module, original, own = self._module, self._module.forward, "forward" in vars(self._module)

        def forward(*args: Any, **kwargs: Any) -> Any:
            given = dict(zip(_ARGUMENTS, args, strict=False)) | kwargs
            if given["query"].ndim != 3:
                return original(*args, **kwargs)
            weights = original(*args, **kwargs)[1] if given.get("need_weights", True) else None
            return self._attend(given, note), weights

        def end() -> None:
            if own:
                module.forward = original
            else:
                del module.forward

        module.forward = forward
        return end

    @staticmethod
    def knows(module: nn.MultiheadAttention) -> bool:
        """Whether it has none of its rarer parts."""
        return module.in_proj_weight is not None and module.bias_k is None and not module.add_zero_attn

    def _attend(self, given: dict[str, Any], note: Note) -> Tensor:
        """One projection for all rows read (queries, and keys and values unless they are the same), one at the end."""
        query, key, value = given["query"], given["key"], given["value"]
        m, sequence = self._module, 1 if self._module.batch_first else 0
        parts = [query] if query is key is value else [query, key] if key is value else [query, key, value]
        read = torch.cat(parts, sequence) if len(parts) > 1 else query
        projected = note(self._inside, read, F.linear(read, m.in_proj_weight, m.in_proj_bias))
        rows = projected.split([part.shape[sequence] for part in parts], sequence)
        sources = rows[0], rows[min(1, len(rows) - 1)], rows[-1]
        q, k, v = (self._heads(own.chunk(3, -1)[role], sequence) for role, own in enumerate(sources))
        mask = _mask(given.get("attn_mask"), given.get("key_padding_mask"), q)
        context = F.scaled_dot_product_attention(q, k, v, mask)
        context = context.movedim(2, 1).flatten(2)
        context = context if sequence else context.transpose(0, 1)
        out = m.out_proj
        return note(self._outside, context, F.linear(context, out.weight, out.bias))

    def _heads(self, rows: Tensor, sequence: int) -> Tensor:
        """(n, heads, tokens, channels)."""
        rows = rows if sequence else rows.transpose(0, 1)
        return rows.unflatten(2, (self._module.num_heads, -1)).movedim(1, 2)


def _mask(attention: Tensor | None, padding: Tensor | None, queries: Tensor) -> Tensor | None:
    """What is added to scores, (n, heads or 1, tokens, tokens)."""
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
class Spread:
    """A parameter of which every example gets a copy of its own: right where it is broadcast over the examples.

    Parameters
    ----------
    site : Site
    axes : int
        Axes between that of the examples and the parameter's own; -1: the examples take the parameter's first axis.
    """

    site: Site
    axes: int

    @property
    def name(self) -> str:
        """Of the parameter."""
        return self.site.names["weight"]

    def copies(self, value: Tensor, count: int) -> Tensor:
        """For so many examples."""
        shape = value.shape[1:] if self.axes < 0 else (*[1] * self.axes, *value.shape)
        return value.reshape(1, *shape).repeat(count, *[1] * len(shape))


def spreads(name: str, value: Tensor) -> list[Spread]:
    """The ways to give every example its own copy."""
    site = Site(SpreadRule(), {"weight": name}, None)
    first = [Spread(site, -1)] if value.ndim > 1 and value.shape[0] == 1 else []
    return first + [Spread(site, axes) for axes in range(4)]


def watches(module: nn.Module, parameters: dict[str, nn.Parameter]) -> list[Watch]:
    """For every part of a module that owns some of the parameters and is of a known kind."""
    names = {id(p): name for name, p in parameters.items()}
    found: list[Watch] = []
    for part in module.modules():
        if type(part) is nn.MultiheadAttention and AttentionWatch.knows(part):
            inside = _site(LinearRule(), part, {"weight": part.in_proj_weight, "bias": part.in_proj_bias}, names)
            outside = _site(LinearRule(), part, {"weight": part.out_proj.weight, "bias": part.out_proj.bias}, names)
            if inside.names or outside.names:
                found.append(AttentionWatch(part, inside, outside))
        elif (rule := rule_of(part)) is not None:
            site = _site(rule, part, dict(part.named_parameters(recurse=False)), names)
            if site.names:
                found.append(LayerWatch(part, site))
    return found


def _site(rule: Rule, module: nn.Module, roles: dict[str, Tensor | None], names: dict[int, str]) -> Site:
    wanted = {role: p for role, p in roles.items() if p is not None and id(p) in names}
    return Site(rule, {role: names[id(p)] for role, p in wanted.items()}, module)
