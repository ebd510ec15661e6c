"""Finite linear maps, activations, branches and normalisation; they act on dim 1, the channels."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn
from typing_extensions import override

from neural_kernels.finite.variances import Variances


class NTKLinear(nn.Module):
    """A linear map of the channels, at every position alike.

    Parameters
    ----------
    inputs, outputs : int
    variances : Variances
    generator : torch.Generator
        Of the initial weights, then of the biases.
    """

    def __init__(self, inputs: int, outputs: int, variances: Variances, generator: torch.Generator) -> None:
        super().__init__()
        initial, self.factors = variances.initial(inputs), variances.factors(inputs)
        self.weight = nn.Parameter(initial[0] * torch.randn(outputs, inputs, generator=generator))
        self.bias = None
        if variances.bias is not None:
            self.bias = nn.Parameter(initial[1] * torch.randn(outputs, generator=generator))

    @override
    def forward(self, x: Tensor) -> Tensor:
        bias = None if self.bias is None else self.factors[1] * self.bias
        return nn.functional.linear(x.movedim(1, -1), self.factors[0] * self.weight, bias).movedim(-1, 1)

    @override
    def extra_repr(self) -> str:
        outputs, inputs = self.weight.shape
        return f"{inputs}, {outputs}, weight_factor={self.factors[0]:.4g}, bias_factor={self.factors[1]:.4g}"


class ActivationModule(nn.Module):
    """A function of every unit as a module.

    Parameters
    ----------
    function : callable
        Tensor to tensor, entry by entry.
    name : str
        What `repr` shows.
    """

    def __init__(self, function: Callable[[Tensor], Tensor], name: str) -> None:
        super().__init__()
        self.function, self.name = function, name

    @override
    def forward(self, x: Tensor) -> Tensor:
        return self.function(x)

    @override
    def extra_repr(self) -> str:
        return self.name


class Branches(nn.Module, ABC):
    """Several modules on the same input, whose outputs come together."""

    def __init__(self, branches: Sequence[nn.Module]) -> None:
        super().__init__()
        self.branches = nn.ModuleList(branches)

    @override
    def forward(self, x: Tensor) -> Tensor:
        return self.join([branch(x) for branch in self.branches])

    @abstractmethod
    def join(self, outputs: list[Tensor]) -> Tensor:
        """Make one output of the branches'."""


class SumOfBranches(Branches):
    """The sum of the branches' outputs."""

    @override
    def join(self, outputs: list[Tensor]) -> Tensor:
        return torch.stack(outputs).sum(0)


class ProductOfBranches(Branches):
    """The product of the branches' outputs, entry by entry."""

    @override
    def join(self, outputs: list[Tensor]) -> Tensor:
        return torch.stack(outputs).prod(0)


class ConcatOfBranches(Branches):
    """The branches' channels side by side, each branch scaled so that it counts by its weight whatever its width.

    Parameters
    ----------
    branches : sequence of Module
    scales : sequence of float
    """

    def __init__(self, branches: Sequence[nn.Module], scales: Sequence[float]) -> None:
        super().__init__(branches)
        self.scales = tuple(scales)

    @override
    def join(self, outputs: list[Tensor]) -> Tensor:
        return torch.cat([scale * output for scale, output in zip(self.scales, outputs, strict=True)], 1)


class Normalize(nn.Module):
    """Mean 0 and variance 1 over the channels of each position, or over all of an example; no parameters."""

    def __init__(self, over: str, eps: float) -> None:
        super().__init__()
        self.over, self.eps = over, eps

    @override
    def forward(self, x: Tensor) -> Tensor:
        dims = 1 if self.over == "channels" else tuple(range(1, x.ndim))
        centred = x - x.mean(dims, keepdim=True)
        return centred * (centred.square().mean(dims, keepdim=True) + self.eps).rsqrt()

    @override
    def extra_repr(self) -> str:
        return f"over={self.over!r}, eps={self.eps}"
