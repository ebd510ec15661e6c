"""Landmarks layer by layer: a network's feature map as a convolutional network that is learned without labels.

- `layerwise`: the method;
- `landmark_map`: the map that it builds;
- `forms`: the kernels of a network as linear combinations of what its layers make, before there are data;
- `levels`: where features are made, in their order: NNGP kernel and NTK at one level share a basis;
- `run`: one batch on its way through the levels, with exact variances;
- `fitting`: what stages learn from: the sample on its way, metrics, random choices;
- `linear`: stages of linear operations, windows among them;
- `windows`: maps of positions on features;
- `pointwise`: stages of functions entry by entry: kernels with landmarks;
- `entries`: these functions by their own formulas;
- `pair_function`: what a compiled one does;
- `functions`: the usual ones compiled, by the angle;
- `series`: the same by a series;
- `ending`: what stands behind the last activation;
- `readout`: from features at positions to those of whole examples;
- `flat`: the same for Flatten, which compares equal positions;
- `residual`: random columns for what landmarks leave out.
"""

from neural_kernels.features.landmarks.landmark_map import landmarks_suit
from neural_kernels.features.landmarks.layerwise import LayerwiseLandmarks

__all__ = ["LayerwiseLandmarks", "landmarks_suit"]
