"""Kernel ridge regression on a network's kernel: what regressor and classifier share."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any, ClassVar

import numpy as np
from sklearn.utils.validation import check_is_fitted
from typing_extensions import override

from neural_kernels.estimators import inputs, settings
from neural_kernels.estimators.examples import Examples
from neural_kernels.estimators.held_factor import HeldFactor
from neural_kernels.estimators.held_out import HeldOut
from neural_kernels.estimators.input_gradients import InputGradients
from neural_kernels.estimators.jury import Jury
from neural_kernels.estimators.region import Region
from neural_kernels.estimators.scales import warn_of_channels, warn_of_columns, warn_of_rows
from neural_kernels.estimators.selection import AlphaChoice, two_best
from neural_kernels.exact import Kernel
from neural_kernels.exact.bound import BoundLater
from neural_kernels.exact.gradients import gradients
from neural_kernels.runtime.types import Array
from neural_kernels.solvers.operators import GramOperator, KernelOperator, MatrixOperator
from neural_kernels.solvers.posterior import gp_covariance
from neural_kernels.solvers.system import as_time, diagonal, largest_typical, require_scale, robust_mean

SMALL = 300  # examples on which all ridges are tried: their eigendecomposition takes no longer than their kernel
JUDGES = 1000  # examples that decide between two ridges on all of more
_GLANCE = 2000  # examples on which all ridges are tried where many would not be judged by leave-one-out
_KEPT = 2**31  # bytes of kernel entries kept between products, where no budget is given
_SAMPLE = 100  # training rows that tell how new a row usually is
BLOCK = 2**27  # bytes of one block of rows in prediction, unless memory_budget is smaller


class KernelModel(InputGradients, HeldFactor):
    """Private base: the parameters are documented in its subclasses, which add what their targets mean."""

    scorings: ClassVar[tuple[str, ...]]  # the leave-one-out scores that alphas are chosen by; the first is the default
    network: Any
    kernel: Any
    alpha: Any
    selection: Any
    scoring: Any
    solver: Any
    memory_budget: int | None
    verbose: int
    loo_scores_: Any

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.pairwise = settings.is_precomputed(self.kernel)
        tags.input_tags.sparse = settings.takes_sparse(self.kernel)
        return tags

    def _read(self, X: Any, **options: Any) -> Any:
        """Validate as scikit-learn does, options (y, reset, ...) included; images are kept."""
        inputs.refuse_graphs(self, X)
        if not settings.is_precomputed(self.kernel):
            options |= {"accept_sparse": "csr", "allow_nd": True}
            if not options.get("reset", True):
                inputs.check_shape(self, X, self.X_fit_.shape[1:])
        return inputs.validate(self, X, **options)

    def _read_training(self, X: Any, y: Any, sample_weight: Any, **options: Any) -> tuple[Any, Any, Array]:
        X, y = self._read(X, y=y, **options)
        return X, y, inputs.read_weights(sample_weight, X)

    def _fit_examples(self, X: Any, examples: Examples) -> Jury | HeldOut:
        """Set `dual_coef_` (m, o), `y_offset_` (o,) and all that does not depend on what targets mean.

        Returns those that judge predictions: examples that lie not far outside.
        """
        settings.require_choice_of_factor(self.keep_factor)
        alphas = settings.alphas(self.alpha)
        criterion = settings.criterion(self.selection, self.scoring, self.scorings)
        self._set_targets(examples)
        n, outputs = examples.targets.shape
        size = X.dtype.itemsize * n * n
        iterative = settings.iterative_solver(self.solver, self.memory_budget, n, outputs, size, criterion)
        if iterative is not None:
            self.solver_, self.solver_reason_ = iterative
            return self._fit_operator(self._training_operator(X), examples, alphas, criterion)
        free = self.alpha is None and self.solver is None  # nobody asks for all ridges on all examples
        glance = free and n > SMALL and criterion != settings.EVIDENCE
        ridges = 2 if glance else len(alphas)
        self.solver_, self.solver_reason_ = settings.solver(
            self.solver, self.memory_budget, n, outputs, ridges, gram=size
        )
        gram = self._training_gram(X)
        scale, judges = self._unit_and_judges(diagonal(gram), examples)
        among = None
        if glance:
            part = Jury.of_part(lambda k: gram[np.ix_(k, k)], examples, judges, criterion, max(SMALL, n // 4))
            among = self._glance(part, alphas * scale)
        self._system = self.solver_.system(gram, examples.weights)
        every = Jury(self._system, examples, judges, criterion)
        jury = every.reduced(JUDGES if glance else n)
        score = jury.scores_where_regular if self.alpha is None else jury.scores
        self._choose(AlphaChoice.of(alphas, scale, score, among), alphas)
        self.dual_coef_, self.convergence_ = self._system.solve(self._targets, self.ridge_), None
        return every

    def _set_targets(self, examples: Examples) -> None:
        self.support_, self.y_offset_ = examples.support, examples.offset
        self._weights, self._mass = examples.weights, float(examples.weights.sum())
        self._targets = examples.targets - self.y_offset_

    def _set_rows(self, rows: Any) -> None:
        self.X_fit_, self._region = rows, Region.of(rows)
        self._bound = BoundLater(self.kernel_, rows)

    def _fit_operator(
        self, operator: GramOperator, examples: Examples, alphas: Array, criterion: str
    ) -> Jury | HeldOut:
        """The same without the Gram matrix in memory: held-out examples judge."""
        solver: Any = self.solver_
        scale, candidates = self._unit_and_judges(operator.diagonal(), examples)
        jury = HeldOut(lambda w: solver.system_of(operator, w), examples, candidates, criterion, JUDGES)
        among = None
        if self.alpha is None:
            part = Jury.of_part(operator.block, examples, candidates, criterion, _GLANCE)
            among = self._glance(part, alphas * scale)
        self._choose(AlphaChoice.of(alphas, scale, jury.scores, among), alphas)
        self._system = solver.system_of(operator, examples.weights)
        self.dual_coef_ = self._system.solve(self._targets, self.ridge_)
        self.convergence_ = self._system.solution_
        self._system = self._system.settled()
        return jury

    def _unit_and_judges(self, values: Array, examples: Examples) -> tuple[float, np.ndarray]:
        """The ridge that an alpha of 1 means, and the examples that are not far outside, by k(x, x)."""
        if not settings.is_precomputed(self.kernel):
            warn_of_channels(self.X_fit_)
            warn_of_columns(self.X_fit_, self.kernel_)
        scale = require_scale(
            robust_mean(values, examples.weights), "mean diagonal of the training kernel", inputs.NO_SCALE
        )
        warn_of_rows(values, self.support_)
        return scale, np.flatnonzero(values <= largest_typical(values, examples.weights))

    def _glance(self, part: Jury, ridges: Array) -> np.ndarray:
        """Positions of the two ridges that part of the examples find best."""
        self.solver_reason_ += f"; the 2 alphas are the best by {len(part.judges):,} examples"
        return two_best(part.scores_where_regular(ridges))

    def _choose(self, chosen: AlphaChoice, alphas: Array) -> None:
        self.alphas_, self.loo_scores_ = alphas, chosen.scores
        self.alpha_, self.ridge_ = chosen.alpha, chosen.ridge

    def _read_kernel(self, X: Any) -> Kernel:
        """Set what tells the kernel and its examples; the kernel."""
        kernel = settings.kernel(self.kernel, self.network)
        named = isinstance(self.kernel, str)
        self.kernel_ = replace(kernel, progress=bool(self.verbose)) if named else kernel  # pyright: ignore
        self.network_ = getattr(kernel, "net", None)
        self._set_rows(X[self.support_])
        with inputs.advice_on_images(X):
            inputs.check_outputs(self.kernel_, X)
        return kernel

    def _training_gram(self, X: Any) -> np.ndarray:
        if settings.is_precomputed(self.kernel):
            _check_gram(X, 'kernel="precomputed"')
            return X[np.ix_(self.support_, self.support_)]
        self._read_kernel(X)
        with inputs.advice_on_images(X):
            gram = np.asarray(self.kernel_(self.X_fit_))
        if not isinstance(self.kernel, str):
            _check_gram(gram, f"kernel={self.kernel!r}")
        return gram

    def _training_operator(self, X: Any) -> GramOperator:
        """Products with the Gram matrix: of the kernel, as much of it kept as there is room, or of the matrix given."""
        if settings.is_precomputed(self.kernel):
            _check_gram(X, 'kernel="precomputed"')
            whole = len(self.support_) == len(X)
            return MatrixOperator(X if whole else X[np.ix_(self.support_, self.support_)])
        kernel = self._read_kernel(X)
        budget = settings.as_budget(self.memory_budget)
        spare = budget - self.solver_.memory(len(self.support_), len(self.y_offset_))
        return KernelOperator(kernel, self.X_fit_, spare if np.isfinite(budget) else float(_KEPT))

    def _rate(self, time: float | None) -> float:
        """Training time in units of the solver: the loss is a mean over examples and outputs."""
        return np.inf if time is None else as_time(time) / (self._mass * self._targets.shape[1])

    def _outputs(self, X: Any, time: float | None) -> Array:
        """Predict, (n, o), block by block of rows."""
        check_is_fitted(self)
        X = self._read(X, reset=False)
        rate = self._rate(time)
        coefficients = self.dual_coef_ if rate == np.inf else self._system.solve(self._targets, self.ridge_, rate)
        coefficients = coefficients.reshape(len(self.support_), -1)
        outputs = np.empty((X.shape[0], coefficients.shape[1]))
        for rows in self._blocks(X.shape[0]):
            outputs[rows] = self._cross(X[rows]) @ coefficients + self.y_offset_
        if not settings.is_precomputed(self.kernel):
            self._region.warn_if_outside(X, self.kernel_)
        return outputs

    def novelty(self, X: Any) -> Array:
        r"""How new rows are to the model: about 1 if they are like the training rows, large if they lie far outside.

        .. math:: \sqrt{v(x) / \mathrm{median}_i\, v_{-i}(x_i)}, \qquad
           v(x) = k(x, x) - k(x, X) (K + \lambda W^{-1})^{-1} k(X, x),

        with v the posterior variance of a Gaussian process with the covariance k, and :math:`v_{-i}` the one without
        the training row i (and its copies). Where the prediction has hardly any data near by, v is nearly k(x, x),
        which grows with the squared length of x unless the kernel is bounded: a row 100 times as long is about 100
        times as new.

        Parameters
        ----------
        X : array-like of shape (m, ...)

        Returns
        -------
        ndarray of shape (m,)

        Raises
        ------
        ValueError
            For ``kernel="precomputed"``, which does not know k(x, x) of new rows.

        Notes
        -----
        2 n^2 operations a row of X, beside the kernel, and as much for each of 100 training rows, whose median it is.
        """
        check_is_fitted(self)
        if settings.is_precomputed(self.kernel):
            raise ValueError('kernel="precomputed": novelty needs k(x, x) of new rows; give a kernel object')
        X = self._read(X, reset=False)
        prior, variance = np.asarray(self.kernel_.diag(X)), np.empty(X.shape[0])
        for rows in self._blocks(X.shape[0], arrays=4):
            cross = self._cross(X[rows])
            variance[rows] = gp_covariance(prior[rows], cross, self._system.solve(cross.T, self.ridge_).T)
        return np.sqrt(variance / self._usual_variance())

    @override
    def _input_gradients(self, X: Any, along: Array | None = None) -> Array:
        check_is_fitted(self)
        if settings.is_precomputed(self.kernel):
            raise ValueError('kernel="precomputed": gradients need the inputs themselves; give a kernel object')
        X = self.X_fit_ if X is None else self._read(X, reset=False)
        return gradients(self.kernel_, X, self.X_fit_, self.dual_coef_.reshape(len(self.support_), -1), along)

    def _usual_variance(self) -> float:
        """Median, over some training rows, of the posterior variance without the row: 1 / C_ii less its noise."""
        n, w = len(self.support_), np.square(self._system.root)
        rows = np.unique(np.linspace(0, n - 1, min(n, _SAMPLE)).astype(np.intp))
        units = np.zeros((n, len(rows)))
        units[rows, np.arange(len(rows))] = 1
        inverse = self._system.solve(units, self.ridge_)[rows, np.arange(len(rows))]
        return max(float(np.median(1 / inverse - self.ridge_ / w[rows])), float(np.finfo(np.float64).tiny))

    def _blocks(self, n: int, arrays: int = 2) -> Iterator[slice]:
        """Of rows, so few that so many float64 arrays of them against the training examples are a block's size."""
        budget = BLOCK if self.memory_budget is None else min(BLOCK, self.memory_budget)
        step = max(1, int(budget) // (8 * arrays * len(self.support_)))
        return (slice(start, start + step) for start in range(0, n, step))

    def _cross(self, X: Any) -> np.ndarray:
        if settings.is_precomputed(self.kernel):
            return X[:, self.support_]
        return np.asarray(self._bound(X))


def _check_gram(gram: np.ndarray, source: str) -> None:
    if gram.ndim != 2 or gram.shape[0] != gram.shape[1]:
        raise ValueError(f"{source}: expected a square Gram matrix to fit, got shape {gram.shape}")
    tolerance = 1e-4 * np.abs(np.diagonal(gram)).max()
    strips = (slice(start, start + 256) for start in range(0, len(gram), 256))
    if not all(np.allclose(gram[s], gram[:, s].T, rtol=1e-4, atol=tolerance) for s in strips):
        raise ValueError(f"{source}: expected a symmetric Gram matrix")
