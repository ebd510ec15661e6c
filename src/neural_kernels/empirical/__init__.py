"""Kernels of torch modules as they are: tangent kernels at the present parameters."""

from neural_kernels.empirical.kernels import EmpiricalNTK, PseudoNTK, TraceNTK
from neural_kernels.empirical.module.parameters import LastLayers

__all__ = ["EmpiricalNTK", "LastLayers", "PseudoNTK", "TraceNTK"]
