"""Torch modules of finite width: the oracle that the recursions of wide networks are compared with.

They know nothing of the library's layers: numbers go in, and where a module draws its weights, a generator. Layers make
them in `build`. Modules act on dim 1, the channels, of batches (n, channels, *positions); for vectors that is the only
one. They are loaded with the first finite network: most programs only want kernels.

variances  standard deviations of initial weights and factors in `forward`, for either parametrisation
modules    linear maps, activations, branches that come together, normalisation
geometry   windows over positions: padding, strides, sizes
positions  convolutions, pools, interpolation
mixing     attention, sums over neighbours, and the network on graphs
"""
