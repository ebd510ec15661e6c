"""Ridge regression, gradient flow and posteriors on a Gram matrix or on features, usable without networks.

Settings, which estimators take as `solver`, and the systems that they make:

- `protocol`: what each of them answers (`Solver`, `RidgeSystem`);
- `cholesky`: one factorisation, the cheapest for one ridge; `factorise`: what is done to one triangle;
  `updates`: for examples more or fewer;
- `spectral`: one eigendecomposition, for every ridge and training time;
- `block`: kernels whose entries are matrices over outputs, by one of those two;
- `conjugate_gradient`: many examples, by products with the kernel matrix alone; `krylov`: its iteration for several
  ridges at once; `preconditioner`: what keeps iterations few; `checkpoint`: iterations on disk;
- `automatic`: which of them is taken where none is named.

Beside them:

- `moments`: sums over rows, in one pass; `moments_state`: as plain arrays; `reduction`: over processes of torch;
- `normal_equations`: ridge regression from such sums; `ridge_path`: for several ridges at once; `triangle`: symmetric
  matrices of which one triangle is held;
- `evidence`: how likely targets are, at the amplitude that makes them the likeliest;
- `posterior`: covariances of Gaussian processes and of trained ensembles, from a system's solutions;
- `logistic`: sums and a metric for logistic regression; `quasi_newton`: L-BFGS that is told values, pass by pass;
- `operators`: matrices that are multiplied and need not lie in memory;
- `rpcholesky`: rows that say most about a kernel matrix, by randomly pivoted Cholesky;
- `system`: the checks, errors and weighted matrix that the above share.
"""

from neural_kernels.solvers.automatic import Automatic
from neural_kernels.solvers.block import BlockRidge
from neural_kernels.solvers.cholesky import Cholesky, CholeskyRidge
from neural_kernels.solvers.conjugate_gradient import ConjugateGradient, IterativeRidge, IterativeSolution
from neural_kernels.solvers.evidence import Evidence
from neural_kernels.solvers.moments import Moments as Moments  # documented as nk.Moments
from neural_kernels.solvers.operators import GramOperator, KernelOperator, MatrixOperator
from neural_kernels.solvers.posterior import ensemble_covariance, gp_covariance
from neural_kernels.solvers.preconditioner import RPCholesky
from neural_kernels.solvers.protocol import IterativeSolver, RidgeSystem, Solver
from neural_kernels.solvers.ridge_path import RidgePath
from neural_kernels.solvers.rpcholesky import pivots
from neural_kernels.solvers.spectral import Spectral, SpectralRidge, max_learning_rate

__all__ = [
    "Automatic",
    "BlockRidge",
    "Cholesky",
    "CholeskyRidge",
    "ConjugateGradient",
    "Evidence",
    "GramOperator",
    "IterativeRidge",
    "IterativeSolution",
    "IterativeSolver",
    "KernelOperator",
    "MatrixOperator",
    "RPCholesky",
    "RidgePath",
    "RidgeSystem",
    "Solver",
    "Spectral",
    "SpectralRidge",
    "ensemble_covariance",
    "gp_covariance",
    "max_learning_rate",
    "pivots",
]
