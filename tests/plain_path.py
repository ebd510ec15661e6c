"""Exact kernels without the compiled engine: what it is compared with, and whether it takes a network at all."""

from __future__ import annotations

from typing import Any

import numpy as np
from torch import Tensor

import neural_kernels as nk
from neural_kernels.algebra import Nothing
from neural_kernels.exact.arrays import read_pair
from neural_kernels.exact.compile.run import compile_kernels, compile_variances
from neural_kernels.exact.evaluate import evaluate, plain
from neural_kernels.exact.expressions.nodes import Expression
from neural_kernels.exact.expressions.positions import Mapped
from neural_kernels.exact.gram import propagate
from neural_kernels.exact.variances import plain_variances


def plain_kernels(net: nk.Layer, x1: Any, x2: Any = None) -> tuple[np.ndarray, np.ndarray]:
    """NNGP kernel and NTK of dense arrays by the torch formulas alone."""
    first, second = read_pair(x1, x2)
    rows = [first.rows] if first is second else [first.rows, second.rows]
    pair = propagate(net, rows, variances=plain_variances)
    assert not isinstance(pair.ntk, Nothing)
    nngp, ntk = evaluate([pair.nngp.expression, pair.ntk.expression], first.rows, second.rows, compiler=plain)
    return nngp.numpy(), ntk.numpy()


def is_compiled(net: nk.Layer, x1: Any, x2: Any = None) -> bool:
    """Whether the engine computes both kernels of these data and every variance that they need."""
    asked: list[bool] = []

    def watched(mapped: Mapped, side: int) -> Tensor:
        compiled = compile_variances(mapped, side)
        asked.append(compiled is not None)
        return plain_variances(mapped, side) if compiled is None else compiled

    first, second = read_pair(x1, x2)
    rows = [first.rows] if first is second else [first.rows, second.rows]
    pair = propagate(net, rows, variances=watched)
    assert not isinstance(pair.ntk, Nothing)
    kernels: list[Expression] = [pair.nngp.expression, pair.ntk.expression]
    return all([compile_kernels(part, first.rows, second.rows) is not None for part in (kernels, kernels[:1])] + asked)
