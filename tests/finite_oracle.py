"""Wide finite networks from `to_torch`, by autograd: the oracle that shares no code with the recursion."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import torch

import neural_kernels as nk


def empirical(
    net: nk.Layer, x: torch.Tensor, width: int, seed: int, *others: torch.Tensor
) -> tuple[np.ndarray, np.ndarray]:
    """Covariance of many outputs, and the NTK of one, of one finite network; all positions where they remain."""
    module = net.to_torch(tuple(x.shape[1:]), width, out_features=1, seed=seed).double()
    parameters = [p for p in module.parameters() if p.requires_grad]
    flat = []
    for rows in zip(*(each.split(1) for each in (x, *others)), strict=True):
        outputs = module(*rows).flatten()
        for k, output in enumerate(outputs):
            grads = torch.autograd.grad(output, parameters, retain_graph=k + 1 < len(outputs), materialize_grads=True)
            flat.append(torch.cat([grad.flatten() for grad in grads]))
    jacobian = torch.stack(flat)
    with torch.no_grad():
        many = net.to_torch(tuple(x.shape[1:]), width, out_features=4 * width, seed=seed).double()(x, *others)
    many = many.movedim(1, -1).flatten(0, -2)
    return (many @ many.T / many.shape[1]).numpy(), (jacobian @ jacobian.T).numpy()


def exact(net: nk.Layer, x: torch.Tensor) -> list[np.ndarray]:
    """The kernels, with axes (example and position, example and position)."""
    both = nk.kernels(net, x.numpy())
    axes = both[0].ndim // 2 - 1
    order = (0, *range(2, 2 + axes), 1, *range(2 + axes, 2 + 2 * axes))
    size = len(x) * math.prod(both[0].shape[2 : 2 + axes])
    return [kernel.transpose(order).reshape(size, size) for kernel in both]


def off(sample: np.ndarray, kernel: np.ndarray) -> float:
    """Relative distance."""
    return float(np.linalg.norm(sample - kernel) / np.linalg.norm(kernel))


def mean_off(samples: Sequence[np.ndarray], kernel: np.ndarray) -> tuple[float, float]:
    """Relative distance of the samples' mean, and what is expected of it: its standard error."""
    error = np.sqrt(np.var(samples, 0, ddof=1).sum() / len(samples)) / np.linalg.norm(kernel)
    return off(np.mean(samples, 0), kernel), float(error)


def assert_agree(
    samples: Sequence[tuple[np.ndarray, ...]], kernels: Sequence[np.ndarray], error: float, bias: float = 0.0
) -> None:
    """The samples' mean is as near as chance, at most `error`, and the finite width's `bias` allow; NNGP and NTK."""
    for name, kernel, drawn in zip(("nngp", "ntk"), kernels, zip(*samples, strict=True), strict=False):
        distance, expected = mean_off(drawn, kernel)
        assert expected <= error, (name, expected)
        assert distance <= 2.5 * expected + bias, (name, distance, expected)


def gap(net: nk.Layer, x: torch.Tensor, width: int, seeds: int) -> np.ndarray:
    """Relative distance of one network, root mean square over seeds; NNGP and NTK."""
    kernels = exact(net, x)
    samples = [empirical(net, x, width, seed) for seed in range(seeds)]
    return np.sqrt(np.mean([[off(a, b) ** 2 for a, b in zip(sample, kernels, strict=True)] for sample in samples], 0))


def examples(*shape: int) -> torch.Tensor:
    """Standard normal."""
    return torch.from_numpy(np.random.default_rng(0).standard_normal(shape))
