"""Finite counterparts of the layers, for `to_torch`: the oracle that shares no code with the recursion."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

if TYPE_CHECKING:
    from neural_kernels.activations import Activation
    from neural_kernels.layer import Layer
    from neural_kernels.layers.dense import Dense


class NTKLinear(nn.Module):
    """A linear map whose variances are factors in `forward` (NTK) or in the initial weights (standard)."""

    def __init__(self, inputs: int, outputs: int, dense: Dense, generator: torch.Generator) -> None:
        super().__init__()
        factors = math.sqrt(dense.weight_var / inputs), math.sqrt(dense.bias_var or 0.0)
        initial, self.factors = ((1.0, 1.0), factors) if dense.parametrization == "ntk" else (factors, (1.0, 1.0))
        self.weight = nn.Parameter(initial[0] * torch.randn(outputs, inputs, generator=generator))
        self.bias = None
        if dense.bias_var is not None:
            self.bias = nn.Parameter(initial[1] * torch.randn(outputs, generator=generator))

    def forward(self, x: Tensor) -> Tensor:
        """Map the last axis."""
        bias = None if self.bias is None else self.factors[1] * self.bias
        return nn.functional.linear(x, self.factors[0] * self.weight, bias)

    def extra_repr(self) -> str:
        """Sizes and factors."""
        outputs, inputs = self.weight.shape
        return f"{inputs}, {outputs}, weight_factor={self.factors[0]:.4g}, bias_factor={self.factors[1]:.4g}"


class ActivationModule(nn.Module):
    """An activation's function as a module."""

    def __init__(self, activation: Activation) -> None:
        super().__init__()
        self.activation = activation

    def forward(self, x: Tensor) -> Tensor:
        """Apply the function."""
        return self.activation.fn(x)

    def extra_repr(self) -> str:
        """The activation."""
        return repr(self.activation)


class Branches(nn.Module):
    """Several modules on the same input; subclasses say how their outputs come together."""

    def __init__(self, branches: Sequence[nn.Module]) -> None:
        super().__init__()
        self.branches = nn.ModuleList(branches)


class SumOfBranches(Branches):
    """Their sum."""

    def forward(self, x: Tensor) -> Tensor:
        """Add."""
        return torch.stack([branch(x) for branch in self.branches]).sum(0)


class ProductOfBranches(Branches):
    """Their product."""

    def forward(self, x: Tensor) -> Tensor:
        """Multiply."""
        return torch.stack([branch(x) for branch in self.branches]).prod(0)


class ConcatOfBranches(Branches):
    """Their concatenation, each scaled so that it counts by its weight whatever its width."""

    def __init__(self, branches: Sequence[nn.Module], scales: Sequence[float]) -> None:
        super().__init__(branches)
        self.scales = tuple(scales)

    def forward(self, x: Tensor) -> Tensor:
        """Scale and join the last axis."""
        return torch.cat([scale * branch(x) for scale, branch in zip(self.scales, self.branches, strict=True)], -1)


def build_network(
    net: Layer, input_shape: int | tuple[int, ...], width: int, out_features: int, seed: int
) -> nn.Sequential:
    """The finite network; `out_features` is the width of the last affine map."""
    from neural_kernels.layers.containers import Sequential

    shape = (input_shape,) if isinstance(input_shape, int) else tuple(input_shape)
    for name, value in (("width", width), ("out_features", out_features), *(("input_shape", n) for n in shape)):
        if isinstance(value, bool) or not isinstance(value, int) or value < 1:
            raise ValueError(f"to_torch: {name} must be a positive integer, got {value!r}")
    generator = torch.Generator().manual_seed(seed)
    layers = net.layers if isinstance(net, Sequential) else (net,)
    last = max((k for k, layer in enumerate(layers) if layer.affine), default=-1)
    modules = []
    for k, layer in enumerate(layers):
        module, shape = layer.build(shape, out_features if k == last else width, generator)
        modules.append(module)
    return nn.Sequential(*modules)
