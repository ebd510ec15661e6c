"""Kernels in the forms that other libraries take.

- `derivatives`: a network's kernel and its derivatives by the variances of weights and biases.
- `scikit_learn`: kernels of scikit-learn's Gaussian processes.
"""

from neural_kernels.interop.scikit_learn import sklearn_kernel

__all__ = ["sklearn_kernel"]
