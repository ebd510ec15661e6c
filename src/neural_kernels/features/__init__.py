"""Feature maps: phi with phi(x) . phi(y) close to a kernel, such as that of an infinitely wide network.

What users hold, and what a method is:

- `build`: functions that make a map (`feature_map`), and say how many columns it needs (`min_components`);
- `map`: the module that users call (`FeatureMap`): checks, arrays, blocks of rows, the choice of a method;
- `fidelity`: how far features are from the kernel, in its entries and in predictions;
- `plan`: what is to be mapped, and by which method, from what users give;
- `states`: tensors of one map in another;
- `width`: the search of how many columns are needed;
- `method`: what is to be mapped (`Task`), how a method answers (`Method`), and what it builds (`BuiltMap`);
- `flipped`: maps of kernels that are averaged over flips; `measured`: of networks with a metric;
- `choice`: which method is taken where none is named, and why.

The methods, in the order of what they need to know of a kernel:

- `nystrom`: its values at landmarks of the data, and nothing else;
- `zonal_features`: that it is a function of the angle; one random layer, whatever the depth;
- `landmarks/`: the layers of its network, with landmarks among the positions of every layer;
- `adaptive_sampling`: that it is a power series of the cosine; monomials sampled by what the data make of them;
- `random_features`: the layers of its network, with random features of every activation;
- `polynomial_sketch`: one series of the angle if there is one, else the layers, by sketched powers.

What they share:

- `angle/`: kernels that are functions of the angle, by one power series for the whole depth;
- `monomials/`: products of a few coordinates as features, and how they are drawn;
- `layered/`: the representation by factors, which goes through a network layer by layer;
- `reduction`: wide or sparse rows as dense ones of bounded width, in blocks;
- `directions`: random directions in orthogonal blocks;
- `distinct`: the order in which rows become landmarks;
- `allotment`: which part of a factor gets how many columns;
- `natural`: images such as there are, where a map is given none.
"""

from neural_kernels.features.adaptive_sampling import AdaptiveSampling
from neural_kernels.features.build import feature_map, min_components
from neural_kernels.features.landmarks import LayerwiseLandmarks
from neural_kernels.features.map import FeatureMap
from neural_kernels.features.method import Method, Task, UnsuitableError
from neural_kernels.features.nystrom import Nystrom
from neural_kernels.features.polynomial_sketch import PolynomialSketch
from neural_kernels.features.random_features import RandomFeatures
from neural_kernels.features.zonal_features import ZonalFeatures

__all__ = [
    "AdaptiveSampling",
    "FeatureMap",
    "LayerwiseLandmarks",
    "Method",
    "Nystrom",
    "PolynomialSketch",
    "RandomFeatures",
    "Task",
    "UnsuitableError",
    "ZonalFeatures",
    "feature_map",
    "min_components",
]
