"""Kernels in the forms that other libraries take.

- `derivatives`: a network's kernel and its derivatives by the variances of weights and biases.
- `scikit_learn`: kernels of scikit-learn's Gaussian processes.
- `gpytorch_kernel`: kernels of GPyTorch and BoTorch, which `covariances` defines once they are asked for.
"""

from neural_kernels.interop.gpytorch_kernel import gpytorch_kernel
from neural_kernels.interop.scikit_learn import sklearn_kernel

__all__ = ["gpytorch_kernel", "sklearn_kernel"]
