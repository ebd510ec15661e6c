"""Layers, and the functions that write out usual architectures of them."""

from neural_kernels.layers.attention import Attention, Positions
from neural_kernels.layers.containers import Concat, Product, Residual, Sequential
from neural_kernels.layers.convolution import Conv, ConvTranspose, LocalConv
from neural_kernels.layers.dense import Dense
from neural_kernels.layers.graph import GraphAggregate
from neural_kernels.layers.normalization import Dropout, LayerNorm
from neural_kernels.layers.pooling import AvgPool, Flatten, GlobalAvgPool, GlobalSumPool, SumPool
from neural_kernels.layers.resize import Resize
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
