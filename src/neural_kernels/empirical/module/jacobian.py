"""Gradients of every example and output by `torch.func`: without rules for layers, and differentiable once more.

A model and a batch go in, gradients (n, k, *parameter) come out. This serves parameters that no rule explains,
``method="jacobian"``, and kernels that are differentiated with respect to the examples.
"""

from __future__ import annotations

import warnings
from typing import Any

import torch
from torch import Tensor
from torch.func import vjp, vmap
from torch.utils import _pytree as pytree

from neural_kernels.empirical.module.batches import ExampleSource, count_of, pieces
from neural_kernels.empirical.module.derivative import unfused
from neural_kernels.empirical.module.model import Model, check_finite
from neural_kernels.empirical.module.outputs import OutputProjection


def jacobian(
    model: Model, names: list[str], batch: Any, columns: Tensor, rows: slice = slice(0, None)
) -> dict[str, Tensor]:
    """Return the gradients of combinations of outputs, shape (n, k, *parameter), by name of the parameter.

    Parameters
    ----------
    model : Model
    names : list of str
        Of parameters.
    batch : structure of tensors
    columns : Tensor, shape (o, k)
        Combinations of outputs.
    rows : slice
        The examples' numbers, for error messages.

    Raises
    ------
    ValueError
        Outputs or gradients are not finite.

    Notes
    -----
    One forward and k backward passes for every example, together by `vmap`; one after the other where that cannot be
    (operations that read values, such as ``.item()``), or where their sum is not that of a plain backward pass.
    """
    values = {name: model.parameters[name].detach() for name in names}
    graph = torch.is_grad_enabled()
    with unfused(), torch.enable_grad():
        try:
            outputs, gradients = _by_vmap(model, values, batch, columns)
        except RuntimeError:  # of an operation that vmap cannot follow; an error of the module's own comes again
            outputs, gradients = _one_by_one(model, values, batch, columns, graph)
    check_finite(outputs, rows)
    for gradient in gradients.values():
        check_finite(gradient, rows, "derivatives")
    return gradients


_TOLERANCE = {torch.float32: 1e-3, torch.float64: 1e-8}
Gradients = tuple[Tensor, dict[str, Tensor]]  # the outputs, (n, o), come along


def _by_vmap(model: Model, values: dict[str, Tensor], batch: Any, columns: Tensor) -> Gradients:
    """All examples and outputs together.

    Raises
    ------
    RuntimeError
        `vmap` cannot follow the module, or gives wrong gradients.
    """
    leaves, spec = pytree.tree_flatten(batch)
    places = [i for i, leaf in enumerate(leaves) if isinstance(leaf, Tensor)]

    def gradients(*tensors: Tensor) -> Gradients:
        own = list(leaves)
        for place, tensor in zip(places, tensors, strict=True):
            own[place] = tensor[None]
        example = pytree.tree_unflatten(own, spec)
        outputs, pull, *_ = vjp(lambda values: model.at(values, example, 1)[0], values)
        return outputs, vmap(lambda direction: pull(direction)[0])(columns.T)

    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "There is a performance drop")  # operations that vmap runs one by one
        outputs, found = vmap(gradients)(*(leaves[i] for i in places))
    if not _agrees(model, values, batch, columns, found):
        raise RuntimeError("torch batches an operation wrongly: PReLU, say, in 2.13")
    return outputs, found


def _agrees(model: Model, values: dict[str, Tensor], batch: Any, columns: Tensor, found: dict[str, Tensor]) -> bool:
    """Whether gradients, summed over examples and outputs with random weights, are what plain autograd gives."""
    n, k = count_of(batch), columns.shape[1]
    weights = torch.randn(n, k, generator=torch.Generator().manual_seed(0)).to(columns)
    own = {name: value.detach().requires_grad_() for name, value in values.items()}
    outputs = model.at(own, batch, n) @ columns
    outputs = outputs if outputs.requires_grad else outputs.requires_grad_()
    true = torch.autograd.grad(outputs, list(own.values()), weights, allow_unused=True, materialize_grads=True)
    for expected, gradient in zip(true, (found[name].detach() for name in own), strict=True):
        if gradient.shape != (n, k, *expected.shape):
            return False
        terms = weights[..., None] * gradient.reshape(n, k, -1)
        if not (terms.sum((0, 1)) - expected.flatten()).norm() <= _TOLERANCE[columns.dtype] * terms.norm():
            return False
    return True


def _one_by_one(model: Model, values: dict[str, Tensor], batch: Any, columns: Tensor, graph: bool) -> Gradients:
    """One example and one output after the other; with `graph` they can be differentiated further."""
    own = [value.requires_grad_() for value in values.values()]
    results: list[Tensor] = []
    rows: list[list[Tensor]] = []
    for _, example in pieces(batch, slice(0, count_of(batch)), 1):
        outputs = model.at(values, example, 1)[0]
        outputs = outputs if outputs.requires_grad else outputs.requires_grad_()
        by_column = [
            torch.autograd.grad(
                outputs, own, column, retain_graph=True, create_graph=graph, allow_unused=True, materialize_grads=True
            )
            for column in columns.T
        ]
        results.append(outputs.detach())
        rows.append([torch.stack(parts) for parts in zip(*by_column, strict=True)])
    gradients = (torch.stack(parts) for parts in zip(*rows, strict=True))
    return torch.stack(results), dict(zip(values, gradients, strict=True))


def differentiable_gram(
    model: Model, first: ExampleSource, second: ExampleSource | None, projection: OutputProjection
) -> Tensor:
    """Return entries (n1, n2, k, k) that can be differentiated by the examples; all gradients are in memory at once."""
    columns = projection.scaled()
    mine = _all(model, first, columns)
    its = mine if second is None else _all(model, second, columns)
    if projection.averaged:
        return torch.einsum("nkp,mkp->nm", mine, its)[:, :, None, None]
    return torch.einsum("nkp,mlp->nmkl", mine, its)


def differentiable_diagonal(model: Model, source: ExampleSource, projection: OutputProjection) -> Tensor:
    """Return the blocks (n, k, k) of every example with itself, differentiable by the examples."""
    mine = _all(model, source, projection.scaled())
    return mine.flatten(1).square().sum(1)[:, None, None] if projection.averaged else mine @ mine.mT


def _all(model: Model, source: ExampleSource, columns: Tensor) -> Tensor:
    """The gradients of all examples by all parameters, shape (n, k, P)."""
    names = list(model.parameters)
    blocks = [jacobian(model, names, batch, columns, rows) for rows, batch in source.blocks(source.length)]
    return torch.cat(
        [torch.cat([value.reshape(*value.shape[:2], -1) for value in block.values()], 2) for block in blocks]
    )
