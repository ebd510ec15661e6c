"""The algebra of kernels that layers are written in, and the check that a description is a network."""

from neural_kernels.algebra.representation import KernelPair, Nothing, PerExample, Representation
from neural_kernels.algebra.traits import Traits, independent, joined, uncorrelated

__all__ = ["KernelPair", "Nothing", "PerExample", "Representation", "Traits", "independent", "joined", "uncorrelated"]
