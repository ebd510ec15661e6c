"""Interpolation in the standard deviation: what depends on it analytically is integrated at few of them."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from neural_kernels.activations.expectations import chebyshev

# Chebyshev nodes for one half octave; with fewer rows than that, or than so many in all, each is integrated.
_NODES = 32
_MANY = 256


class Interpolation:
    """Standard deviations to integrate at, and the way from there to all that were asked for.

    Many standard deviations in one half octave are interpolated from Chebyshev nodes that span them.

    Parameters
    ----------
    std : Tensor, shape (n,)
        Non-negative; with a gradient, every one is integrated.

    Attributes
    ----------
    nodes : Tensor, shape (m,)
        Where to integrate.
    """

    def __init__(self, std: Tensor) -> None:
        self.nodes = std
        self._parts: list[tuple[Tensor, Tensor | None]] = []
        self._index: Tensor | None = None
        if std.requires_grad and torch.is_grad_enabled():
            return
        self.nodes, self._index = std.unique(return_inverse=True)
        if len(self.nodes) > _MANY:
            self._group(self.nodes)

    def _group(self, std: Tensor) -> None:
        """Replace the standard deviations, sorted, by nodes wherever a half octave holds more of them than that."""
        _, counts = torch.floor(2 * torch.log2(std)).unique_consecutive(return_counts=True)
        nodes = []
        for rows in std.split(counts.tolist()):
            at, basis = _chebyshev(rows) if len(rows) > _NODES else (rows, None)
            nodes.append(at)
            self._parts.append((at, basis))
        self.nodes = torch.cat(nodes)

    def spread(self, values: Tensor) -> Tensor:
        """Interpolate: from values at the nodes, first axis m, to those at all standard deviations, first axis n."""
        if self._parts:
            split = values.split([len(at) for at, _ in self._parts])
            pairs = zip(split, self._parts, strict=True)
            values = torch.cat([part if basis is None else basis @ part for part, (_, basis) in pairs])
        return values if self._index is None else values[self._index]


def _chebyshev(std: Tensor) -> tuple[Tensor, Tensor]:
    """Return nodes that span sorted numbers, and the matrix from values at the nodes to values at all numbers."""
    middle, reach = (std[0] + std[-1]) / 2, (std[-1] - std[0]) / 2 / math.cos(math.pi / 2 / _NODES)
    basis = chebyshev.polynomials((std - middle) / reach, _NODES) @ chebyshev.transform(_NODES, std.device)
    return middle + reach * chebyshev.nodes(_NODES, std.device), basis
