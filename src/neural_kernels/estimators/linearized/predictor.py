"""What training a torch module would give: kernel regression with its tangent kernel, from its present outputs."""

from __future__ import annotations

import math
from collections.abc import Callable
from numbers import Real
from typing import Any

import numpy as np
import torch
from sklearn.base import BaseEstimator
from sklearn.metrics import accuracy_score, r2_score
from sklearn.utils.validation import check_is_fitted
from torch import nn

from neural_kernels.empirical.kernels import PseudoNTK
from neural_kernels.empirical.module.batches import ExampleSource
from neural_kernels.empirical.module.model import plain_autograd
from neural_kernels.estimators import settings
from neural_kernels.estimators.atomic import atomic
from neural_kernels.estimators.calibration import Calibration
from neural_kernels.estimators.linearized.expansion import Expansion, as_array
from neural_kernels.estimators.linearized.targets import Targets
from neural_kernels.estimators.scores import mean_r2, squared_errors
from neural_kernels.estimators.selection import AlphaChoice
from neural_kernels.exact.kernel import Kernel
from neural_kernels.runtime.types import Array
from neural_kernels.solvers.block import BlockRidge
from neural_kernels.solvers.system import as_time, diagonal, largest_typical, mean_diagonal

_NO_SCALE = "the module's outputs do not depend on the parameters at these examples"


class LinearizedPredictor(BaseEstimator):
    r"""Predicts what training a torch module would give, were it linear in its parameters: without training.

    .. math:: f(x) = \frac{f_0(x)}{s} + k(x, X) (K + \lambda I)^{-1} \Bigl(y - \frac{f_0(X)}{s}\Bigr), \qquad
       \lambda = \alpha \, \overline{K_{ii}},

    with :math:`f_0` the module's outputs and k a tangent kernel of it, both at its present parameters. With
    :class:`EmpiricalNTK` this is the Taylor model :func:`linearize` at the minimum of
    :math:`\sum_i |y_i - f(x_i)|^2 + \lambda |\theta - \theta_0|^2`. :class:`PseudoNTK` and :class:`TraceNTK` stand for
    the full kernel as :math:`k \otimes I`: one system of n unknowns serves all outputs.

    Labels are coded as :math:`e_c - 1/K`, which sums to 0: what softmax and the largest output do not see need not be
    learned. A module with one output learns 1 for the second of two labels and -1 for the first, as a logit.

    Parameters
    ----------
    module : torch.nn.Module
        In `eval` mode. `fit` copies it: training it afterwards changes no prediction.
    kernel : class, callable or Kernel
        What makes a kernel of a module: a class, or ``functools.partial(nk.PseudoNTK, forward=...)``. Or a kernel
        object: one of `module`, such as ``nk.TraceNTK(module, parameters=nk.LastLayers(1), memory_budget=2**30)``; any
        other, such as ``nk.Laplace()``, which learns what the module's outputs leave over; sums and products of them,
        ``nk.PseudoNTK(module) + nk.Laplace()``. All but those of `module` take X as one array.
    alpha : float or array-like of shape (r,)
        Ridge, in units of the mean diagonal of the training kernel, in which examples far outside the others count
        little. Of several, the one with the best exact leave-one-out score.
    scale : float
        s, positive. The outputs of trained classifiers are far larger than coded labels: choose s > 1 [3]_.
        ``math.inf`` leaves the outputs out; targets may then be of any number, except with the full kernel.
    solver : Solver, optional
        Such as ``nk.solvers.Cholesky()`` or ``nk.solvers.Spectral()``. None: Cholesky for one alpha, else Spectral if
        memory allows, as `solver_reason_` says.

    Attributes
    ----------
    classes_ : ndarray of shape (K,) or None
        Labels in the order of the outputs; None after a fit to numbers.
    alpha_, ridge_ : float
        The alpha in use, and the ridge it means.
    solver_, solver_reason_
        The solver in use, and why this one.
    loo_scores_ : ndarray of shape (r,) or None
        Leave-one-out R^2 of every alpha, over all outputs together; None with one alpha.
    dual_coef_ : ndarray of shape (n, o)
        Coefficients of the kernel at the training examples.
    calibration_, temperature_
        As for :class:`NeuralKernelClassifier`; None after a fit to numbers.
    kernel_ : kernel
        Of the copied module.
    X_fit_ : as given to `fit`
        The training examples, which are not copied.

    Raises
    ------
    TypeError, ValueError
        For what is no module, kernel, targets or number of the kind described.
    MemoryError
        If the Gram matrix and solving exceed the kernel's `memory_budget`.
    numpy.linalg.LinAlgError
        If the kernel with its ridge is not positive definite.

    Notes
    -----
    Time: the Gram matrix, then n^3 / 3 for one alpha (n^3 more with labels), about 9 n^3 for several and for training
    times; with the full kernel n o in the place of n. Prediction: m n entries; with the
    full kernel one backward pass over the training examples and a forward one over the others. Memory: the Gram matrix,
    and two (one alpha) or three float64 matrices of its size.

    References
    ----------
    .. [1] J. Lee et al., "Wide neural networks of any depth evolve as linear models under gradient descent", 2019,
       arXiv:1902.06720, eqs. 8-11.
    .. [2] M. Mohamadi, W. Bae, D. Sutherland, "A fast, well-founded approximation to the empirical neural tangent
       kernel", 2023, arXiv:2206.12543.
    .. [3] S. Malladi et al., "A kernel-based view of language model fine-tuning", 2023, arXiv:2210.05643.

    Examples
    --------
    >>> import torch
    >>> from sklearn.datasets import load_digits
    >>> import neural_kernels as nk
    >>> X, y = load_digits(return_X_y=True)
    >>> _ = torch.manual_seed(0)
    >>> module = torch.nn.Sequential(torch.nn.Linear(64, 256), torch.nn.ReLU(), torch.nn.Linear(256, 10))
    >>> model = nk.LinearizedPredictor(module, alpha=[1e-4, 1e-3, 1e-2]).fit(X[:500] / 16, y[:500])
    >>> model.score(X[500:] / 16, y[500:]) > 0.9
    True
    """

    def __init__(
        self,
        module: nn.Module,
        kernel: Kernel | Callable[[nn.Module], Kernel] = PseudoNTK,
        *,
        alpha: Any = 1e-2,
        scale: float = 1.0,
        solver: Any = None,
    ):
        self.module = module
        self.kernel = kernel
        self.alpha = alpha
        self.scale = scale
        self.solver = solver

    def __sklearn_clone__(self) -> LinearizedPredictor:
        # A copy of the network for every fold would be waste, and no longer the one that a given kernel is of.
        return LinearizedPredictor(**self.get_params(deep=False))

    @atomic
    @plain_autograd()
    @torch.no_grad()
    def fit(self, X: Any, y: Any, gram: Any = None) -> LinearizedPredictor:
        """Fit to numbers or labels.

        Parameters
        ----------
        X : array, Tensor, tuple, mapping, list or DataLoader
            Examples as the module takes them: see :class:`EmpiricalNTK`. Kept, and gone through again in prediction.
        y : array-like or Tensor
            Numbers of a floating dtype, (n,) or (n, ...), one for every output; or labels, (n,): integers, booleans or
            strings. Integers below the number of outputs are the numbers of their outputs, as in torch; other labels
            stand for the outputs in sorted order.
        gram : array, optional
            The kernel of X with itself, if it is at hand: a memmap by ``kernel.to_disk``, for example. Else computed.

        Returns
        -------
        LinearizedPredictor
            Itself.
        """
        alphas = settings.alphas(self.alpha)
        self._scale = _as_scale(self.scale)
        self._expansion = Expansion.of(self.module, self.kernel)
        self.kernel_, model, source = self._expansion.kernel, self._expansion.model, self._expansion.read(X)
        n, outputs = source.length, model(source.pick([0]), 1).shape[1]
        free = self._scale == math.inf and not self._expansion.full
        self._targets = Targets.of(y, n, None if free else outputs)
        unknowns, columns = (n * outputs, 1) if self._expansion.full else self._targets.values.shape
        itemsize = model.place.dtype.itemsize
        self.solver_, self.solver_reason_ = settings.solver(
            self.solver, self._expansion.memory_budget, unknowns, columns, len(alphas), gram=itemsize * unknowns**2
        )
        self._residual = self._targets.values - self._start(source)
        matrix = self._gram(X, gram, n, outputs)
        scale = mean_diagonal(matrix, None, _NO_SCALE)
        values = diagonal(matrix)
        judges = values <= largest_typical(values)
        self._system = BlockRidge(matrix, self.solver_) if self._expansion.full else self.solver_.system(matrix)
        chosen = AlphaChoice.of(alphas, scale, lambda ridges: self._scores_without(ridges, judges))
        self.alpha_, self.ridge_, self.loo_scores_ = chosen.alpha, chosen.ridge, chosen.scores
        self.classes_ = self._targets.classes
        self.calibration_ = None if self.classes_ is None else self._calibrate()
        self.temperature_ = self.calibration_ and self.calibration_.temperature
        self.dual_coef_ = self._system.solve(self._residual, self.ridge_)
        self.X_fit_ = X
        return self

    def _gram(self, X: Any, gram: Any, n: int, outputs: int) -> Array:
        """The kernel of X with itself, computed or as given, of the shape that fits the outputs."""
        expected = (n, n, outputs, outputs) if self._expansion.full else (n, n)
        result = as_array(self.kernel_(X) if gram is None else gram)
        if result.shape != expected:
            name = "gram" if gram is not None else f"kernel={self.kernel!r}"
            raise ValueError(f"{name}: expected the kernel of X with itself, shape {expected}; got {result.shape}")
        return result

    def predict(self, X: Any, time: float | None = None) -> Any:
        r"""Predict numbers or labels, at the end of training or at any time of it.

        At time t of gradient flow on the mean squared error :math:`\frac{1}{2 n o} \sum_i |y_i - f(x_i)|^2` (half of
        torch's), with weight decay :math:`\lambda / (n o)` towards the present parameters,

        .. math:: f_t(x) = \frac{f_0(x)}{s} + k(x, X) K_\lambda^{-1} (I - e^{-t K_\lambda / (n o)})
           \Bigl(y - \frac{f_0(X)}{s}\Bigr), \quad K_\lambda = K + \lambda I.

        Parameters
        ----------
        X : as for `fit`
            m examples.
        time : float, optional
            At least 0: steps of gradient descent times the learning rate. Default: the end.

        Returns
        -------
        array of shape (m,) or (m, ...)
            Numbers in the shape of the targets and the module's precision, or labels. A tensor for tensors, else NumPy;
            labels that are strings come in NumPy's arrays.
        """
        outputs, source = self._outputs(X, time)
        place = self._expansion.model.place
        values = self._targets.decode(outputs.astype(str(place.dtype).removeprefix("torch.")))
        wanted = source.torch and values.dtype.kind in "biuf"
        return torch.from_numpy(values).to(place.device) if wanted else values

    def decision_function(self, X: Any, time: float | None = None) -> Array:
        """Score the labels: (m, K), or for two (m,), positive for ``classes_[1]``; `time` as in `predict`."""
        scores = self._scores(X, time)
        if scores.shape[1] == 2:
            return scores[:, 1] - scores[:, 0]
        return scores[:, 0] if scores.shape[1] == 1 else scores

    def predict_proba(self, X: Any) -> Array:
        """Predict probabilities of the labels, (m, K); too sure where the module was trained on the same examples."""
        return np.exp(self.predict_log_proba(X))

    def predict_log_proba(self, X: Any) -> Array:
        """Predict the logarithms of the probabilities, (m, K), finite also where these are too small for numbers."""
        scores = self._scores(X, None)
        assert self.calibration_ is not None
        return self.calibration_.log_probabilities(self._targets.signed(scores))

    def score(self, X: Any, y: Any) -> float:
        """Accuracy of labels; R^2 of numbers, averaged over outputs."""
        predictions, true = as_array(self.predict(X)), as_array(y)
        if self.classes_ is not None:
            return float(accuracy_score(true, predictions))
        return float(r2_score(true.reshape(len(true), -1), predictions.reshape(len(predictions), -1)))

    def _scores_without(self, ridges: Array, judges: np.ndarray) -> Array:
        """Leave-one-out R^2 of each ridge, over all outputs together, on the examples that `judges`, (n,), marks."""
        y = self._targets.values[judges]
        residuals = self._loo_residuals(ridges)[:, judges]
        lost, total = squared_errors(residuals, y, y.mean(axis=0), np.ones(len(y)))
        return mean_r2(lost.sum(axis=1, keepdims=True), total.sum(keepdims=True))

    def _loo_residuals(self, ridges: Array) -> Array:
        """Of predictions without the example itself, (r, n, o)."""
        if len(self._residual) < 2:
            raise ValueError("leave-one-out (several alphas, or labels) needs at least 2 examples; got 1")
        return self._system.loo_residuals(self._residual, ridges)

    def _calibrate(self) -> Calibration:
        """Fit to scores of which none has seen its own label."""
        scores = self._targets.values - self._loo_residuals(np.array([self.ridge_]))[0]
        return Calibration.fit(self._targets.signed(scores), self._targets.members, np.ones(len(scores)))

    @plain_autograd()
    @torch.no_grad()
    def _outputs(self, X: Any, time: float | None) -> tuple[Array, ExampleSource]:
        """Predictions (m, o) in float64, and what X is."""
        check_is_fitted(self, "dual_coef_")
        coefficients = self.dual_coef_
        if time is not None and as_time(time) < np.inf:
            coefficients = self._system.solve(self._residual, self.ridge_, time / self._residual.size)
        source = self._expansion.read(X)
        return self._start(source) + self._expansion.combine(coefficients, X, self.X_fit_), source

    def _start(self, source: ExampleSource) -> Array:
        """The module's outputs over s, (n, o)."""
        if self._scale == math.inf:
            return np.zeros((source.length, 1))
        return self._expansion.outputs(source) / self._scale

    def _scores(self, X: Any, time: float | None) -> Array:
        check_is_fitted(self, "dual_coef_")
        if self.classes_ is None:
            raise ValueError("fitted to numbers, which have no classes; for these fit integers or strings as labels")
        return self._outputs(X, time)[0]


def _as_scale(scale: Any) -> float:
    number = float(scale) if isinstance(scale, Real) and not isinstance(scale, bool) else math.nan
    if not number > 0:
        raise ValueError(f"scale={scale!r}: expected a positive number; math.inf leaves the module's outputs out")
    return number
