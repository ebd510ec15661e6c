"""Feature models of Dask collections, on a cluster or on one machine.

- `regressor`, `classifier`, `transformer`: what users call; they share `model` and, the first two, `linear`;
- `partitions`: collections of rows, read as partitions;
- `lazy`: what is predicted, partition by partition, when it is asked for;
- `passes`: how a model comes to see all partitions;
- `part_sums`: what a worker has summed, on its way to another one;
- `sizes`: what models take of a worker's memory;
- `workers`: one task for each worker, and results merged in pairs.
"""

from neural_kernels.dask.classifier import DaskNeuralFeatureClassifier
from neural_kernels.dask.regressor import DaskNeuralFeatureRegressor
from neural_kernels.dask.transformer import DaskNeuralFeatures

__all__ = ["DaskNeuralFeatureClassifier", "DaskNeuralFeatureRegressor", "DaskNeuralFeatures"]
