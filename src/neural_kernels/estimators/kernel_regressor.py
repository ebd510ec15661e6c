"""Exact regression with the kernel of an infinitely wide network."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.base import RegressorMixin

from neural_kernels.estimators import settings
from neural_kernels.estimators.atomic import atomic
from neural_kernels.estimators.examples import Examples
from neural_kernels.estimators.kernel_base import KernelModel
from neural_kernels.exact import Kernel, kernels
from neural_kernels.runtime.types import Array
from neural_kernels.solvers import ensemble_covariance, gp_covariance


class NeuralKernelRegressor(RegressorMixin, KernelModel):
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
        each :math:`\sqrt{10}` times the next.
    selection : {"loo", "evidence"}
        What chooses among several alphas: a leave-one-out score, or the marginal likelihood of a Gaussian process with
        this kernel and noise, whose amplitude is fitted, too.
    scoring : {"r2", "evidence"}, optional
        The leave-one-out score: R^2, averaged over outputs. "evidence" is another way to say ``selection="evidence"``.
    solver : Solver, optional
        Such as ``nk.solvers.Cholesky()`` or ``nk.solvers.Spectral()``. None: Cholesky for one alpha, else Spectral if
        memory allows, as `solver_reason_` says. Spectral also makes training times cheap; Cholesky decomposes when the
        first one is asked for.
    memory_budget : int, optional
        Bytes that the Gram matrix and the solver may take.
    verbose : int
        Above 0, the kernel shows a progress bar.

    Attributes
    ----------
    alpha_, ridge_ : float
        The alpha in use, and the ridge it means.
    solver_, solver_reason_
        The solver in use, and why this one.
    alphas_ : ndarray of shape (r,)
        Those that it was chosen from.
    loo_scores_ : ndarray of shape (r,) or None
        Of every alpha; None with one alpha.
    dual_coef_ : ndarray of shape (m,) or (m, n_outputs)
        Coefficients of the kernel at the distinct training examples.
    y_offset_ : float or ndarray of shape (n_outputs,)
        The intercept.
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
        If the Gram matrix and the solver exceed `memory_budget`.
    numpy.linalg.LinAlgError
        If the kernel with its ridge is not positive definite.

    Notes
    -----
    Time: n^2 / 2 kernel entries, then n^3 / 3 (Cholesky) or about 9 n^3 (Spectral) to fit; m n entries to predict.
    Memory: the Gram matrix, and up to two (Cholesky) or three (Spectral) n x n float64 matrices; a fitted model keeps
    one or two.

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
        verbose: int = 0,
    ):
        self.network = network
        self.kernel = kernel
        self.alpha = alpha
        self.selection = selection
        self.scoring = scoring
        self.solver = solver
        self.memory_budget = memory_budget
        self.verbose = verbose

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.target_tags.multi_output = True
        return tags

    @atomic
    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> NeuralKernelRegressor:
        """Fit to the targets y, shape (n,) or (n, n_outputs), with non-negative weights, shape (n,), default all 1."""
        X, y, weights = self._read_training(X, y, sample_weight, multi_output=True, y_numeric=True)
        y = np.asarray(y, dtype=np.float64)
        self._fit_examples(X, Examples.of(X, y.reshape(len(y), -1), weights))
        if y.ndim == 1:
            self.dual_coef_, self.y_offset_ = self.dual_coef_[:, 0], np.asarray(self.y_offset_).item()
        return self

    def predict(self, X: Any, return_std: bool = False, return_cov: bool = False, time: float | None = None) -> Any:
        r"""Predict, at the end of training or at any time of it.

        At time t under gradient flow on the mean squared error of n examples (sum of weights) and o outputs, from
        outputs equal to the intercept,

        .. math:: f_t(x) = m + k(x, X) K_\lambda^{-1} (I - e^{-t K_\lambda / (n o)}) (y - m), \;
           K_\lambda = K + \lambda.

        Parameters
        ----------
        X : array-like of shape (m, ...)
        return_std, return_cov : bool
            Also return standard deviations or covariances of f(x), in units in which the network's prior variance is
            the NNGP kernel (for targets of another scale than 1, standardise them). ``kernel="nngp"``: of the Gaussian
            process posterior with noise variance `ridge_`; ``kernel="ntk"``, or an ``nk.NTK``: of the ensemble of
            trained networks, which needs the NNGP kernel of the training data, computed anew in each call. Any other
            kernel object is the prior covariance of a Gaussian process. The noise is not included.
        time : float, optional
            Training time, at least 0; default: the end.

        Returns
        -------
        mean : ndarray of shape (m,) or (m, n_outputs)
        std : ndarray of the same shape, with `return_std`
        cov : ndarray of shape (m, m) or (m, m, n_outputs), with `return_cov`
        """
        if return_std and return_cov:
            raise ValueError("return_std and return_cov: ask for one of them")
        if (return_std or return_cov) and settings.is_precomputed(self.kernel):
            raise ValueError(
                'kernel="precomputed": uncertainty needs the prior of the test examples; use neural_kernels.solvers.'
                "gp_covariance or ensemble_covariance with the kernels at hand"
            )
        mean = self._outputs(X, time)
        flat = np.ndim(self.y_offset_) == 0
        if flat:
            mean = mean[:, 0]
        if not (return_std or return_cov):
            return mean
        X, rate = self._read(X, reset=False), self._rate(time)
        spread = self._covariance(X, rate) if return_cov else np.sqrt(self._variance(X, rate))
        if not flat:
            spread = np.repeat(spread[..., None], mean.shape[1], axis=-1)
        return mean, spread

    def _variance(self, X: Any, rate: float) -> Array:
        prior = settings.prior(self.kernel_)
        values, train = np.asarray(prior.diag(X)), self._start(prior)
        variance = np.empty(X.shape[0])
        for rows in self._blocks(X.shape[0]):
            variance[rows] = self._posterior(values[rows], X[rows], train, rate)
        return variance

    def _covariance(self, X: Any, rate: float) -> Array:
        prior = settings.prior(self.kernel_)
        return self._posterior(np.asarray(prior(X)), X, self._start(prior), rate)

    def _start(self, prior: Kernel) -> Any:
        """Covariance of the ensemble at the training examples before it is trained; None for a Gaussian process."""
        return None if prior is self.kernel_ else prior(self.X_fit_)

    def _posterior(self, prior: npt.ArrayLike, X: Any, train: npt.ArrayLike | None, rate: float) -> Array:
        if train is None:
            cross = self._cross(X)
            return gp_covariance(prior, cross, self._system.solve(cross.T, self.ridge_, 2 * rate).T)
        assert self.network_ is not None
        cross, tangent = kernels(self.network_, X, self.X_fit_)
        return ensemble_covariance(prior, cross, train, self._system.solve(tangent.T, self.ridge_, rate).T)
