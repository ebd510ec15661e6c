"""How a logistic regression is fitted once there are features and their moments: an alpha, then coefficients."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from neural_kernels.estimators.logistic_checkpoint import SearchFile
from neural_kernels.estimators.logistic_rows import FeatureRows
from neural_kernels.estimators.logistic_search import LogisticSearch, take_pass
from neural_kernels.estimators.selection import AlphaChoice
from neural_kernels.runtime.types import Array
from neural_kernels.solvers.logistic import LogisticMetric

_COMPARED = 1e-3  # tol of models that are only compared with each other


@dataclass
class LogisticTraining:
    """Fits to the same rows.

    Parameters
    ----------
    rows : FeatureRows
    metric : LogisticMetric
    start : ndarray of shape (m + 1, k)
        Coefficients of centred features, and the intercepts.
    itemsize : int
        Bytes of a number of the features.
    tol : float
    max_iter : int
        Passes of each of both stages.
    stored : SearchFile or None
    title : str or None
        Of progress bars.
    """

    rows: FeatureRows
    metric: LogisticMetric
    start: Array
    itemsize: int
    tol: float
    max_iter: int
    stored: SearchFile | None
    title: str | None

    def choose(self, alphas: Array, scale: float, folds: int) -> AlphaChoice:
        """The alpha of the least log-loss of rows held out; later fits start from the coefficients found for it."""
        if len(alphas) == 1:
            return AlphaChoice.of(alphas, scale, np.zeros_like)
        each, tol = [(alpha * scale, fold) for alpha in alphas for fold in range(folds)], max(self.tol, _COMPARED)
        searches = [LogisticSearch.begun(*pair, self.start, tol, self.itemsize) for pair in each]
        searches = self._minimised("alphas", searches)
        sums = np.array([search.held_out for search in searches]).reshape(-1, folds, 2).sum(axis=1)
        judged = np.where(sums[:, 1] > 0, sums[:, 1], np.nan)
        choice = AlphaChoice.of(alphas, scale, lambda _: -sums[:, 0] / judged)
        near = searches[choice.index * folds :][:folds]
        self.start = np.mean([search.found for search in near], axis=0)
        return choice

    def final(self, ridge: float) -> LogisticSearch:
        """Fit to all rows."""
        return self._minimised("final", [LogisticSearch.begun(ridge, -1, self.start, self.tol, self.itemsize)])[0]

    def _minimised(self, stage: str, searches: list[LogisticSearch]) -> list[LogisticSearch]:
        """Pass after pass, until all have converged or there were enough."""
        from tqdm import tqdm

        if self.stored is not None:
            searches = self.stored.load(stage) or searches
        with tqdm(desc=self.title and f"{self.title}, {stage}", unit="pass", disable=self.title is None) as bar:
            while active := [search for search in searches if search.asks(self.max_iter)]:
                take_pass(self.rows, active, self.metric)
                bar.set_postfix_str(f"gradient {max(one.search.residual for one in active):.1e} of the first")
                bar.update()
                if self.stored is not None:
                    self.stored.save(stage, searches, not any(search.asks(self.max_iter) for search in searches))
        return searches
