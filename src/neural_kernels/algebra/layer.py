"""The one interface of everything that can stand in a network's description."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch
    from torch import nn

    from neural_kernels.algebra.representation import KernelPair
    from neural_kernels.algebra.traits import Traits


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
        """What is true of the output, given that of the input; raise `ArchitectureError` where no kernel exists."""

    @abstractmethod
    def build(
        self, shape: tuple[int, ...], width: int, generator: torch.Generator
    ) -> tuple[nn.Module, tuple[int, ...]]:
        """A finite module, and the shape after it; affine maps have `width` outputs.

        Shapes are those of one example: (features,) or (channels, *positions); modules act on batches of them.
        """

    @property
    def has_weights(self) -> bool:
        """Whether the layer ends with an affine map of its own, so that the finite network can choose its outputs."""
        return False

    def to_torch(
        self, input_shape: int | tuple[int, ...], width: int, out_features: int = 1, seed: int = 0
    ) -> nn.Module:
        """The finite network of this description, NTK parametrisation, freshly initialised.

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
        from neural_kernels.finite.modules import build_network

        return build_network(self, input_shape, width, out_features, seed)
