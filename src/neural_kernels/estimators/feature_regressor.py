"""Regression with features of infinitely wide networks, in one pass over the data."""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn.base import RegressorMixin
from typing_extensions import override

from neural_kernels.estimators.atomic import atomic
from neural_kernels.estimators.block_scores import BlockR2, score_blocks
from neural_kernels.estimators.feature_posterior import FeaturePosterior
from neural_kernels.runtime.types import Array


class NeuralFeatureRegressor(RegressorMixin, FeaturePosterior):
    r"""Regression with the features of an infinitely wide network: :class:`NeuralKernelRegressor` for many rows.

    .. math:: f(x) = b + \phi(x) \cdot c, \quad \min_{b, c} \sum_i w_i (y_i - f(x_i))^2 + \lambda |c|^2, \quad
       \lambda = \alpha \, \overline{|\phi(x_i)|^2},

    in one pass over the rows, which may come in parts (`partial_fit`). Scale the inputs first, as in the example below.

    Parameters
    ----------
    network, kernel, n_components, method, augment, random_state
        As for :class:`NeuralFeatures`.
    alpha : float or array-like of shape (r,), optional
        Ridge, in units of a robust mean of the rows' squared features. Of several, the one with the best exact
        leave-one-out score, which takes a second pass. None: one of 11 from 10 down to 1e-4, for images of 21 down
        to 1e-9, but for those too small to solve with. Copies of a row count as one of their summed weight.
    selection, scoring
        As for :class:`NeuralKernelRegressor`.
    memory_budget : int, optional
        Bytes that fitting may take, beside the data.
    verbose : int
        Above 0, progress bars are shown.

    Attributes
    ----------
    coef_ : ndarray of shape (m,) or (n_outputs, m)
        c. Columns of the map that are always 0 are left out.
    intercept_ : float or ndarray of shape (n_outputs,)
        b.
    alpha_, ridge_ : float
        The alpha in use, and the ridge it means.
    alphas_ : ndarray of shape (r,)
        Those that it was chosen from.
    loo_scores_ : ndarray of shape (r,) or None
        Of every alpha, the larger the better, NaN if passed over, on those of up to 16,384 distinct rows that are no
        landmarks or anchors of the map (on all, if these are more than 80 %); None with one alpha.
    amplitude_, noise_variance_ : float or ndarray of shape (n_outputs,)
        Prior variance of a coefficient, and variance of targets about the function, `ridge_` times the first.
    log_marginal_likelihood_ : float
        Of the targets, less their mean, with normal coefficients and noise, at the amplitude that makes it the largest;
        summed over outputs.
    moments_ : Moments
        Delete it to save its 8 m^2 bytes, and the rows that are kept: then `partial_fit` cannot go on.
    map_, n_components_, method_, reason_, kernel_, network_, n_features_in_, feature_names_in_
        As for :class:`NeuralFeatures`.

    Raises
    ------
    ValueError
        For parameters or data out of range.
    MemoryError
        If fitting would exceed `memory_budget`.
    numpy.linalg.LinAlgError
        If the moments with their ridge are not positive definite.

    Notes
    -----
    Up to 16,384 distinct rows are kept (as many as columns, if those are more; fewer where they hold more than 2^23
    numbers): all, or a uniform sample, whose residuals choose alpha. Time, beside the features: n m^2 operations and
    m^3 / 3 for one alpha; for several 2 s m^2 more, with s rows kept, their features again and about 9 m^3. Memory: the
    rows kept, 16 m^2 bytes for one alpha, 32 m^2 for several, blocks of rows and some 50 bytes a row. float32 rows give
    float32 features, whose products are summed in float64. Images in bytes, also of a memory map, are read in parts of
    2^21 numbers, so that they are never held whole as floats; scale them by :class:`ImageScaler` where memory allows.

    With ``method=Nystrom()``, which vectors take by default, it is kernel regression restricted to the landmarks l_1 to
    l_m (subset of regressors), the estimator of Falkon [1]_ and KRILL [2]_, with an intercept:

    .. math:: f(x) = b + \sum_j \beta_j k(x, l_j), \quad
       \min_{b, \beta} \sum_i w_i (y_i - f(x_i))^2 + \lambda \beta^T (K_{mm} + j I) \beta,
       \qquad c = R^T \beta, \quad R R^T = K_{mm} + j I,

    with the jitter j of :class:`Nystrom`. These solve :math:`K_{nm}^T K_{nm} + \lambda K_{mm}` by conjugate gradients;
    here it is solved at once in the coordinates c, in which it is as well conditioned as the ridge makes it. Of
    :math:`K_{nm}` a block of rows is held at a time, and computed once (rows by which one of several alphas is chosen:
    twice).

    Uncertainty, ``predict(X, return_std=True)``, is that of a Gaussian process whose kernel is the inner product of the
    features, in the targets' own units, with A, W and :math:`\mu` of :class:`solvers.Moments`:

    .. math:: v(x) = a \Bigl( \lambda + \frac \lambda W + \lambda (\phi - \mu)^T (A + \lambda I)^{-1} (\phi - \mu)
       + \max(k(x, x) - |\phi|^2 - r, 0) \Bigr).

    The amplitude a makes the exact leave-one-out residuals, of rows that the map did not learn from, as large as is
    said of them on the mean; the marginal likelihood would take a map that has learned some rows to know all as well.
    The last term is what the features leave out of the kernel, far from the landmarks in particular, beyond what they
    leave out in training rows on the mean, r, which is part of the noise. With ``kernel="ntk"`` it is a process with
    the NTK as covariance, not the ensemble of :class:`NeuralKernelRegressor`. The first call that asks for it
    factorises again, 2 m^3 / 3 operations, computes the residuals of the rows that are kept, and keeps m^2 numbers.

    References
    ----------
    .. [1] A. Rudi, L. Carratino, L. Rosasco, "FALKON: an optimal large scale kernel method", 2017, arXiv:1705.10958;
       and A. Rudi, R. Camoriano, L. Rosasco, "Less is more: Nystrom computational regularization", 2015,
       arXiv:1507.04717.
    .. [2] M. Diaz, E. Epperly, Z. Frangella, J. Tropp, R. Webber, "Robust, randomized preconditioning for kernel ridge
       regression", 2023, arXiv:2304.12465.

    Examples
    --------
    >>> from sklearn.datasets import load_diabetes
    >>> from sklearn.model_selection import cross_val_score
    >>> from sklearn.pipeline import make_pipeline
    >>> from sklearn.preprocessing import StandardScaler
    >>> from neural_kernels.estimators import NeuralFeatureRegressor
    >>> X, y = load_diabetes(return_X_y=True)
    >>> model = NeuralFeatureRegressor(n_components=128, alpha=[0.01, 0.1, 1.0, 10.0], random_state=0)
    >>> bool(cross_val_score(make_pipeline(StandardScaler(), model), X, y).mean() > 0.45)
    True
    """

    scorings = ("r2",)

    def __init__(
        self,
        network: Any = None,
        *,
        kernel: Any = "ntk",
        n_components: int | str = 4096,
        method: Any = None,
        augment: Any = None,
        alpha: Any = None,
        selection: Any = "loo",
        scoring: Any = None,
        random_state: Any = None,
        memory_budget: int | None = None,
        verbose: int = 0,
    ):
        self.network = network
        self.kernel = kernel
        self.n_components = n_components
        self.method = method
        self.augment = augment
        self.alpha = alpha
        self.selection = selection
        self.scoring = scoring
        self.random_state = random_state
        self.memory_budget = memory_budget
        self.verbose = verbose

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.target_tags.multi_output = True
        return tags

    @atomic
    def fit(
        self, X: Any, y: Any = None, sample_weight: Any = None, *, checkpoint: Any = None
    ) -> NeuralFeatureRegressor:
        """Fit to the targets y, shape (n,) or (n, n_outputs), with non-negative weights, shape (n,), default all 1.

        In the place of arrays, X may be files or tables (see :func:`read_blocks`), with the names of their columns as y
        and `sample_weight`; or a source of blocks, which bring their own targets and weights: what `read_blocks` makes,
        an iterable of (X, y) or (X, y, weight), a torch ``DataLoader``. A memory map is read in blocks.

        With a `checkpoint`, a path or a :class:`Checkpoint`, a fit to blocks that was killed goes on in the same call.
        """
        if not self._fit_blocks(X, y, sample_weight, self._take_part, checkpoint):
            self._take(X, y, sample_weight, reset=True)
        self._solved()
        return self

    @atomic
    def partial_fit(self, X: Any, y: Any = None, sample_weight: Any = None) -> NeuralFeatureRegressor:
        """Take in more rows: however rows are cut into calls, the model is that of one `fit` to all of them.

        That holds exactly for up to 16,384 distinct rows (or as many as `n_components`, if that is more; fewer for
        large examples, or a small `memory_budget`), which are kept. Once there are more, methods that learn from data
        have learned from these first ones, and alpha is chosen by a uniform sample of as many rows: give streams in a
        random order where you can. Solving waits until a result is asked for, or `finalize`.
        """
        if not self._add_blocks(X, y, sample_weight, self._take_part):
            self._take_part(X, y, sample_weight)
        return self

    @override
    def score(self, X: Any, y: Any = None, sample_weight: Any = None) -> float:
        """R^2 of what is predicted; X may be a source of blocks with targets, as for `fit`, which one pass reads."""
        source = self._source(X, y, sample_weight)
        if source is None:
            return float(super().score(X, y, sample_weight))
        return score_blocks(source, self.predict, BlockR2(), self._title)

    def _take_part(self, X: Any, y: Any, sample_weight: Any) -> None:
        self._take(X, y, sample_weight, reset=not self._started())

    @override
    def _read_rows(self, X: Any, y: Any, sample_weight: Any, reset: bool) -> tuple[Any, Any, Array]:
        X, y, weights = self._read_training(X, y, sample_weight, reset, multi_output=True, y_numeric=True)
        return X, np.asarray(y, dtype=np.float64), weights

    def _take(self, X: Any, y: Any, sample_weight: Any, reset: bool) -> None:
        X, y, weights = self._read_rows(X, y, sample_weight, reset)
        if reset:
            self._single = y.ndim == 1
        (self._begin if reset else self._add)(X, y.reshape(len(y), -1), weights)

    @property
    @override
    def coef_(self) -> Array:
        """Coefficients of the features."""
        return super().coef_[0] if self._single else super().coef_

    @property
    @override
    def intercept_(self) -> Any:
        """What is added to them."""
        return super().intercept_.item() if self._single else super().intercept_
