"""Exact kernels: of networks, and the stationary ones they are compared with.

- `kernel`: what a kernel is to everybody who uses one; sums, products, multiples, functions of the user's.
- `network`: the kernels of a network, what users call; `resolve`: which of them a name means.
- `stationary`: kernels of the distance alone.
- `measured`: any kernel of inputs seen through a metric.
- `polynomial`: the polynomial kernel.
- `flips`: kernels of images averaged over mirror images.
- `arrays`, `graphs`: the boundary, and graphs as data.
- `gram`: the representation by entries. Layers build expressions with it.
- `expressions/`: what they build, and the formulas in torch.
- `variances`: what an expression is within one example.
- `evaluate`: where expressions become matrices, by the engine or by torch.
- `results`: results within memory budget and range.
- `bound`: a kernel with one batch that stays, prepared for many small others.
- `compile/`: from expressions to programs of the engine.
- `gradients/`: how sums of kernels change with their inputs.
- `on_disk`: matrices in files.
- `lazy`: matrices of Dask arrays.

Imports go expressions < compile < variances < gram, evaluate < results < bound < network.
"""

from neural_kernels.exact.flips import FlipAverage
from neural_kernels.exact.kernel import Kernel, as_kernel
from neural_kernels.exact.measured import MetricKernel
from neural_kernels.exact.network import NNGP, NTK, NetworkKernel, kernels
from neural_kernels.exact.polynomial import PolynomialKernel
from neural_kernels.exact.resolve import resolve_kernel
from neural_kernels.exact.stationary import GammaExponential, Laplace

__all__ = [
    "NNGP",
    "NTK",
    "FlipAverage",
    "GammaExponential",
    "Kernel",
    "Laplace",
    "MetricKernel",
    "NetworkKernel",
    "PolynomialKernel",
    "as_kernel",
    "kernels",
    "resolve_kernel",
]
