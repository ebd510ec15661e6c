"""Kernels times vectors: a backward pass for the gradients' sum, and a forward one along it."""

from __future__ import annotations

from functools import partial

import torch
from torch import Tensor

from neural_kernels.empirical.module.batches import Source
from neural_kernels.empirical.module.derivative import derivative
from neural_kernels.empirical.module.model import Model, check_finite
from neural_kernels.empirical.module.outputs import Probe

_BLOCK = 256  # examples that pass through the module at a time


def multiply(model: Model, probe: Probe, vectors: Tensor, first: Source, second: Source) -> Tensor:
    """K vectors, (n2, k, m) to (n1, k, m); for every m two passes, with an average over outputs for every output."""
    columns = probe.scaled()
    total = vectors.new_zeros(first.length, probe.kept, vectors.shape[2])
    for part in columns.T[:, :, None] if probe.averaged else columns[None]:
        for m in range(vectors.shape[2]):
            total[:, :, m] += _multiply(model, part, vectors[:, :, m], first, second)
    return total


def _multiply(model: Model, columns: Tensor, vector: Tensor, first: Source, second: Source) -> Tensor:
    direction = _pull(model, vector @ columns.T, second)
    values = {name: p.detach() for name, p in model.parameters.items()}
    parts = []
    for rows, batch in first.blocks(_BLOCK):
        function = partial(model.at, batch=batch, count=rows.stop - rows.start)
        _, change = derivative(function, values, direction)
        parts.append(change.detach() @ columns)
        check_finite(parts[-1], rows, "derivatives")
    return torch.cat(parts)


def _pull(model: Model, weights: Tensor, source: Source) -> dict[str, Tensor]:
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
