"""The algebra of kernels that layers are written in, and the check that a description is a network."""

from neural_kernels.algebra.maps import Matrix, PerExampleMatrix, PositionMap, Separable, Taps
from neural_kernels.algebra.representation import Graph, KernelPair, Nothing, PerExample, Representation
from neural_kernels.algebra.traits import Traits, independent, joined, uncorrelated

__all__ = [
    "Graph",
    "KernelPair",
    "Matrix",
    "Nothing",
    "PerExample",
    "PerExampleMatrix",
    "PositionMap",
    "Representation",
    "Separable",
    "Taps",
    "Traits",
    "independent",
    "joined",
    "uncorrelated",
]
