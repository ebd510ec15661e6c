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
from neural_kernels.algebra import Layer
from neural_kernels.errors import ArchitectureError, LoadError, SaveError, ScaleWarning
from neural_kernels.exact import (
    NNGP,
    NTK,
    FlipAverage,
    GammaExponential,
    Kernel,
    Laplace,
    MetricKernel,
    PolynomialKernel,
    kernels,
)
from neural_kernels.exact.graphs import Graphs
from neural_kernels.layers import *  # noqa: F403

if TYPE_CHECKING:
    from neural_kernels import analysis, displays, sketches, solvers
    from neural_kernels.empirical import EmpiricalNTK, LastLayers, PseudoNTK, TraceNTK
    from neural_kernels.empirical.gradient_features import GradientFeatures
    from neural_kernels.empirical.linearize import linearize
    from neural_kernels.estimators import (
        Checkpoint,
        FeatureLearning,
        ImageScaler,
        NeuralFeatureClassifier,
        NeuralFeatureLogisticClassifier,
        NeuralFeatureRegressor,
        NeuralFeatures,
        NeuralKernelClassifier,
        NeuralKernelRegressor,
        StreamPipeline,
        transform_to_disk,
    )
    from neural_kernels.estimators.linearized.predictor import LinearizedPredictor
    from neural_kernels.features import (
        AdaptiveSampling,
        FeatureMap,
        LayerwiseLandmarks,
        Nystrom,
        PolynomialSketch,
        RandomFeatures,
        UnsuitableError,
        ZonalFeatures,
        feature_map,
        min_components,
    )
    from neural_kernels.importing import from_torch
    from neural_kernels.interop import gpytorch_kernel, sklearn_kernel
    from neural_kernels.runtime.versions import show_versions
    from neural_kernels.saving import load, save
    from neural_kernels.solvers.moments import Moments
    from neural_kernels.sources import RowSource, read_blocks
    from neural_kernels.tables import TableClassifier, TableEncoder, TableRegressor, TableScaler, table_pipeline

__version__ = "0.1.0"

# Loaded on first use: they bring scikit-learn and SciPy.
_LAZY = {
    "AdaptiveSampling": "neural_kernels.features",
    "Checkpoint": "neural_kernels.estimators",
    "EmpiricalNTK": "neural_kernels.empirical",
    "FeatureLearning": "neural_kernels.estimators",
    "FeatureMap": "neural_kernels.features",
    "GradientFeatures": "neural_kernels.empirical.gradient_features",
    "ImageScaler": "neural_kernels.estimators",
    "LastLayers": "neural_kernels.empirical",
    "LayerwiseLandmarks": "neural_kernels.features",
    "LinearizedPredictor": "neural_kernels.estimators.linearized.predictor",
    "Moments": "neural_kernels.solvers.moments",
    "NeuralFeatureClassifier": "neural_kernels.estimators",
    "NeuralFeatureLogisticClassifier": "neural_kernels.estimators",
    "NeuralFeatureRegressor": "neural_kernels.estimators",
    "NeuralFeatures": "neural_kernels.estimators",
    "NeuralKernelClassifier": "neural_kernels.estimators",
    "NeuralKernelRegressor": "neural_kernels.estimators",
    "Nystrom": "neural_kernels.features",
    "PolynomialSketch": "neural_kernels.features",
    "PseudoNTK": "neural_kernels.empirical",
    "RandomFeatures": "neural_kernels.features",
    "RowSource": "neural_kernels.sources",
    "StreamPipeline": "neural_kernels.estimators",
    "TableClassifier": "neural_kernels.tables",
    "TableEncoder": "neural_kernels.tables",
    "TableRegressor": "neural_kernels.tables",
    "TableScaler": "neural_kernels.tables",
    "TraceNTK": "neural_kernels.empirical",
    "UnsuitableError": "neural_kernels.features",
    "ZonalFeatures": "neural_kernels.features",
    "feature_map": "neural_kernels.features",
    "from_torch": "neural_kernels.importing",
    "gpytorch_kernel": "neural_kernels.interop",
    "linearize": "neural_kernels.empirical.linearize",
    "load": "neural_kernels.saving",
    "min_components": "neural_kernels.features",
    "save": "neural_kernels.saving",
    "sklearn_kernel": "neural_kernels.interop",
    "read_blocks": "neural_kernels.sources",
    "show_versions": "neural_kernels.runtime.versions",
    "table_pipeline": "neural_kernels.tables",
    "transform_to_disk": "neural_kernels.estimators",
}

__all__ = [
    "NNGP",
    "NTK",
    "AdaptiveSampling",
    "ArchitectureError",
    "Checkpoint",
    "EmpiricalNTK",
    "FeatureLearning",
    "FeatureMap",
    "FlipAverage",
    "GammaExponential",
    "GradientFeatures",
    "Graphs",
    "ImageScaler",
    "Kernel",
    "Laplace",
    "LastLayers",
    "Layer",
    "LayerwiseLandmarks",
    "LinearizedPredictor",
    "LoadError",
    "MetricKernel",
    "Moments",
    "NeuralFeatureClassifier",
    "NeuralFeatureLogisticClassifier",
    "NeuralFeatureRegressor",
    "NeuralFeatures",
    "NeuralKernelClassifier",
    "NeuralKernelRegressor",
    "Nystrom",
    "PolynomialKernel",
    "PolynomialSketch",
    "PseudoNTK",
    "RandomFeatures",
    "RowSource",
    "SaveError",
    "ScaleWarning",
    "StreamPipeline",
    "TableClassifier",
    "TableEncoder",
    "TableRegressor",
    "TableScaler",
    "TraceNTK",
    "UnsuitableError",
    "ZonalFeatures",
    "analysis",
    "displays",
    "feature_map",
    "from_torch",
    "gpytorch_kernel",
    "kernels",
    "linearize",
    "load",
    "min_components",
    "read_blocks",
    "save",
    "show_versions",
    "sketches",
    "sklearn_kernel",
    "solvers",
    "table_pipeline",
    "transform_to_disk",
    *_activations.__all__,
    *_layers.__all__,
]


def __getattr__(name: str) -> Any:
    if name in ("analysis", "displays", "sketches", "solvers"):
        return import_module(f"neural_kernels.{name}")
    if name in _LAZY:
        return getattr(import_module(_LAZY[name]), name)
    raise AttributeError(f"module 'neural_kernels' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
