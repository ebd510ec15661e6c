"""Gradients of any kernel written in torch, block by block of rows."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor

from neural_kernels.exact.kernel import Kernel
from neural_kernels.runtime.boundary import read_dense

_ENTRIES = 2**17  # of a kernel at a time, which keeps some hundreds of arrays of them


def by_autograd(
    kernel: Kernel, x: Any, support: Any, coefficients: np.ndarray, along: np.ndarray | None = None
) -> np.ndarray:
    """As `gradients`, for every kernel, at some hundred times its cost."""
    rows, others = as_rows(x), as_rows(support)
    weights = torch.from_numpy(np.ascontiguousarray(coefficients, dtype=np.float64))
    pairs = max(1, _ENTRIES // rows[0, 0].numel() ** 2)  # images are compared position by position
    step = max(1, pairs // len(others))
    gradient = np.zeros(())
    for start in range(0, len(others), pairs):
        some, factors = others[start : start + pairs], weights[start : start + pairs]
        gradient = gradient + differentiated(partial(_weighted, kernel, some, factors), rows, step, along)
    return gradient


def _weighted(kernel: Kernel, support: Tensor, weights: Tensor, rows: Tensor) -> Tensor:
    return torch.as_tensor(kernel(rows, support)).to(weights) @ weights


def as_rows(x: Any) -> Tensor:
    """Examples as a dense tensor, float64."""
    return read_dense(x.toarray() if hasattr(x, "toarray") else x, "x").to(torch.float64)


@torch.enable_grad()
def differentiated(
    function: Callable[[Tensor], Tensor], x: Any, step: int, along: np.ndarray | None = None
) -> np.ndarray:
    """Gradients (n, o, *shape) of a function of rows, (n, *shape) to (n, o), each of its own row; `step` at a time.

    With `along`, (n, k), those of the last k outputs' sum with these weights, (n, 1, *shape), at the cost of one.
    """
    parts = []
    for start in range(0, len(x), step):
        rows = x[start : start + step].detach().clone().requires_grad_()
        outputs = function(rows)
        if along is not None:
            weights = torch.from_numpy(along[start : start + step])
            outputs = (outputs[:, -weights.shape[1] :] * weights).sum(1, keepdim=True)
        outputs = outputs.sum(0)
        if not outputs.requires_grad:
            raise TypeError(
                "no gradients come out of the kernel or feature map: a kernel of one's own must be written in torch"
            )
        last = len(outputs) - 1
        found = [torch.autograd.grad(out, rows, retain_graph=k < last)[0] for k, out in enumerate(outputs)]
        parts.append(torch.stack(found, 1))
    return torch.cat(parts).numpy()
