"""Neural tangent kernels made practical: exact kernels of wide networks, and learning with them.

>>> import neural_kernels as nk
>>> net = nk.mlp(depth=3)              # describe a network once
>>> kernel = nk.NTK(net)               # its exact neural tangent kernel, a function of two arrays
>>> model = nk.NeuralKernelClassifier(net)  # a scikit-learn estimator with that kernel
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from neural_kernels import activations as _activations
from neural_kernels import layers as _layers
from neural_kernels.activations import *  # noqa: F403
from neural_kernels.errors import ArchitectureError
from neural_kernels.kernels import NNGP, NTK, GammaExponential, Laplace, kernels
from neural_kernels.kernels.graphs import Graphs
from neural_kernels.layer import Layer
from neural_kernels.layers import *  # noqa: F403

if TYPE_CHECKING:
    from neural_kernels.estimators import NeuralKernelClassifier, NeuralKernelRegressor
    from neural_kernels.importing import from_torch

__version__ = "0.1.0"

# Loaded on first use: they bring scikit-learn and SciPy.
_LAZY = {
    "NeuralKernelClassifier": "neural_kernels.estimators",
    "NeuralKernelRegressor": "neural_kernels.estimators",
    "from_torch": "neural_kernels.importing",
}

__all__ = [
    "NNGP",
    "NTK",
    "ArchitectureError",
    "GammaExponential",
    "Graphs",
    "Laplace",
    "Layer",
    "NeuralKernelClassifier",
    "NeuralKernelRegressor",
    "from_torch",
    "kernels",
    *_activations.__all__,
    *_layers.__all__,
]


def __getattr__(name: str) -> Any:
    if name in _LAZY:
        return getattr(import_module(_LAZY[name]), name)
    raise AttributeError(f"module 'neural_kernels' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
