"""Layers, and the functions that write out usual architectures of them."""

from neural_kernels.layers.containers import Concat, Product, Residual, Sequential
from neural_kernels.layers.dense import Dense
from neural_kernels.layers.normalization import Dropout, LayerNorm
from neural_kernels.layers.zoo import mlp

__all__ = ["Concat", "Dense", "Dropout", "LayerNorm", "Product", "Residual", "Sequential", "mlp"]
