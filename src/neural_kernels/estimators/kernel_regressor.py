"""Exact regression with the kernel of an infinitely wide network."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
from sklearn.base import RegressorMixin
from typing_extensions import override

from neural_kernels.estimators.atomic import atomic
from neural_kernels.estimators.examples import Examples
from neural_kernels.estimators.kernel_posterior import KernelPosterior
from neural_kernels.estimators.ledger import Ledger
from neural_kernels.runtime.types import Array


class NeuralKernelRegressor(RegressorMixin, KernelPosterior):
    r"""Regression by an infinitely wide neural network, trained exactly: kernel ridge regression with its NTK or NNGP.

    .. math:: f(x) = m + k(x, X)\,(K + \lambda W^{-1})^{-1} (y - m), \qquad \lambda = \alpha \, \overline{K_{ii}},

    the minimiser of :math:`\sum_i w_i (y_i - f(x_i))^2 + \lambda |f - m|_K^2`, with m the weighted mean of the targets:
    the intercept. Copies of an example act as one of their summed weight, examples of weight 0 are left out. The kernel
    keeps the precision of the inputs, solving is in float64. Scale the inputs first, as in the example below.

    Parameters
    ----------
    network : Layer, optional
        Default ``nk.mlp(3, bias_var=0.1)``: without biases, inputs of one or two columns are hardly told apart. One on
        images, such as ``nk.cnn(3)``, takes X of shape (n, channels, height, width). Unused with a kernel object and
        with a precomputed kernel.
    kernel : {"ntk", "nngp", "precomputed"} or Kernel
        Of the network, "ntk": all layers are trained; "nngp": the last one, or equivalently the Bayesian posterior.
        "precomputed": X is the Gram matrix, (n, n) to fit and (m, n) to predict. Or a kernel object: ``nk.Laplace()``,
        ``nk.NTK(net)``, sums, products and multiples of them, a function of two arrays that returns their Gram
        matrix, or a kernel of ``sklearn.gaussian_process``.
    alpha : float or array-like of shape (r,), optional
        Ridge, in units of a robust mean of the kernel's diagonal. Of several, the one with the best leave-one-out
        score, which is exact (refits with the same ridge would give it). None: one of 11 from 10 down to 1e-4,
        each :math:`\sqrt{10}` times the next. With more than 300 distinct examples and no solver named, a quarter of
        them (300 at least), drawn by lot, leave two of these, which up to 1,000 decide between on all.
    selection : {"loo", "evidence"}
        What chooses among several alphas: a leave-one-out score, or the marginal likelihood of a Gaussian process with
        this kernel and noise, whose amplitude is fitted, too.
    scoring : {"r2", "evidence"}, optional
        The leave-one-out score: R^2, averaged over outputs. "evidence" is another way to say ``selection="evidence"``.
    solver : Solver, optional
        Such as ``nk.solvers.Cholesky()`` or ``nk.solvers.Spectral()``. None: Cholesky for few alphas, else Spectral if
        memory allows, as `solver_reason_` says. Spectral also makes training times cheap; Cholesky decomposes when the
        first one is asked for. ``nk.solvers.ConjugateGradient()``, taken by itself above 20,000 examples or where a
        factorisation exceeds `memory_budget`, holds no Gram matrix: alphas are then judged by up to 1,000 held-out
        examples.
    memory_budget : int, optional
        Bytes that the Gram matrix and the solver may take, and again those that a prediction may take beside the model:
        it is made in blocks of rows, but for `return_cov`, which raises MemoryError beforehand. With conjugate
        gradients, kernel entries are kept between products as far as there is room, without a budget up to 2 GiB.
    keep_factor : bool, optional
        Whether a fitted model holds its factorised kernel matrix, 8 n^2 bytes (Cholesky), which predictions do without.
        None: up to 256 MiB, some 5,800 examples. Where it is not held, training times, deviations, intervals, novelty
        and edits make it first, n^3 / 3 operations, and then hold it. A precomputed kernel, which cannot be made again,
        is held unless this is False. Pickles and files never hold what the training rows say.
    verbose : int
        Above 0, the kernel shows a progress bar.

    Attributes
    ----------
    alpha_, ridge_ : float
        The alpha in use, and the ridge it means.
    solver_, solver_reason_
        The solver in use, and why this one.
    convergence_ : IterativeSolution or None
        Residuals and iterations of an iterative solver.
    alphas_ : ndarray of shape (r,)
        Those that it was chosen from.
    loo_scores_ : ndarray of shape (r,) or None
        Of every alpha, the larger the better: R^2, or with "evidence" the logarithm of the marginal likelihood. NaN for
        one that was not tried on all examples, or is singular; None with one alpha.
    dual_coef_ : ndarray of shape (m,) or (m, n_outputs)
        Coefficients of the kernel at the distinct training examples.
    y_offset_ : float or ndarray of shape (n_outputs,)
        The intercept.
    amplitude_, noise_variance_ : float or ndarray of shape (n_outputs,)
        What multiplies the prior kernel, and the variance of targets about the function: fitted to the targets, see
        Notes. Of a Gaussian process the second is `ridge_` times the first.
    log_marginal_likelihood_ : float
        NaN with an iterative solver, which gives no determinant.
        Of the targets as a Gaussian process with the kernel in use and that amplitude and noise; summed over outputs.
    support_ : ndarray of shape (m,)
        Positions of those examples in the training data.
    X_fit_ : array of shape (m, ...)
        Those examples; not with a precomputed kernel.
    kernel_ : Kernel
        The kernel in use; not with a precomputed one.
    network_ : Layer or None
        The network whose kernel it is, if it is of one; not with a precomputed kernel.
    n_features_in_, feature_names_in_
        As in scikit-learn; of images, the first is the number of channels.

    Raises
    ------
    ValueError
        For parameters or data out of range.
    MemoryError
        If the Gram matrix and the solver, or covariances of predictions, exceed `memory_budget`.
    numpy.linalg.LinAlgError
        If the kernel with its ridge is not positive definite.

    Notes
    -----
    Time: n^2 / 2 kernel entries, then n^3 / 3 (Cholesky) or about 9 n^3 (Spectral) to fit; m n entries to predict. The
    default choice of alpha adds about 2 n^3 / 3, and once in a while n^3 / 3 more. Memory: the Gram matrix, and about
    one (Cholesky) or three (Spectral) n x n float64 matrices; for what a fitted model
    holds of them see `keep_factor`.

    Uncertainty, ``predict(X, return_std=True)``, is in the targets' own units. ``kernel="nngp"``, and any kernel object
    but an ``nk.NTK``: the targets are a Gaussian process with the covariance :math:`a (K + \lambda W^{-1})`, whose
    amplitude a has the largest marginal likelihood,

    .. math:: a = \frac{1}{\sum_i w_i} (y - m)^T (K + \lambda W^{-1})^{-1} (y - m),

    and copies count as the rows they are. ``kernel="ntk"``, or an ``nk.NTK``: networks that differ in their initial
    weights are trained on the same targets [1]_. Their outputs have a covariance, times the amplitude a of the initial
    networks; targets are noisy by a variance s themselves, and by what the noise of the training targets has done to
    f. Both, a and s, are those under which the exact leave-one-out residuals are likeliest. The first call of
    `predict` that needs them computes the NNGP kernel of the training data and takes up to 8,192 n^2 operations.

    References
    ----------
    .. [1] J. Lee et al., "Wide neural networks of any depth evolve as linear models under gradient descent", 2019,
       arXiv:1902.06720.
    .. [2] S. Arora et al., "Harnessing the power of infinitely wide deep nets on small-data tasks", 2019,
       arXiv:1910.01663.

    Examples
    --------
    >>> from sklearn.datasets import load_diabetes
    >>> from sklearn.model_selection import cross_val_score
    >>> from sklearn.pipeline import make_pipeline
    >>> from sklearn.preprocessing import StandardScaler
    >>> import neural_kernels as nk
    >>> X, y = load_diabetes(return_X_y=True)
    >>> model = make_pipeline(StandardScaler(), nk.NeuralKernelRegressor(alpha=[0.01, 0.1, 1.0, 10.0]))
    >>> bool(cross_val_score(model, X, y).mean() > 0.45)
    True
    """

    scorings = ("r2",)
    _reading: ClassVar[dict[str, bool]] = {"multi_output": True, "y_numeric": True}

    def __init__(
        self,
        network: Any = None,
        *,
        kernel: Any = "ntk",
        alpha: Any = None,
        selection: Any = "loo",
        scoring: Any = None,
        solver: Any = None,
        memory_budget: int | None = None,
        keep_factor: bool | None = None,
        verbose: int = 0,
    ):
        self.network = network
        self.kernel = kernel
        self.alpha = alpha
        self.selection = selection
        self.scoring = scoring
        self.solver = solver
        self.memory_budget = memory_budget
        self.keep_factor = keep_factor
        self.verbose = verbose

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.target_tags.multi_output = True
        return tags

    @atomic
    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> NeuralKernelRegressor:
        """Fit to the targets y, shape (n,) or (n, n_outputs), with non-negative weights, shape (n,), default all 1."""
        X, y, weights = self._read_training(X, y, sample_weight, **self._reading)
        y = np.asarray(y, dtype=np.float64)
        targets = y.reshape(len(y), -1)
        examples = Examples.of(X, targets, weights)
        self._fit_examples(X, examples)
        self._ledger = Ledger.of(examples, targets, weights)
        self._finish(examples, y.ndim == 1)
        self._let_go()
        return self

    def _finish(self, examples: Examples, single: bool) -> None:
        """Uncertainties, and results in the shape of the targets."""
        self._fit_posterior(examples)
        if single:
            self.dual_coef_, self.y_offset_ = self.dual_coef_[:, 0], np.asarray(self.y_offset_).item()

    @override
    def _coded(self, y: np.ndarray, weights: Array) -> tuple[Array, Array]:
        shape = () if self._single else np.shape(self.y_offset_)
        if y.shape[1:] != shape:
            raise ValueError(f"y has shape {y.shape}; the model was fitted to targets of shape {('n', *shape)}")
        return np.asarray(y, dtype=np.float64).reshape(len(y), -1), weights

    @override
    def _edit(self, ledger: Ledger, added: Any) -> Examples:
        single = self._single
        examples = super()._edit(ledger, added)
        self._finish(examples, single)
        return examples
