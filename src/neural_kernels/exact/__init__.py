"""Exact kernels: of networks, and the stationary ones they are compared with."""

from neural_kernels.exact.kernel import Kernel, as_kernel
from neural_kernels.exact.network import NNGP, NTK, NetworkKernel, kernels, resolve_kernel
from neural_kernels.exact.stationary import GammaExponential, Laplace

__all__ = [
    "NNGP",
    "NTK",
    "GammaExponential",
    "Kernel",
    "Laplace",
    "NetworkKernel",
    "as_kernel",
    "kernels",
    "resolve_kernel",
]
