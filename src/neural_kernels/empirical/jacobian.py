"""Gradients of every example and output by `torch.func`: no rule for any layer, and differentiable once more."""

from __future__ import annotations

import warnings
from typing import Any

import torch
from torch import Tensor
from torch.func import vjp, vmap
from torch.utils import _pytree as pytree

from neural_kernels.empirical.batches import Source, count_of, pieces
from neural_kernels.empirical.model import Model, unfused
from neural_kernels.empirical.probe import Probe


def jacobian(model: Model, names: list[str], batch: Any, probe: Tensor) -> dict[str, Tensor]:
    """Gradients of probed outputs, shape (n, k, *parameter) for every name.

    Parameters
    ----------
    model : Model
    names : list of str
        Of parameters.
    batch : structure of tensors
    probe : Tensor, shape (o, k)
        Combinations of outputs.

    Notes
    -----
    One forward and k backward passes for every example, together by `vmap`; one after the other where that cannot be
    (operations that read values, such as ``.item()``).
    """
    values = {name: model.parameters[name].detach() for name in names}
    graph = torch.is_grad_enabled()
    with unfused(), torch.enable_grad():
        try:
            return _together(model, values, batch, probe)
        except RuntimeError:  # of an operation that vmap cannot follow; an error of the module's own comes again
            return _one_by_one(model, values, batch, probe, graph)


def _together(model: Model, values: dict[str, Tensor], batch: Any, probe: Tensor) -> dict[str, Tensor]:
    leaves, spec = pytree.tree_flatten(batch)
    places = [i for i, leaf in enumerate(leaves) if isinstance(leaf, Tensor)]

    def gradients(*tensors: Tensor) -> dict[str, Tensor]:
        own = list(leaves)
        for place, tensor in zip(places, tensors, strict=True):
            own[place] = tensor[None]
        example = pytree.tree_unflatten(own, spec)
        _, pull, *_ = vjp(lambda values: model.at(values, example, 1)[0], values)
        return vmap(lambda direction: pull(direction)[0])(probe.T)

    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "There is a performance drop")  # operations that vmap runs one by one
        return vmap(gradients)(*(leaves[i] for i in places))


def _one_by_one(model: Model, values: dict[str, Tensor], batch: Any, probe: Tensor, graph: bool) -> dict[str, Tensor]:
    own = [value.requires_grad_() for value in values.values()]
    rows: list[list[Tensor]] = []
    for _, example in pieces(batch, slice(0, count_of(batch)), 1):
        outputs = model.at(values, example, 1)[0]
        columns = [
            torch.autograd.grad(
                outputs, own, column, retain_graph=True, create_graph=graph, allow_unused=True, materialize_grads=True
            )
            for column in probe.T
        ]
        rows.append([torch.stack(parts) for parts in zip(*columns, strict=True)])
    return dict(zip(values, (torch.stack(parts) for parts in zip(*rows, strict=True)), strict=True))


def differentiable_gram(model: Model, first: Source, second: Source | None, probe: Probe) -> Tensor:
    """Entries (n1, n2, k, k) that can be differentiated with respect to the examples; all in memory at once."""
    columns = probe.scaled()
    mine = _all(model, first, columns)
    its = mine if second is None else _all(model, second, columns)
    if probe.averaged:
        return torch.einsum("nkp,mkp->nm", mine, its)[:, :, None, None]
    return torch.einsum("nkp,mlp->nmkl", mine, its)


def _all(model: Model, source: Source, columns: Tensor) -> Tensor:
    ((_, batch),) = source.blocks(source.length)
    return torch.cat(
        [value.flatten(2) for value in jacobian(model, list(model.parameters), batch, columns).values()], 2
    )
