"""Exact models with rows more or fewer, without a new fit."""

from __future__ import annotations

from abc import abstractmethod
from typing import Any, ClassVar, Self

import numpy as np
import numpy.typing as npt
from scipy import sparse
from sklearn.utils.validation import check_is_fitted

from neural_kernels.estimators import inputs, settings
from neural_kernels.estimators.atomic import atomic
from neural_kernels.estimators.examples import Examples, distinct
from neural_kernels.estimators.kernel_base import KernelModel
from neural_kernels.estimators.ledger import Ledger
from neural_kernels.runtime.types import Array
from neural_kernels.solvers import Cholesky, CholeskyRidge, IterativeSolver

_REASON = "its factor is updated where rows are added or removed"


class EditableModel(KernelModel):
    """Private base: `add` and `remove`; what targets mean is its subclasses' matter."""

    _reading: ClassVar[dict[str, bool]]  # how scikit-learn validates y
    _ledger: Ledger

    @abstractmethod
    def _coded(self, y: np.ndarray, weights: Array) -> tuple[Array, Array]:
        """Targets (n, o) and weights (n,) of new rows, as the model's own are."""

    @atomic
    def add(self, X: Any, y: Any, sample_weight: Any = None) -> Self:
        r"""Add rows to those that the model was fitted to, without a new fit.

        The result equals, to rounding, a fit to all rows with the same ridge :math:`\lambda`, `ridge_`. It does not
        change, and `alpha_` becomes the alpha that means it for the new rows: ``set_params(alpha=model.alpha_)`` and
        `fit` would give the same predictions, deviations, intervals and probabilities. Which alpha is the best may
        change with many rows; `loo_scores_` stay those of `fit`.

        Parameters
        ----------
        X : array-like of shape (k, ...)
            Taken in the precision of the training rows. Copies of rows already there are merged with them.
        y : array-like of shape (k,) or (k, n_outputs)
            Labels are of the classes that the model knows.
        sample_weight : array-like of shape (k,), optional
            Non-negative; default all 1.

        Returns
        -------
        self

        Raises
        ------
        ValueError
            For what `fit` would refuse; for a label of a new class, ``kernel="precomputed"`` and
            ``class_weight="balanced"``, by which all weights change.
        NotImplementedError
            Of a model solved by conjugate gradients, which has no factor.
        MemoryError
            The larger factor exceeds `memory_budget`.

        Notes
        -----
        k n kernel entries and about n^2 k operations, for copies 4 n^2 k more. A model solved by an eigendecomposition
        is factorised first, n^3 / 3, and so is one that was stored. While it is edited, memory holds two factors.
        """
        ledger = self._require_ledger("add")
        X, y = self._read(X, y=y, reset=False, **self._reading)
        targets, weights = self._coded(y, inputs.read_weights_of_part(sample_weight, X))
        used, known = np.flatnonzero(weights > 0), len(self.support_)
        rows = X[used].astype(self.X_fit_.dtype)
        first, group = distinct(_stacked(self.X_fit_, rows))
        example = np.full(len(weights), -1)
        example[used] = group[known:]
        self._edit(ledger.joined(Ledger(targets, weights, example)), rows[first[known:] - known])
        return self

    @atomic
    def remove(self, rows: npt.ArrayLike) -> Self:
        """Remove rows from those that the model was fitted to, without a new fit.

        The result equals a fit to the others as for :meth:`add`.

        Parameters
        ----------
        rows : array-like of int, or of bool of shape (n,)
            Positions among the rows as given to `fit`, copies and rows of weight 0 counted, followed by those that
            were added. Rows behind a removed one move up, as in :func:`numpy.delete`. Of copies that were merged one
            can be removed, and the others stay.

        Returns
        -------
        self

        Raises
        ------
        IndexError
            There is no such row.
        ValueError
            No row of positive weight, or none of a class, would be left; and as for :meth:`add`.

        Notes
        -----
        About 4 n^2 k operations for k rows, or one factorisation, n^3 / 3, if that is less.
        """
        ledger = self._require_ledger("remove")
        self._edit(ledger.without(_positions(rows, len(ledger.weights))), self.X_fit_[:0])
        return self

    def _require_ledger(self, what: str) -> Ledger:
        check_is_fitted(self)
        if settings.is_precomputed(self.kernel):
            raise ValueError(f'{what}: kernel="precomputed" cannot be asked for new entries; fit anew')
        if isinstance(self.solver_, IterativeSolver):
            raise NotImplementedError(
                f"{what}: {type(self.solver_).__name__} has no factor that could be updated; fit with "
                "solver=nk.solvers.Cholesky(), or anew to all rows"
            )
        if "_ledger" not in vars(self):
            raise ValueError(f"{what}: the model was stored by a version that did not keep its rows' targets; fit anew")
        return self._ledger

    def _edit(self, ledger: Ledger, added: Any) -> Examples:
        """Take over other rows, `added` being their new examples; those whose weight changes go and come again."""
        before, ridge = self._weights, self.ridge_
        weights = ledger.totals(len(before) + added.shape[0])
        if not weights.any():
            raise ValueError("no row of positive weight would be left")
        changed = np.flatnonzero(weights[: len(before)] != before)
        again, kept = changed[weights[changed] > 0], np.delete(np.arange(len(before)), changed)
        order = np.concatenate([kept, again, np.arange(len(before), len(weights))])
        rows, entering = self.X_fit_[kept], _stacked(self.X_fit_[again], added)
        size = self.X_fit_.dtype.itemsize * len(order) ** 2
        self.solver_, _ = settings.solver(Cholesky(), self.memory_budget, len(order), ledger.targets.shape[1], 1, size)
        system = self._factor() if len(kept) else None
        if system is not None and len(changed):
            system = system.without(changed, ridge)
        if entering.shape[0]:
            gram, w = np.asarray(self.kernel_(entering)), weights[order[len(kept) :]]
            if system is None:
                system = Cholesky().system(gram, w)
            else:
                system = system.joined(np.asarray(self.kernel_(entering, rows)), gram, ridge, w)
        places = np.full(len(weights), -1)
        places[order] = np.arange(len(order))
        self._ledger, self._system, self.solver_reason_ = ledger.renumbered(places), system, _REASON
        self._set_rows(_stacked(rows, entering))
        return self._solve_again()

    def _factor(self) -> CholeskyRidge:
        """The system of the rows so far; of a model solved otherwise it is made now."""
        system = self._system
        if isinstance(system, CholeskyRidge):
            return system
        return Cholesky().system(np.asarray(self.kernel_(self.X_fit_)), self._weights)

    def _solve_again(self) -> Examples:
        """Coefficients for the rows of the ledger, by the system at hand."""
        examples = self._ledger.examples()
        self._set_targets(examples)
        scale, _ = self._unit_and_judges(self._variances_of_rows(), examples)
        self.alpha_ = self.ridge_ / scale
        self.dual_coef_ = self._system.solve(self._targets, self.ridge_)
        return examples

    def _variances_of_rows(self) -> Array:
        """k(x, x) of the training examples."""
        return np.asarray(self.kernel_.diag(self.X_fit_), dtype=np.float64)


def _stacked(first: Any, second: Any) -> Any:
    if sparse.issparse(first):
        return sparse.vstack([first, second], format="csr")
    return np.concatenate([first, second])


def _positions(rows: npt.ArrayLike, n: int) -> np.ndarray:
    """Distinct positions, ascending, from positions or a mask."""
    given = np.asarray(rows)
    if given.size == 0:
        return np.empty(0, np.intp)
    if given.dtype == bool and given.shape != (n,):
        raise IndexError(f"rows: got a mask of shape {given.shape}; the model has {n} rows")
    if given.dtype.kind not in "bui" or given.ndim > 1:
        raise TypeError(f"rows: expected positions, or a mask of shape ({n},); got {rows!r}")
    places = np.flatnonzero(given) if given.dtype == bool else np.atleast_1d(given).astype(np.intp)
    if (outside := places[(places < -n) | (places >= n)]).size:
        raise IndexError(f"rows: got {outside[0]}; the model has {n} rows, added and removed ones counted")
    return np.unique(places % n)
