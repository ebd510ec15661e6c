"""Finite counterparts of the layers, for `to_torch`: the oracle that shares no code with the recursion.

Modules act on dim 1, the channels, of batches (n, channels, *positions); for vectors that is the only one.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from neural_kernels.finite.mixing import Aggregate, GraphNetwork
from neural_kernels.runtime.types import Shape

if TYPE_CHECKING:
    from neural_kernels.activations import Activation
    from neural_kernels.algebra import Layer
    from neural_kernels.layers.containers import Concat, Product, Residual
    from neural_kernels.layers.dense import Dense

Built = tuple[nn.Module, Shape]
Factors = tuple[float, float]


def variances(layer: Any, fan_in: int) -> tuple[Factors, Factors]:
    """Standard deviations of initial weights and biases, and the factors on them in `forward`."""
    factors = math.sqrt(layer.weight_var / fan_in), math.sqrt(layer.bias_var or 0.0)
    if getattr(layer, "parametrization", "ntk") == "ntk":
        return (1.0, 1.0), factors
    return factors, (1.0, 1.0)


class NTKLinear(nn.Module):
    """A linear map whose variances are factors in `forward` (NTK) or in the initial weights (standard)."""

    def __init__(self, inputs: int, outputs: int, dense: Dense, generator: torch.Generator) -> None:
        super().__init__()
        initial, self.factors = variances(dense, inputs)
        self.weight = nn.Parameter(initial[0] * torch.randn(outputs, inputs, generator=generator))
        self.bias = None
        if dense.bias_var is not None:
            self.bias = nn.Parameter(initial[1] * torch.randn(outputs, generator=generator))

    def forward(self, x: Tensor) -> Tensor:
        """Map the channels, at every position alike."""
        bias = None if self.bias is None else self.factors[1] * self.bias
        return nn.functional.linear(x.movedim(1, -1), self.factors[0] * self.weight, bias).movedim(-1, 1)

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
        """Scale and join the channels."""
        return torch.cat([scale * branch(x) for scale, branch in zip(self.scales, self.branches, strict=True)], 1)


class Normalize(nn.Module):
    """Mean 0 and variance 1 over the channels of each position, or over all of an example; no parameters."""

    def __init__(self, over: str, eps: float) -> None:
        super().__init__()
        self.over, self.eps = over, eps

    def forward(self, x: Tensor) -> Tensor:
        """Subtract and divide."""
        dims = 1 if self.over == "channels" else tuple(range(1, x.ndim))
        centred = x - x.mean(dims, keepdim=True)
        return centred * (centred.square().mean(dims, keepdim=True) + self.eps).rsqrt()

    def extra_repr(self) -> str:
        """Settings."""
        return f"over={self.over!r}, eps={self.eps}"


def build_chain(
    layers: Sequence[Layer], shape: Shape, width: int, generator: torch.Generator, outputs: int | None = None
) -> Built:
    """Modules one after the other; `outputs` is the width of the last affine map, where it is another than `width`."""
    outputs = width if outputs is None else outputs
    last = max((k for k, layer in enumerate(layers) if layer.has_weights), default=-1)
    modules = []
    for k, layer in enumerate(layers):
        module, shape = build(layer, shape, width, generator, outputs if k == last else width)
        modules.append(module)
    return nn.Sequential(*modules), shape


def build_sum(
    layer: Residual, shape: Shape, width: int, generator: torch.Generator, outputs: int | None = None
) -> Built:
    """The sum of a body and a shortcut."""
    if layer.shortcut is None:
        module, after = build(layer.body, shape, width, generator, shape[0])
        modules, shapes = [module, nn.Identity()], [after, shape]
    else:
        built = [build(branch, shape, width, generator, outputs) for branch in (layer.body, layer.shortcut)]
        modules, shapes = [module for module, _ in built], [after for _, after in built]
    if shapes[0] != shapes[1]:
        raise ValueError(
            f"{layer!r}: the branches' outputs have shapes {shapes[0]} and {shapes[1]}, which cannot be added"
        )
    return SumOfBranches(modules), shapes[0]


def build_product(
    layer: Product, shape: Shape, width: int, generator: torch.Generator, outputs: int | None = None
) -> Built:
    """The product of branches."""
    outputs = outputs if layer.has_weights else shape[0]
    built = [build(branch, shape, width, generator, outputs) for branch in layer.branches]
    shapes = [after for _, after in built]
    if len(set(shapes)) > 1:
        raise ValueError(f"{layer!r}: the branches' outputs have shapes {shapes}, which cannot be multiplied")
    return ProductOfBranches([module for module, _ in built]), shapes[0]


def build_concat(
    layer: Concat, shape: Shape, width: int, generator: torch.Generator, outputs: int | None = None
) -> Built:
    """The branches' channels side by side, as many of each as its share says."""
    outputs = width if outputs is None else outputs
    built = [
        build(branch, shape, width, generator, max(1, round(share * outputs)))
        for share, branch in zip(layer.shares, layer.branches, strict=True)
    ]
    shapes = [after for _, after in built]
    if len({after[1:] for after in shapes}) > 1:
        raise ValueError(f"{layer!r}: the branches' outputs have shapes {shapes}; their positions differ")
    widths = [after[0] for after in shapes]
    scales = [math.sqrt(share * sum(widths) / n) for share, n in zip(layer.shares, widths, strict=True)]
    return ConcatOfBranches([module for module, _ in built], scales), (sum(widths), *shapes[0][1:])


def build(layer: Layer, shape: Shape, width: int, generator: torch.Generator, outputs: int | None = None) -> Built:
    """Any layer: its affine maps have `width` outputs, those that end it `outputs`."""
    from neural_kernels.finite.positions import build_attention
    from neural_kernels.layers import containers
    from neural_kernels.layers.attention import Attention

    outputs = width if outputs is None else outputs
    if isinstance(layer, containers.Sequential):
        return build_chain(layer.layers, shape, width, generator, outputs)
    if isinstance(layer, containers.Residual):
        return build_sum(layer, shape, width, generator, outputs)
    if isinstance(layer, containers.Product):
        return build_product(layer, shape, width, generator, outputs)
    if isinstance(layer, containers.Concat):
        return build_concat(layer, shape, width, generator, outputs)
    if isinstance(layer, Attention):  # the only one with units of its own inside, which must be many
        return build_attention(layer, shape, width, generator, outputs)
    return layer.build(shape, outputs, generator)


def build_network(
    net: Layer, input_shape: int | tuple[int, ...], width: int, out_features: int, seed: int
) -> nn.Sequential:
    """The finite network; `out_features` is the width of the last affine map."""
    shape = (input_shape,) if isinstance(input_shape, int) else tuple(input_shape)
    for name, value in (("width", width), ("out_features", out_features), *(("input_shape", n) for n in shape)):
        if isinstance(value, bool) or not isinstance(value, int) or value < 1:
            raise ValueError(f"to_torch: {name} must be a positive integer, got {value!r}")
    if not shape:
        raise ValueError("to_torch: input_shape is empty; expected (features,) or (channels, *positions)")
    generator = torch.Generator().manual_seed(seed)
    module, _ = build(net, shape, width, generator, out_features)
    modules = module if isinstance(module, nn.Sequential) else (module,)
    on_graphs = any(isinstance(part, Aggregate) for part in module.modules())
    return GraphNetwork(*modules) if on_graphs else nn.Sequential(*modules)
