"""The algebra of kernels that layers are written in, and the check that a description is a network.

axes            linear maps along one axis of the positions
maps            linear maps of positions, what every layer on positions does to a kernel
representation  what can be done to a kernel, the kernel nobody asked for, and the pair (NNGP, NTK) between two layers
input_map       a fixed linear map of the data in front of a network, and the metric behind it
traits          what is known of the units at one place of a network: the static check
layer           the interface of everything that can stand in a network's description
"""

from neural_kernels.algebra.axes import Matrix, Taps
from neural_kernels.algebra.input_map import ChannelMap, InputMap, Metric, as_metric
from neural_kernels.algebra.layer import Layer, short_repr, with_fields
from neural_kernels.algebra.maps import PerExampleMatrix, PositionMap, Separable
from neural_kernels.algebra.representation import DualKernel, Graph, K, KernelPair, Nothing, PerExample, Representation
from neural_kernels.algebra.traits import Traits, independent, joined, uncorrelated

__all__ = [
    "ChannelMap",
    "DualKernel",
    "Graph",
    "InputMap",
    "K",
    "KernelPair",
    "Layer",
    "Matrix",
    "Metric",
    "Nothing",
    "PerExample",
    "PerExampleMatrix",
    "PositionMap",
    "Representation",
    "Separable",
    "Taps",
    "Traits",
    "as_metric",
    "independent",
    "joined",
    "short_repr",
    "uncorrelated",
    "with_fields",
]
