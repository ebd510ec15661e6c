"""The one interface of everything that can stand in a network's description."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable
from copy import copy
from dataclasses import fields
from typing import Any, Self, TypeVar

import torch
from torch import nn

from neural_kernels.algebra.input_map import InputMap
from neural_kernels.algebra.representation import KernelPair
from neural_kernels.algebra.traits import Traits
from neural_kernels.checks import require_integer
from neural_kernels.runtime.types import Shape


class Layer(ABC):
    """A layer of an infinitely wide network: its recursion, what it demands of its input, its finite counterpart.

    A layer states its recursion once, in the algebra of :class:`~neural_kernels.algebra.Representation`; every view of
    the network (exact entries, features, ...) is one implementation of that algebra. Concrete layers are frozen
    dataclasses.
    """

    @abstractmethod
    def propagate(self, pair: KernelPair[Any]) -> KernelPair[Any]:
        """Carry (nngp, ntk) through the layer."""

    @abstractmethod
    def check(self, traits: Traits) -> Traits:
        """Return what is true of the output, given what is of the input.

        Raises
        ------
        ArchitectureError
            Where the layer has no kernel behind such an input.
        """

    @abstractmethod
    def build(self, shape: Shape, width: int, outputs: int, generator: torch.Generator) -> tuple[nn.Module, Shape]:
        """Make the layer's finite counterpart.

        Parameters
        ----------
        shape : tuple of int
            Of one example at its input: (features,) or (channels, *positions). Modules act on batches of them.
        width : int
            Number of units inside the layer, where it has some.
        outputs : int
            Number of units that its last affine map gives, where it has one and does not say itself.
        generator : torch.Generator
            Of the initial weights: layers draw in the order in which they stand.

        Returns
        -------
        module : torch.nn.Module
        shape : tuple of int
            Of one example at its output.
        """

    def split(self) -> tuple[Layer, InputMap | None]:
        """The same without the metric of its first layer, and the map of the data that stands for it, if there is one.

        The kernels of the two, the map first, are those of this layer.
        """
        return self, None

    def rescaled(self, weights: Any, biases: Any) -> Self:
        """The same layer with the variances of all weights, and of all biases, times a positive number each.

        Parameters
        ----------
        weights, biases : float, or Tensor of no axes
            By tensors, kernels of the result by their entries are differentiable: they are exact in forward and in
            reverse mode. Variances of 0 stay numbers.
        """
        changed = {}
        for f in fields(self):  # type: ignore[arg-type]
            value = getattr(self, f.name)
            parts = value if isinstance(value, tuple) else (value,)
            if any(isinstance(part, Layer) for part in parts):
                new = tuple(part.rescaled(weights, biases) for part in parts)
                changed[f.name] = new if isinstance(value, tuple) else new[0]
        return with_fields(self, **changed)

    @property
    def arguments(self) -> dict[str, Any]:
        """Those of the function that wrote the network out, such as `nk.mlp`; none if it was written layer by layer."""
        return {}

    def with_arguments(self, **values: Any) -> Layer:
        """What the same function writes out with other values of some arguments.

        Raises
        ------
        ValueError
            The function has no such argument, or refuses the value; there is no such function.
        """
        raise ValueError(
            f"{self!r} has no argument {', '.join(values)}: it was written layer by layer, not by nk.mlp, nk.cnn, "
            "nk.myrtle or nk.resnet"
        )

    @property
    def has_weights(self) -> bool:
        """Whether the layer ends with affine maps of its own, which have as many outputs as `build` asks for."""
        return False

    def to_torch(
        self, input_shape: int | tuple[int, ...], width: int, out_features: int = 1, seed: int = 0
    ) -> nn.Module:
        """Return the finite network of this description, NTK parametrisation, freshly initialised.

        Parameters
        ----------
        input_shape : int or tuple of int
            Shape of one example: the number of features, or (channels, *positions), channels first.
        width : int
            Number of outputs of every affine map but the last.
        out_features : int
            Number of outputs of the last affine map.
        seed : int
            Of the initial weights, which are standard normal; their variances are factors in `forward`.

        Returns
        -------
        torch.nn.Module
            Its empirical NTK and its outputs' covariance tend to those of this description as ``width`` grows.
        """
        shape = tuple(input_shape) if isinstance(input_shape, Iterable) else (input_shape,)
        require_integer("to_torch", width=width, out_features=out_features)
        for size in shape:
            require_integer("to_torch", input_shape=size)
        if not shape:
            raise ValueError("to_torch: input_shape is empty; expected (features,) or (channels, *positions)")
        shape = tuple(map(int, shape))
        module, _ = self.build(shape, int(width), int(out_features), torch.Generator().manual_seed(seed))
        from neural_kernels.finite.mixing import as_network

        return as_network(module)


LayerT = TypeVar("LayerT", bound=Layer)


def with_fields(layer: LayerT, **values: Any) -> LayerT:
    """A copy with other values, past the checks of the constructor, which takes no tensors for numbers."""
    result = copy(layer)
    for name, value in values.items():
        object.__setattr__(result, name, value)
    return result


def short_repr(self: Any) -> str:
    """Return the call of a dataclass' constructor, with the arguments that differ from their defaults."""
    shown = [f for f in fields(self) if getattr(self, f.name) != f.default]
    return f"{type(self).__name__}({', '.join(f'{f.name}={getattr(self, f.name)!r}' for f in shown)})"
