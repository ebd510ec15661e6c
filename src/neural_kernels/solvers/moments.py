"""Sums of products of features over rows that come in parts, from one machine or from many."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from neural_kernels.runtime.types import Array
from neural_kernels.solvers import system, triangle
from neural_kernels.solvers.moments_state import read_state
from neural_kernels.solvers.normal_equations import NormalEquations

_EXPECTED = "features and targets: expected finite numbers, features float32 or float64"


class Moments(NormalEquations):
    r"""Weighted means and centred products of features and targets, all that ridge regression needs of the data.

    .. math:: W = \sum_i w_i, \quad \mu = \frac 1 W \sum_i w_i \phi_i, \quad
       A = \sum_i w_i (\phi_i - \mu)(\phi_i - \mu)^T, \quad B = \sum_i w_i (\phi_i - \mu)(y_i - \bar y)^T, \quad
       s = \sum_i w_i (y_i - \bar y)^2.

    Blocks of rows come in one after the other (`update`), or from other machines (`merge`, `all_reduce`); parts are
    combined by [1]_

    .. math:: A = A_1 + A_2 + \frac{W_1 W_2}{W_1 + W_2} \delta \delta^T, \qquad \delta = \mu_2 - \mu_1,

    so that nothing large is ever subtracted. Products of a block are made in the precision of its features and summed
    in float64. What travels, by `pickle` or `state`, is the lower triangle of A alone: 4 m^2 bytes.

    It is scikit-learn's ``Ridge`` with a ``partial_fit``, and more: parts merge, rows have weights, one pass serves any
    number of ridges, and which of them is best is known without another one (`solve` with several).

    Parameters
    ----------
    n_features : int
        m.
    n_outputs : int
        o.

    Attributes
    ----------
    weight : float
        W.
    mean : ndarray of shape (m,)
        Of the features.
    target_mean : ndarray of shape (o,)
    scatter : ndarray of shape (m, m)
        A; its lower triangle only.
    cross : ndarray of shape (m, o)
        B.
    target_scatter : ndarray of shape (o,)
        s, of every output.
    dtype : dtype
        Of the features seen last.

    Notes
    -----
    An update of r rows costs r m^2 operations and one pass over A: blocks of some thousand rows are best. Memory: the
    8 m^2 bytes of A, and a copy of the block.

    References
    ----------
    .. [1] T. Chan, G. Golub, R. LeVeque, "Updating formulae and a pairwise algorithm for computing sample variances",
       1979.

    Examples
    --------
    >>> import numpy as np
    >>> from neural_kernels import Moments
    >>> features, targets = np.array([[1.0], [2.0], [4.0]]), np.array([[1.0], [2.0], [3.0]])
    >>> moments = Moments(1, 1).update(features[:2], targets[:2]).update(features[2:], targets[2:])
    >>> coefficients, intercept = moments.solve(ridge=0.5)
    >>> coefficients.round(4), intercept.round(4)
    (array([[0.5806]]), array([0.6452]))

    Of several ridges, the best by generalised cross-validation:

    >>> coefficients, intercept = moments.solve([1e-3, 0.5, 10.0])
    >>> coefficients.round(4)
    array([[0.6427]])
    """

    def __init__(self, n_features: int, n_outputs: int):
        self.weight, self.dtype = 0.0, np.dtype(np.float64)
        self.mean, self.target_mean = np.zeros(n_features), np.zeros(n_outputs)
        self.scatter, self.cross = np.zeros((n_features, n_features)), np.zeros((n_features, n_outputs))
        self.target_scatter = np.zeros(n_outputs)

    def copy(self) -> Moments:
        """The same, to go on from."""
        other = Moments(0, 0)
        for name, value in vars(self).items():
            setattr(other, name, value.copy() if isinstance(value, np.ndarray) and name != "scatter" else value)
        other.scatter = triangle.copied(self.scatter)
        return other

    def scaled(self, factor: float) -> Moments:
        """Moments of the same rows with so many times their weight, a positive number."""
        other = self.copy()
        other.weight, other.target_scatter = factor * self.weight, factor * self.target_scatter
        other.scatter *= factor
        other.cross *= factor
        return other

    def with_outputs(self, place: np.ndarray, n_outputs: int, value: float) -> Moments:
        """Moments of the same rows with more targets, of which all rows so far had one value; A is shared.

        Parameters
        ----------
        place : ndarray of shape (o,), int
            Where among the new outputs the present ones stand.
        n_outputs : int
        value : float
            Of the others.
        """
        wider = Moments(0, n_outputs)
        wider.weight, wider.dtype, wider.mean, wider.scatter = self.weight, self.dtype, self.mean, self.scatter
        wider.target_mean += value if self.weight else 0.0
        wider.cross = np.zeros((len(self.mean), n_outputs))
        wider.target_mean[place], wider.target_scatter[place] = self.target_mean, self.target_scatter
        wider.cross[:, place] = self.cross
        return wider

    @staticmethod
    def memory(n_features: int, ridges: int = 1) -> int:
        """Bytes that moments and solving for one ridge, or a path over several, take at their peak; without blocks."""
        return 8 * (4 if ridges > 1 else 3) * n_features**2

    def update(
        self,
        features: np.ndarray,
        targets: np.ndarray,
        weights: npt.ArrayLike | None = None,
        scatter: float | npt.ArrayLike = 0.0,
        overwrite: bool = False,
    ) -> Moments:
        """Take in rows.

        Parameters
        ----------
        features : ndarray of shape (r, m), float32 or float64
        targets : ndarray of shape (r, o)
        weights : array-like of shape (r,), optional
            Non-negative; default all 1.
        scatter : float or array-like of shape (o,)
            Where a row stands for copies: the weighted sum of squares of their targets about `targets`.
        overwrite : bool
            Whether the features may be written over, which saves memory for as many.

        Returns
        -------
        Moments
            Itself.

        Raises
        ------
        ValueError
            For other shapes, NaN or infinity, negative weights.
        """
        y, w = np.asarray(targets, dtype=np.float64), system.as_weights(weights, len(targets))
        self._check(features, y)
        total = w.sum()
        if total == 0:
            return self
        root, target_mean = np.sqrt(w), w @ y / total
        centre = (w / total).astype(features.dtype) @ features  # the mean, but for rounding
        if not (np.isfinite(centre).all() and (w.all() or np.isfinite(features).all())):
            raise ValueError(_EXPECTED)
        rows = features if overwrite else features.copy()
        torch.from_numpy(rows).sub_(torch.from_numpy(centre))
        if (w != 1).any():
            rows *= root[:, None].astype(rows.dtype)
        left = root[:, None] * (y - target_mean)
        products = triangle.cross_products(np.column_stack([left, root]), rows)
        step, target_step, share = self._combine(total, centre + products[-1] / total, target_mean)
        triangle.add_product(self.scatter, rows, np.sqrt(share) * step)
        self.cross += products[:-1].T + share * np.outer(step, target_step)
        self.target_scatter += np.square(left).sum(axis=0) + share * np.square(target_step) + scatter
        self.dtype = features.dtype
        return self

    def merge(self, other: Moments) -> Moments:
        """Take in what another one has seen, of the same features; returns itself."""
        if other.cross.shape != self.cross.shape:
            raise ValueError(f"moments of shapes {self.cross.shape} and {other.cross.shape} cannot be merged")
        if other.weight:
            self.dtype = self.dtype if self.weight else other.dtype
            step, target_step, share = self._combine(other.weight, other.mean, other.target_mean)
            for part in triangle.strips(len(step)):
                self.scatter[part, : part.stop] += other.scatter[part, : part.stop]
                self.scatter[part, : part.stop] += share * np.outer(step[part], step[: part.stop])
            self.cross += other.cross + share * np.outer(step, target_step)
            self.target_scatter += other.target_scatter + share * np.square(target_step)
        return self

    def all_reduce(self, group: Any = None) -> Moments:
        """Take in what the other processes of a group have seen, as each of them does: all have the moments of all.

        Parameters
        ----------
        group : torch.distributed.ProcessGroup, optional
            Default: all processes. Every one of them calls this, also one that has seen no rows.

        Returns
        -------
        Moments
            Itself; equal to the last bit in all processes.

        Raises
        ------
        ValueError
            In all processes, if they have different numbers of features or outputs.
        RuntimeError
            By torch, if ``torch.distributed.init_process_group`` was not called.

        Notes
        -----
        4 m^2 bytes go through the network, in strips.
        """
        from neural_kernels.solvers.reduction import reduce_moments

        reduce_moments(self, group)
        return self

    def _combine(self, weight: float, mean: Array, target_mean: Array) -> tuple[Array, Array, float]:
        """Move the means; return the steps between them, and what their product counts."""
        step, target_step, total = mean - self.mean, target_mean - self.target_mean, self.weight + weight
        share = self.weight * weight / total
        self.mean = self.mean + weight / total * step
        self.target_mean = self.target_mean + weight / total * target_step
        self.weight = float(total)
        return step, target_step, share

    def _check(self, features: np.ndarray, y: Array) -> None:
        r, (m, o) = len(y), self.cross.shape
        if features.shape != (r, m) or y.shape != (r, o):
            raise ValueError(f"features {features.shape}, targets {y.shape}: expected (r, {m}), (r, {o})")
        if features.dtype not in (np.float32, np.float64) or not np.isfinite(y).all():
            raise ValueError(_EXPECTED)

    def state(self) -> dict[str, np.ndarray]:
        """All there is to know, as arrays, to be stored or sent; of A the lower triangle, row after row.

        Returns
        -------
        dict
            `weight`, `mean`, `target_mean`, `scatter` of shape (m (m + 1) / 2,), `cross`, `target_scatter` in float64,
            and `itemsize`, of the features in bytes.
        """
        return {
            "weight": np.array(self.weight),
            "itemsize": np.array(self.dtype.itemsize),
            "mean": self.mean,
            "target_mean": self.target_mean,
            "scatter": triangle.packed(self.scatter),
            "cross": self.cross,
            "target_scatter": self.target_scatter,
        }

    @classmethod
    def from_state(cls, state: Mapping[str, npt.ArrayLike]) -> Moments:
        """Make moments of what `state` gave.

        Raises
        ------
        ValueError
            It is no such state: names, shapes, numbers that are not finite, a negative weight.
        """
        moments = cls(0, 0)
        vars(moments).update(read_state(state))
        return moments

    def __getstate__(self) -> dict[str, np.ndarray]:
        return self.state() if self.weight else {"empty": np.array(self.cross.shape)}

    def __setstate__(self, state: dict[str, np.ndarray]) -> None:
        made = Moments(*state["empty"].tolist()) if "empty" in state else type(self).from_state(state)
        vars(self).update(vars(made))
