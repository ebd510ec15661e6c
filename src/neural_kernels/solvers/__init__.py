"""Ridge regression, gradient flow and posteriors on a Gram matrix or on features, usable without networks."""

from neural_kernels.solvers.cholesky import CholeskyRidge
from neural_kernels.solvers.moments import Moments, RidgePath
from neural_kernels.solvers.posterior import ensemble_covariance, gp_covariance
from neural_kernels.solvers.spectral import SpectralRidge, max_learning_rate

__all__ = [
    "CholeskyRidge",
    "Moments",
    "RidgePath",
    "SpectralRidge",
    "ensemble_covariance",
    "gp_covariance",
    "max_learning_rate",
]
