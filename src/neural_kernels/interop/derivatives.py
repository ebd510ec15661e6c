"""A network's kernel and its derivatives by the variances of weights and biases."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch.autograd import forward_ad

from neural_kernels.exact.arrays import Batch, graph, read
from neural_kernels.exact.expressions.duals import Activated
from neural_kernels.exact.expressions.nodes import Expression, nodes_of
from neural_kernels.exact.expressions.pairs import BlockPairs
from neural_kernels.exact.network import NetworkKernel

_ENTRIES = 2**20  # at a time: some dozens of temporaries of 8 MB
_STEP = 2e-3  # of logarithms


def log_derivatives(kernel: NetworkKernel, x: Any, scales: dict[str, float], wanted: list[str]) -> list[np.ndarray]:
    """Derivatives of the Gram matrix by the logarithms of what all variances are multiplied by.

    Parameters
    ----------
    kernel : NetworkKernel
    x : array, shape (n, *shape)
    scales : dict
        "weights" and "biases": the factors at which derivatives are taken.
    wanted : list of str
        By which of them.

    Returns
    -------
    list of ndarray, shape (n, n), float64

    Notes
    -----
    Where all activations have elementary duals and no map mixes positions, dual numbers run through the formulas of
    the kernel: exact, in one pass for each derivative, and without a graph. Integrals do not carry dual numbers: with
    those, and for images, derivatives are differences of fourth order, of four kernels each, good to about 1e-9.
    """
    batch = read(x, "x", torch.float64).seen(kernel.net.split()[1])
    elementary = _elementary(kernel.expression([batch.rows], graph([batch])))
    return [
        _by_duals(kernel, batch, scales, name) if elementary else _by_differences(kernel, x, scales, name)
        for name in wanted
    ]


def _elementary(expression: Expression) -> bool:
    """Whether all formulas of a kernel carry dual numbers."""
    activated = (node for node in nodes_of(expression) if isinstance(node, Activated))
    return not expression.mixes and all(node.cusp is not None or node.dual.closed_form for node in activated)


def _by_duals(kernel: NetworkKernel, batch: Batch, scales: dict[str, float], name: str) -> np.ndarray:
    count = len(batch.rows)
    result, step = np.empty((count, count)), max(1, _ENTRIES // max(1, count))
    with torch.no_grad(), forward_ad.dual_level():
        factors = {key: torch.tensor(value, dtype=torch.float64) for key, value in scales.items()}
        factors[name] = forward_ad.make_dual(factors[name], factors[name])  # d / d log
        expression = _at(kernel, factors).expression([batch.rows], graph([batch]))
        for start in range(0, count, step):
            rows = slice(start, start + step)
            entries = expression.entries(BlockPairs(rows, slice(None)), True)
            tangent = forward_ad.unpack_dual(entries).tangent
            result[rows] = 0.0 if tangent is None else tangent.numpy()
    return result


def _by_differences(kernel: NetworkKernel, x: Any, scales: dict[str, float], name: str) -> np.ndarray:
    def gram(steps: int) -> np.ndarray:
        return _at(kernel, {**scales, name: scales[name] * math.exp(steps * _STEP)})(x)

    return (8 * (gram(1) - gram(-1)) - (gram(2) - gram(-2))) / (12 * _STEP)


def _at(kernel: NetworkKernel, scales: dict[str, Any]) -> NetworkKernel:
    return replace(kernel, net=kernel.net.rescaled(scales["weights"], scales["biases"]))
