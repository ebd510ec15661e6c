"""Layers, and the functions that write out usual architectures of them.

affine         what layers with weights and biases share
measured       affine layers that may carry a metric, and what they see of the data if they come first
dense          the fully connected layer
windows        which positions a layer reads for each position of its output
convolution    convolutions, with shared filters and without, and the transpose
pooling        means and sums over windows or all positions, and Flatten
resize         interpolation between positions
normalization  LayerNorm and Dropout
attention      self-attention and the embeddings of positions
graph          sums over neighbours
call           what a network knows of the function that wrote it out
sequential     chains of layers
containers     other layers made of layers: sums, concatenations, products
zoo            usual architectures, written out
"""

from neural_kernels.layers.attention import Attention, Positions
from neural_kernels.layers.containers import Concat, Product, Residual
from neural_kernels.layers.convolution import Conv, ConvTranspose, LocalConv
from neural_kernels.layers.dense import Dense
from neural_kernels.layers.graph import GraphAggregate
from neural_kernels.layers.normalization import Dropout, LayerNorm
from neural_kernels.layers.pooling import AvgPool, Flatten, GlobalAvgPool, GlobalSumPool, SumPool
from neural_kernels.layers.resize import Resize
from neural_kernels.layers.sequential import Sequential
from neural_kernels.layers.zoo import cnn, mlp, myrtle, resnet

__all__ = [
    "Attention",
    "AvgPool",
    "Concat",
    "Conv",
    "ConvTranspose",
    "Dense",
    "Dropout",
    "Flatten",
    "GlobalAvgPool",
    "GlobalSumPool",
    "GraphAggregate",
    "LayerNorm",
    "LocalConv",
    "Positions",
    "Product",
    "Residual",
    "Resize",
    "Sequential",
    "SumPool",
    "cnn",
    "mlp",
    "myrtle",
    "resnet",
]
