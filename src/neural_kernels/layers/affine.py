"""What layers with weights and biases share."""

from __future__ import annotations

from abc import abstractmethod
from typing import Any, Self

import torch
from torch import nn
from typing_extensions import override

from neural_kernels.algebra import K, KernelPair, Layer, Traits, short_repr, with_fields
from neural_kernels.checks import require_choice, require_integer, require_number
from neural_kernels.finite.variances import Variances
from neural_kernels.runtime.types import Shape


class Affine(Layer):
    """A layer of one affine map, on every position alike."""

    weight_var: float
    bias_var: float | None
    parametrization: str
    width: int | None
    trained: bool

    def __post_init__(self) -> None:
        require_number(self, weight_var=self.weight_var)
        if self.bias_var is not None:
            require_number(self, bias_var=self.bias_var)
        require_choice(self, ("ntk", "standard"), parametrization=self.parametrization)
        if self.width is not None:
            require_integer(self, width=self.width)
            object.__setattr__(self, "width", int(self.width))

    __repr__ = short_repr

    def update(self, pair: KernelPair[K], taps: int = 1) -> KernelPair[K]:
        """Return the pair after the affine map.

        Parameters
        ----------
        pair : KernelPair
            Of the units that are mapped, or of their means over windows.
        taps : int
            Places of a window, each of which has weights of its own for every channel.
        """
        nngp = self.weight_var * pair.nngp + (0.0 if self.bias_var is None else self.bias_var)
        ntk = self.weight_var * pair.ntk
        if self.trained and self.parametrization == "ntk":
            ntk = ntk + nngp  # type: ignore[operator]
        elif self.trained:
            ntk = ntk + float(self._inputs(pair.width) * taps) * pair.nngp  # type: ignore[operator]
            ntk = ntk + float(self.bias_var is not None)
        return pair.after(nngp, ntk, width=self.width)

    def _inputs(self, width: int | None) -> int:
        if width is None:
            raise ValueError(
                f"{self!r}: the NTK in the standard parametrisation depends on the number of inputs; give the affine "
                "layer before it a width"
            )
        return width

    @override
    def rescaled(self, weights: Any, biases: Any) -> Self:
        bias_var = self.bias_var * biases if self.bias_var else self.bias_var
        return with_fields(self, weight_var=self.weight_var * weights, bias_var=bias_var)

    @override
    def check(self, traits: Traits) -> Traits:
        return traits.affine()

    @property
    @override
    def has_weights(self) -> bool:
        return True

    @override
    def build(self, shape: Shape, width: int, outputs: int, generator: torch.Generator) -> tuple[nn.Module, Shape]:
        outputs = self.width or outputs
        variances = Variances(self.weight_var, self.bias_var, self.parametrization == "standard")
        module, positions = self._finite(shape, outputs, variances, generator)
        return module.requires_grad_(self.trained), (outputs, *positions)

    @abstractmethod
    def _finite(
        self, shape: Shape, outputs: int, variances: Variances, generator: torch.Generator
    ) -> tuple[nn.Module, Shape]:
        """Return the module, which trains, and the positions after it."""
