"""Kernels times vectors: K v = J1 (J2^T v), without K.

A backward pass over the examples of the columns gives a direction in the space of parameters, J2^T v; a derivative of
the module along it gives an entry for each example of the rows.
"""

from __future__ import annotations

from functools import partial

import torch
from torch import Tensor

from neural_kernels.empirical.module.batches import ExampleSource
from neural_kernels.empirical.module.derivative import derivative
from neural_kernels.empirical.module.model import Model, check_finite
from neural_kernels.empirical.module.outputs import OutputProjection

_BLOCK = 256  # examples that pass through the module at a time


def multiply(
    model: Model, projection: OutputProjection, vectors: Tensor, first: ExampleSource, second: ExampleSource
) -> Tensor:
    """Return K vectors, shape (n1, k, m), for vectors of shape (n2, k, m).

    Two passes for each of the m vectors; for a kernel averaged over outputs, two for each of them and each output.
    """
    columns = projection.scaled()
    total = vectors.new_zeros(first.length, projection.kept, vectors.shape[2])
    for part in columns.T[:, :, None] if projection.averaged else columns[None]:
        for m in range(vectors.shape[2]):
            total[:, :, m] += _multiply(model, part, vectors[:, :, m], first, second)
    return total


def _multiply(model: Model, columns: Tensor, vector: Tensor, first: ExampleSource, second: ExampleSource) -> Tensor:
    """The kernel of the combinations `columns`, (o, k), times one vector (n2, k)."""
    direction = _pull(model, vector @ columns.T, second)
    values = {name: p.detach() for name, p in model.parameters.items()}
    parts = []
    for rows, batch in first.blocks(_BLOCK):
        function = partial(model.at, batch=batch, count=rows.stop - rows.start)
        _, change = derivative(function, values, direction)
        parts.append(change.detach() @ columns)
        check_finite(parts[-1], rows, "derivatives")
    return torch.cat(parts)


def _pull(model: Model, weights: Tensor, source: ExampleSource) -> dict[str, Tensor]:
    """The gradient of the sum of all outputs times `weights`, (n, o)."""
    names = list(model.parameters)
    values = {name: model.parameters[name].detach().requires_grad_() for name in names}
    total = [torch.zeros_like(value) for value in values.values()]
    for rows, batch in source.blocks(_BLOCK):
        with torch.enable_grad():
            outputs = model.at(values, batch, rows.stop - rows.start)
        check_finite(outputs, rows)
        own = list(values.values())
        gradients = torch.autograd.grad(outputs, own, weights[rows], allow_unused=True, materialize_grads=True)
        for into, gradient in zip(total, gradients, strict=True):
            into += gradient
    return dict(zip(names, total, strict=True))
