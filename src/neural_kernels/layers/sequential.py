"""Chains of layers."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import reduce
from typing import Any

import torch
from torch import nn
from typing_extensions import override

from neural_kernels.algebra import InputMap, K, KernelPair, Layer, Traits
from neural_kernels.layers.call import Call
from neural_kernels.runtime.types import Shape


def require_layers(owner: str, values: tuple[object, ...]) -> None:
    """Raise TypeError if an argument of `owner` is no layer."""
    for k, value in enumerate(values):
        if not isinstance(value, Layer):
            hint = f" (write {value.__name__}() with parentheses)" if isinstance(value, type) else ""
            hint = " (nk.from_torch describes a torch module)" if isinstance(value, nn.Module) else hint
            raise TypeError(f"{owner}: argument {k} is {value!r}, not a layer{hint}")


@dataclass(frozen=True, init=False, repr=False)
class Sequential(Layer):
    """Layers one after the other.

    Parameters
    ----------
    *layers : Layer
        At least one; activations count as layers.
    call : Call, optional
        Of functions such as :func:`mlp`, which write out networks: what they were given, and so what the network is
        called. Networks of the same layers are equal.

    Examples
    --------
    >>> import neural_kernels as nk
    >>> net = nk.Sequential(nk.Dense(), nk.ReLU(), nk.Dense())
    >>> nk.NTK(net)([[1.0, 0.0]], [[1.0, 0.0], [0.0, 1.0]]).round(4)
    array([[0.5   , 0.0796]])
    """

    layers: tuple[Layer, ...]
    call: Call | None = field(default=None, compare=False)

    def __init__(self, *layers: Layer, call: Call | None = None) -> None:
        require_layers("Sequential", layers)
        if not layers:
            raise ValueError("Sequential: expected at least one layer, got none; Identity() does nothing")
        object.__setattr__(self, "layers", layers)
        object.__setattr__(self, "call", call)

    def __repr__(self) -> str:
        return f"Sequential({', '.join(map(repr, self.layers))})" if self.call is None else repr(self.call)

    @property
    @override
    def arguments(self) -> dict[str, Any]:
        return {} if self.call is None else self.call.arguments

    @override
    def with_arguments(self, **values: Any) -> Layer:
        return super().with_arguments(**values) if self.call is None else self.call.network(values)

    @override
    def propagate(self, pair: KernelPair[K]) -> KernelPair[K]:
        return reduce(lambda current, layer: layer.propagate(current), self.layers, pair)

    @override
    def check(self, traits: Traits) -> Traits:
        return reduce(lambda current, layer: layer.check(current), self.layers, traits)

    @override
    def split(self) -> tuple[Layer, InputMap | None]:
        first, seen = self.layers[0].split()
        return (self, None) if seen is None else (Sequential(first, *self.layers[1:]), seen)

    @override
    def rescaled(self, weights: Any, biases: Any) -> Sequential:
        return Sequential(*(layer.rescaled(weights, biases) for layer in self.layers))

    @property
    @override
    def has_weights(self) -> bool:
        """Whether any layer has weights: the last that does decides the outputs."""
        return any(layer.has_weights for layer in self.layers)

    @override
    def build(self, shape: Shape, width: int, outputs: int, generator: torch.Generator) -> tuple[nn.Module, Shape]:
        """Make a chain of modules; the last layer with weights has ``outputs``, those before it ``width``."""
        last = max((k for k, layer in enumerate(self.layers) if layer.has_weights), default=-1)
        modules = []
        for k, layer in enumerate(self.layers):
            module, shape = layer.build(shape, width, outputs if k == last else width, generator)
            modules.append(module)
        return nn.Sequential(*modules), shape
