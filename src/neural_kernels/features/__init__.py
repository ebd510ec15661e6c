"""Feature maps: phi with phi(x) . phi(y) close to the kernel of an infinitely wide network."""

from neural_kernels.features.map import FeatureMap, feature_map
from neural_kernels.features.method import Method, Task, UnsuitableError
from neural_kernels.features.nystrom import Nystrom
from neural_kernels.features.polynomial_sketch import PolynomialSketch
from neural_kernels.features.random_features import RandomFeatures
from neural_kernels.features.zonal_features import ZonalFeatures

__all__ = [
    "FeatureMap",
    "Method",
    "Nystrom",
    "PolynomialSketch",
    "RandomFeatures",
    "Task",
    "UnsuitableError",
    "ZonalFeatures",
    "feature_map",
]
